//! The GitHub events that start our workflows, and what each one gives to the jobs: variables, and
//! the values of expressions. The expressions are listed here; an unlisted one fails the test.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Fixture;

pub type Texts = BTreeMap<String, String>;

/// The token of a job.
pub const TOKEN: &str = "the-token-of-a-job";

/// The default branch, where weekly runs happen and whose cache every job can read.
const MAIN: &str = "refs/heads/main";

/// An event that starts a workflow.
#[derive(Debug, Clone)]
pub struct Event {
    name: &'static str,
    /// `refs/…`
    reference: String,
    /// The entry under `on:` for this branch or tag.
    filter: Option<&'static str>,
    pub payload: Value,
    inputs: Texts,
    /// Whether the repository variable `PRUNE_APPLY` is `true`.
    applies_prune: bool,
    /// The scopes of the Actions cache that the job's token opens, with its permission: 1 read, 3 also
    /// write.
    pub scopes: Vec<(String, u8)>,
}

impl Event {
    fn new(name: &'static str, reference: &str, filter: Option<&'static str>) -> Self {
        let mut scopes = vec![(reference.to_owned(), 3)];
        scopes.extend((reference != MAIN).then(|| (MAIN.to_owned(), 1)));
        Self {
            name,
            reference: reference.to_owned(),
            filter,
            payload: json!({ "ref": reference }),
            inputs: Texts::new(),
            applies_prune: false,
            scopes,
        }
    }

    /// A pull request to dev from a branch of the repository itself.
    pub fn pull_request(fixture: &Fixture) -> Self {
        Self::pull_request_from(fixture, &fixture.repository)
    }

    /// A pull request to dev from a fork, whose token can only read.
    pub fn pull_request_from_fork(fixture: &Fixture) -> Self {
        let mut event = Self::pull_request_from(fixture, "somebody/fork");
        event.scopes[0].1 = 1;
        event
    }

    fn pull_request_from(fixture: &Fixture, head: &str) -> Self {
        let mut event = Self::new("pull_request", "refs/pull/1/merge", Some("dev"));
        event.scopes.push(("refs/heads/dev".to_owned(), 1));
        let [base, commit] = ["dev", "HEAD"].map(|name| fixture.git(&["rev-parse", name]));
        event.payload = json!({ "number": 1, "pull_request": {
            "number": 1,
            "base": { "ref": "dev", "sha": base, "repo": { "full_name": fixture.repository } },
            "head": { "ref": "patch-1", "sha": commit, "repo": { "full_name": head } },
        }});
        event
    }

    pub fn push_to_dev() -> Self {
        Self::new("push", "refs/heads/dev", Some("dev"))
    }

    pub fn push_of_tag(tag: &str) -> Self {
        Self::new("push", &format!("refs/tags/{tag}"), Some("v*.*.*"))
    }

    /// A manual run on a branch.
    pub fn by_hand(branch: &str, inputs: &[(&str, &str)]) -> Self {
        let mut event = Self::new("workflow_dispatch", &format!("refs/heads/{branch}"), None);
        event.inputs =
            inputs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        event.payload["inputs"] = json!(event.inputs);
        event
    }

    /// The weekly run, with or without `PRUNE_APPLY`.
    pub fn weekly(applies_prune: bool) -> Self {
        let event = Self::new("schedule", MAIN, None);
        Self { applies_prune, payload: json!({ "schedule": "17 4 * * 1" }), ..event }
    }

    /// A workflow that does not listen to this event would never run.
    pub fn starts(&self, workflow: &Value) {
        let on = workflow["on"].as_object().unwrap();
        assert!(on.contains_key(self.name), "`{}` starts nothing", self.name);
        if let Some(filter) = self.filter {
            let mut patterns = ["branches", "tags"]
                .iter()
                .flat_map(|kind| on[self.name][*kind].as_array().into_iter().flatten());
            assert!(patterns.any(|pattern| *pattern == filter), "`{filter}` starts nothing");
        }
    }

    /// The branch, the tag, or `1/merge`.
    fn reference_name(&self) -> &str {
        self.reference.splitn(3, '/').nth(2).unwrap()
    }

    /// The values of expressions before any job has run.
    pub fn values(&self, workflow: &Value) -> Texts {
        let is = |condition: bool| condition.to_string();
        let base = self.payload.pointer("/pull_request/base/sha").and_then(Value::as_str);
        let values = [
            ("github.token", TOKEN.to_owned()),
            ("github.event.pull_request.base.sha", base.unwrap_or_default().to_owned()),
            ("github.ref == 'refs/heads/dev'", is(self.reference == "refs/heads/dev")),
            ("github.event_name == 'push'", is(self.name == "push")),
            ("github.event_name == 'workflow_dispatch'", is(self.name == "workflow_dispatch")),
            ("vars.PRUNE_APPLY == 'true'", is(self.applies_prune)),
            ("vars.PRUNE_APPLY != 'true'", is(!self.applies_prune)),
        ];
        let mut values: Texts =
            values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let inputs = workflow["on"][self.name]["inputs"].as_object();
        for (name, input) in inputs.into_iter().flatten() {
            let default = || match &input["default"] {
                Value::Bool(default) => default.to_string(),
                _ => unreachable!("the event has no input `{name}`"),
            };
            let value = self.inputs.get(name).cloned().unwrap_or_else(default);
            values.insert(format!("inputs.{name}"), value);
        }
        values
    }

    /// The variables that GitHub sets for every step.
    pub fn variables(&self, fixture: &Fixture, workflow: &Value, job: &str) -> Texts {
        let owner = fixture.repository.split('/').next().unwrap();
        let reference = |side: &str| {
            let name = self.payload.pointer(&format!("/pull_request/{side}/ref"));
            name.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let is_tag = self.reference.starts_with("refs/tags/");
        let variables = [
            ("CI", "true".to_owned()),
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_ACTOR", owner.to_owned()),
            ("GITHUB_BASE_REF", reference("base")),
            ("GITHUB_EVENT_NAME", self.name.to_owned()),
            ("GITHUB_HEAD_REF", reference("head")),
            ("GITHUB_JOB", job.to_owned()),
            ("GITHUB_REF", self.reference.clone()),
            ("GITHUB_REF_NAME", self.reference_name().to_owned()),
            ("GITHUB_REF_TYPE", if is_tag { "tag" } else { "branch" }.to_owned()),
            ("GITHUB_REPOSITORY", fixture.repository.clone()),
            ("GITHUB_REPOSITORY_OWNER", owner.to_owned()),
            ("GITHUB_SERVER_URL", "https://github.com".to_owned()),
            ("GITHUB_SHA", fixture.git(&["rev-parse", "HEAD"])),
            ("GITHUB_WORKFLOW", workflow["name"].as_str().unwrap().to_owned()),
        ];
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

//! What GitHub tells a job: the event, the ref, the commit, inputs and variables. On a laptop it is derived
//! from git, or read from an event's file.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::expression::Contexts;
use xtask_model::facts::Facts;
use xtask_model::failure::Failure;
use xtask_model::workflow::{Job, Trigger, Workflow};

use super::pattern::is_like;
use super::{Play, Setting, Settings};

/// The event, as contexts and variables will have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    pub event: String,
    /// `refs/…`
    pub reference: String,
    pub revision: String,
    pub repository: String,
    /// Base and head of a pull request; both empty otherwise.
    pub base: String,
    pub head: String,
    pub payload: Value,
    pub inputs: BTreeMap<String, Value>,
    pub variables: BTreeMap<String, String>,
    /// Options that every line gets besides its own, such as `--lab`.
    pub options: Vec<String>,
}

/// What was asked for on the command line and seen in git.
#[derive(Debug, Clone, Default)]
pub struct Given {
    pub payload: Option<Value>,
    pub inputs: BTreeMap<String, String>,
    pub variables: BTreeMap<String, String>,
    /// The branch that a pull request of this checkout would go to, and the commit where it left it.
    pub base: Option<(String, String)>,
    pub options: Vec<String>,
}

/// The name of the event that a payload is of. GitHub tells it beside the payload.
pub fn event_name(payload: &Value) -> &'static str {
    let has = |key: &str| payload.get(key).is_some();
    match () {
        () if has("pull_request") => "pull_request",
        () if has("inputs") => "workflow_dispatch",
        () if has("schedule") => "schedule",
        () => "push",
    }
}

impl Told {
    /// What a play is told; refused when its workflow does not listen to that.
    pub fn new(
        play: Play,
        workflow: &Workflow,
        facts: &Facts,
        given: Given,
    ) -> Result<Self, Failure> {
        let git = facts.git.as_ref().ok_or_else(|| {
            Failure::usage("there is no commit, and a workflow is of one").hint("git commit")
        })?;
        let payload = match given.payload.clone() {
            Some(payload) => payload,
            None => derived(play, facts, &given)?,
        };
        let event = event_name(&payload);
        let text = |pointer: &str| {
            payload.pointer(pointer).and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
        };
        let branch = git.branch.clone().unwrap_or_else(|| "main".to_owned());
        let reference = match (event, text("/ref")) {
            ("pull_request", _) => {
                let number = payload.pointer("/number").and_then(Value::as_u64).unwrap_or(1);
                format!("refs/pull/{number}/merge")
            }
            (_, given) if given.is_empty() => format!("refs/heads/{branch}"),
            (_, given) if given.starts_with("refs/") => given,
            (_, given) => format!("refs/heads/{given}"),
        };
        let repository = facts.repository().map_or(String::new(), |(name, _)| name.to_string());
        let told = Self {
            event: event.to_owned(),
            reference,
            revision: git.revision.clone(),
            repository,
            base: text("/pull_request/base/ref"),
            head: text("/pull_request/head/ref"),
            inputs: BTreeMap::new(),
            variables: given.variables,
            options: given.options,
            payload,
        };
        let trigger = told.listened(play, workflow)?;
        Ok(Self { inputs: told.inputs(trigger)?, ..told })
    }

    /// The trigger that the event sets off.
    fn listened<'w>(&self, play: Play, workflow: &'w Workflow) -> Result<&'w Trigger, Failure> {
        let matches =
            |patterns: &[String], name: &str| patterns.iter().any(|pattern| is_like(pattern, name));
        let trigger = workflow.trigger(&self.event).filter(|trigger| {
            let unfiltered = trigger.branches.is_empty() && trigger.tags.is_empty();
            let branch = match self.event.as_str() {
                "pull_request" => Some(self.base.as_str()),
                _ => self.reference.strip_prefix("refs/heads/"),
            };
            let tag = self.reference.strip_prefix("refs/tags/");
            unfiltered
                || branch.is_some_and(|branch| matches(&trigger.branches, branch))
                || tag.is_some_and(|tag| matches(&trigger.tags, tag))
        });
        trigger.ok_or_else(|| {
            let at = if self.base.is_empty() { &self.reference } else { &self.base };
            let file = play.file();
            Failure::refused(format!(
                "`{file}` does not run for the event `{}` at `{at}`",
                self.event
            ))
            .hint(format!("see `on:` in {file}, or give another event: --event FILE"))
        })
    }

    /// The inputs of a run by hand, with their defaults.
    fn inputs(&self, trigger: &Trigger) -> Result<BTreeMap<String, Value>, Failure> {
        let given = self.payload.get("inputs").and_then(Value::as_object).cloned();
        let given = given.unwrap_or_default();
        if let Some(name) = given.keys().find(|name| !trigger.inputs.contains_key(*name)) {
            let known: Vec<&str> = trigger.inputs.keys().map(String::as_str).collect();
            return Err(Failure::usage(format!("the workflow has no input `{name}`")).hint(
                match known.as_slice() {
                    [] => "it takes none; leave out --input".to_owned(),
                    known => format!("name one of {}", known.join(", ")),
                },
            ));
        }
        let value = |(name, default): (&String, &xtask_model::yaml::Placed)| {
            let text = match given.get(name) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => default.text.clone(),
            };
            let value = match text.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => Value::String(text),
            };
            (name.clone(), value)
        };
        Ok(trigger.inputs.iter().map(value).collect())
    }

    /// Whether it is a pull request whose branch is in another repository.
    pub fn is_fork(&self) -> bool {
        let name =
            |side: &str| self.payload.pointer(&format!("/pull_request/{side}/repo/full_name"));
        matches!((name("head"), name("base")), (Some(head), Some(base)) if head != base)
    }

    /// The scopes of the Actions cache that the job's token opens, the first being its own, with its
    /// permission: 1 read, 3 also write. A fork's is taken to read only, the least it may get.
    pub fn cache_scopes(&self) -> Vec<(String, u8)> {
        let own = if self.is_fork() { 1 } else { 3 };
        let mut scopes = vec![(self.reference.clone(), own)];
        let others = [self.base.as_str(), "main"];
        for branch in others.iter().filter(|branch| !branch.is_empty()) {
            let scope = format!("refs/heads/{branch}");
            if scopes.iter().all(|(known, _)| *known != scope) {
                scopes.push((scope, 1));
            }
        }
        scopes
    }

    /// The contexts before any job has run.
    pub fn contexts(&self) -> Contexts {
        let github = json!({
            "event_name": self.event,
            "event": self.payload,
            "ref": self.reference,
            "ref_name": self.reference_name(),
            "sha": self.revision,
            "repository": self.repository,
            "base_ref": self.base,
            "head_ref": self.head,
            "server_url": "https://github.com",
        });
        let mut contexts = Contexts::default()
            .with("github", github)
            .with("inputs", json!(self.inputs))
            .with("vars", json!(self.variables));
        contexts.later.extend(["needs", "steps", "matrix"].map(str::to_owned));
        contexts
    }

    /// The variables that GitHub sets for every step.
    pub fn variables(&self, workflow: &Workflow, job: &Job) -> Settings {
        let kind = if self.reference.starts_with("refs/tags/") { "tag" } else { "branch" };
        let owner = self.repository.split('/').next().unwrap_or_default();
        let values = [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_ACTOR", owner),
            ("GITHUB_BASE_REF", &self.base),
            ("GITHUB_EVENT_NAME", &self.event),
            ("GITHUB_HEAD_REF", &self.head),
            ("GITHUB_JOB", &job.id),
            ("GITHUB_REF", &self.reference),
            ("GITHUB_REF_NAME", self.reference_name()),
            ("GITHUB_REF_TYPE", kind),
            ("GITHUB_REPOSITORY", &self.repository),
            ("GITHUB_REPOSITORY_OWNER", owner),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_SHA", &self.revision),
            ("GITHUB_WORKFLOW", workflow.name.as_deref().unwrap_or_default()),
        ];
        let setting =
            |(name, value): (&str, &str)| (name.to_owned(), Setting::Value(value.to_owned()));
        values.into_iter().map(setting).collect()
    }

    /// The ref without what it begins with: a branch, a tag, or `7/merge`.
    fn reference_name(&self) -> &str {
        let name = |prefix: &str| self.reference.strip_prefix(prefix);
        name("refs/heads/")
            .or_else(|| name("refs/tags/"))
            .or_else(|| name("refs/pull/"))
            .unwrap_or(&self.reference)
    }
}

/// The payload of the event that this checkout would set off.
fn derived(play: Play, facts: &Facts, given: &Given) -> Result<Value, Failure> {
    let git = facts.git.as_ref();
    let branch = git.and_then(|git| git.branch.clone()).unwrap_or_else(|| "main".to_owned());
    if !given.inputs.is_empty() {
        let inputs: Map<String, Value> =
            given.inputs.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        return Ok(json!({ "ref": format!("refs/heads/{branch}"), "inputs": inputs }));
    }
    match play {
        Play::Pr => {
            let (base, commit) = given.base.clone().ok_or_else(|| {
                Failure::usage("no branch is here that a pull request could go to")
                    .hint("git fetch origin dev, or give the event: --event FILE")
            })?;
            Ok(json!({ "number": 1, "pull_request": {
                "number": 1,
                "base": { "ref": base, "sha": commit },
                "head": { "ref": branch, "sha": git.map(|git| git.revision.clone()) },
            }}))
        }
        Play::Release => {
            let tags = git.map_or(&[][..], |git| git.tags.as_slice());
            let version = tags.iter().filter(|tag| crate::release::version(tag).is_ok()).max();
            let tag = version.ok_or_else(|| {
                Failure::usage("this commit has no version tag, and no input names a version")
                    .hint("cargo xtask ci release --input version=v1.2.3, or git tag v1.2.3")
            })?;
            Ok(json!({ "ref": format!("refs/tags/{tag}") }))
        }
        // Of this checkout's branch, whatever that is: what is on another one is not dev's image.
        Play::Dev => Ok(json!({ "ref": format!("refs/heads/{branch}") })),
        Play::Prune => Ok(json!({ "schedule": "weekly", "ref": format!("refs/heads/{branch}") })),
    }
}

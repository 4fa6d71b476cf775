//! The jobs of a workflow that an event starts, and their lines in order, each with the environment that
//! GitHub gives it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::events::{Event, Texts};
use super::workflows::{jobs, needs, steps, texts, words};
use super::{Fixture, Ran};

/// A line as GitHub would run it.
#[derive(Debug)]
pub struct Line {
    /// The words after `cargo xtask`.
    pub words: Vec<String>,
    pub variables: Texts,
    /// Whether an earlier action passed the Actions cache on.
    pub has_actions_cache: bool,
}

/// The result of a line: its exit code, its outputs for later steps, and its part of the job's summary.
#[derive(Debug)]
pub struct Ended {
    pub ran: Ran,
    pub outputs: Texts,
    pub summary: String,
}

/// One run of a job.
#[derive(Debug)]
pub struct JobRun {
    /// The job's id, with the value of its matrix.
    pub job: String,
    /// The lines up to the first failure; none if the job was skipped.
    pub lines: Vec<Ended>,
}

impl JobRun {
    fn succeeded(&self) -> bool {
        self.lines.iter().all(|line| line.ran.code == Some(0))
    }
}

/// The result of a workflow.
#[derive(Debug)]
pub struct WorkflowRun(pub Vec<JobRun>);

impl WorkflowRun {
    /// `JOB: EXIT CODE` of each run of a job, or `JOB: skipped`.
    pub fn results(&self) -> Vec<String> {
        let result = |run: &JobRun| match run.lines.last() {
            Some(line) => format!("{}: {}", run.job, line.ran.code.unwrap()),
            None => format!("{}: skipped", run.job),
        };
        self.0.iter().map(result).collect()
    }

    /// The same run; its jobs must have ended like this.
    #[track_caller]
    pub fn expect(self, results: &[&str]) -> Self {
        assert_eq!(self.results(), results, "{}\n{}", self.stdout(), self.stderr());
        self
    }

    fn all(&self, text: impl Fn(&Ended) -> &str) -> String {
        self.0.iter().flat_map(|run| &run.lines).map(text).collect()
    }

    pub fn stdout(&self) -> String {
        self.all(|line| &line.ran.stdout)
    }

    pub fn stderr(&self) -> String {
        self.all(|line| &line.ran.stderr)
    }

    /// The page that GitHub would show.
    pub fn summary(&self) -> String {
        self.all(|line| &line.summary)
    }
}

/// Runs the jobs of a workflow that an event starts; `execute` runs each line.
pub fn run(
    fixture: &Fixture,
    workflow: &Value,
    event: &Event,
    execute: &mut dyn FnMut(Line) -> Ended,
) -> WorkflowRun {
    event.starts(workflow);
    let mut values = event.values(workflow);
    let mut succeeded = BTreeSet::new();
    let mut runs = Vec::new();
    for (id, job) in jobs(workflow) {
        let has_all = needs(job).iter().all(|need| succeeded.contains(*need));
        let condition = job["if"].as_str();
        if !has_all || condition.is_some_and(|condition| value(&values, condition) != "true") {
            runs.push(JobRun { job: id.to_owned(), lines: Vec::new() });
            continue;
        }
        let mut variables = event.variables(fixture, workflow, id);
        let mut all_succeeded = true;
        for (name, of_matrix) in matrix(job, id, &values) {
            values.extend(of_matrix);
            for env in [&workflow["env"], &job["env"]] {
                variables.extend(filled(env, &values));
            }
            let lines = run_job(job, &mut values, &variables, execute);
            let run = JobRun { job: name, lines };
            all_succeeded &= run.succeeded();
            runs.push(run);
        }
        if all_succeeded {
            succeeded.insert(id);
            give_outputs(job, id, &mut values);
        }
    }
    WorkflowRun(runs)
}

/// The lines of one run of a job, up to the first that fails.
fn run_job(
    job: &Value,
    values: &mut Texts,
    variables: &Texts,
    execute: &mut dyn FnMut(Line) -> Ended,
) -> Vec<Ended> {
    let mut has_actions_cache = false;
    let mut lines = Vec::new();
    for step in steps(job) {
        assert_eq!(step.get("if"), None, "a condition of a step is not known here");
        if let Some(action) = step["uses"].as_str() {
            has_actions_cache |= is_actions_cache(action);
            continue;
        }
        let mut variables = variables.clone();
        variables.extend(filled(&step["env"], values));
        let of_variable = |name: &str| variables[name].clone();
        let words = words(step["run"].as_str().unwrap(), of_variable).unwrap();
        let ended = execute(Line { words, variables, has_actions_cache });
        if let Some(id) = step["id"].as_str() {
            let outputs = ended.outputs.iter();
            values.extend(
                outputs.map(|(name, value)| (format!("steps.{id}.outputs.{name}"), value.clone())),
            );
        }
        let failed = ended.ran.code != Some(0);
        lines.push(ended);
        if failed {
            break;
        }
    }
    lines
}

/// Whether an action passes the Actions cache on. The other actions prepare the checkout and the compiler.
fn is_actions_cache(action: &str) -> bool {
    match action.split('@').next().unwrap() {
        "$/.github/actions/actions-cache" => true,
        "$/.github/actions/setup" | "actions/checkout" => false,
        other => unreachable!("nothing is known of the action `{other}`"),
    }
}

/// The runs of a job, by name, each with the values of its matrix.
fn matrix(job: &Value, id: &str, values: &Texts) -> Vec<(String, Texts)> {
    let Some(expression) = job["strategy"]["matrix"].as_str() else {
        return vec![(id.to_owned(), Texts::new())];
    };
    let matrix: Map<String, Value> = serde_json::from_str(&fill(expression, values)).unwrap();
    let services: Vec<&str> =
        matrix["service"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(matrix.len(), 1, "{matrix:?}");
    let one = |service: &str| {
        let value = ("matrix.service".to_owned(), service.to_owned());
        (format!("{id} ({service})"), Texts::from([value]))
    };
    services.into_iter().map(one).collect()
}

/// Passes the outputs of a job to the jobs that need it.
fn give_outputs(job: &Value, id: &str, values: &mut Texts) {
    for (name, value) in filled(&job["outputs"], values) {
        let path = format!("needs.{id}.outputs.{name}");
        let is_some = value != r#"{"service":[]}"#;
        values.insert(format!("{path} != '{{\"service\":[]}}'"), is_some.to_string());
        values.insert(format!("fromJSON({path})"), value.clone());
        values.insert(path, value);
    }
}

/// The texts of a map with their expressions evaluated.
fn filled(map: &Value, values: &Texts) -> Texts {
    texts(map).map(|(name, text)| (name.clone(), fill(text, values))).collect()
}

/// A text with each `${{ … }}` replaced by its value.
fn fill(text: &str, values: &Texts) -> String {
    let mut parts = text.split("${{");
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let (expression, rest) = part.split_once("}}").unwrap();
        filled.push_str(value(values, expression.trim()));
        filled.push_str(rest);
    }
    filled
}

fn value<'v>(values: &'v Texts, expression: &str) -> &'v str {
    let value = values.get(expression);
    value.unwrap_or_else(|| unreachable!("`{expression}` has no value in tests/support/events.rs"))
}

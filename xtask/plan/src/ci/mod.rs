//! Plays a workflow: which jobs run and in which order, how often each, and what each of its lines gets.
//! What GitHub would tell it is `told`'s; what came of a job is given back as values.

mod ahead;
mod matrix;
mod pattern;
mod told;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use xtask_model::failure::Failure;
use xtask_model::invocation::Invocation;
use xtask_model::shell::Word;
use xtask_model::workflow::{Job, Step, Texts, Workflow};
use xtask_model::yaml::Placed;

use super::expression::{Contexts, NoValue, only_expression, paths};
use super::workflow::line::Line;

pub use ahead::{CiPlan, JobPlan, plan};
pub use told::{Given, Told, event_name};

/// The workflows that can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Play {
    /// A pull request: docker-build.yml
    Pr,
    /// A push to dev: docker-dev-build.yml
    Dev,
    /// A version, by its tag or by hand: release.yml
    Release,
    /// The weekly prune: prune.yml
    Prune,
}

impl Play {
    /// The workflow's file, from the root.
    pub fn file(self) -> &'static str {
        match self {
            Self::Pr => ".github/workflows/docker-build.yml",
            Self::Dev => ".github/workflows/docker-dev-build.yml",
            Self::Release => ".github/workflows/release.yml",
            Self::Prune => ".github/workflows/prune.yml",
        }
    }
}

/// What a variable of a line is set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Setting {
    Value(String),
    /// The value of this variable of the caller's environment, which no plan holds.
    Secret(String),
    /// An expression whose value comes while the jobs run.
    Later(String),
}

pub type Settings = BTreeMap<String, Setting>;

/// What becomes of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// With the reason.
    Skip(String),
    /// Once for each of these matrices.
    Run { instances: Vec<Instance>, condition: Option<String> },
}

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Instance {
    /// The `matrix` context; `None` while it is not known.
    pub matrix: Option<Value>,
    /// What tells it from the others: the values, or the expression that will yield them.
    pub label: Option<String>,
}

/// What becomes of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepPlan {
    /// Of these only the JavaScript ones of the repository itself are run here.
    Action {
        uses: String,
    },
    Skip {
        reason: String,
    },
    /// The line as it can be typed, and its words after `cargo xtask`.
    Run {
        line: String,
        words: Vec<String>,
        settings: Settings,
    },
}

/// How a job ended, and what it gives to those that need it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ended {
    pub succeeded: bool,
    pub outputs: BTreeMap<String, String>,
}

/// Refuses a workflow that would run another way here than at GitHub.
pub fn playable(workflow: &Workflow) -> Result<(), Failure> {
    match workflow.unread.first() {
        None => Ok(()),
        Some(key) => Err(at(key, format!("`{}` is honoured by GitHub alone", key.text))),
    }
}

/// The jobs, each after those that it needs.
pub fn order(workflow: &Workflow) -> Result<Vec<&Job>, Failure> {
    let mut order: Vec<&Job> = Vec::new();
    let mut waiting: Vec<&Job> = workflow.jobs.iter().collect();
    while !waiting.is_empty() {
        let is_done = |need: &Placed| order.iter().any(|job| job.id == need.text);
        let (ready, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|job| job.needs.iter().all(is_done));
        if ready.is_empty() {
            let names: Vec<String> = later.iter().map(|job| format!("`{}`", job.id)).collect();
            return Err(wrong(format!("the jobs {} wait for what never comes", names.join(", "))));
        }
        order.extend(ready);
        waiting = later;
    }
    Ok(order)
}

/// Whether a job runs, and how often. `ended` are the jobs before it; in a plan made ahead it is `None`.
pub fn decide(
    job: &Job,
    contexts: &Contexts,
    ended: Option<&BTreeMap<String, Ended>>,
) -> Result<Decision, Failure> {
    if let Some(ended) = ended {
        let failed = |need: &&Placed| !ended.get(&need.text).is_some_and(|ended| ended.succeeded);
        if let Some(need) = job.needs.iter().find(failed) {
            return Ok(Decision::Skip(format!("`{}` did not succeed", need.text)));
        }
    }
    let condition = match &job.condition {
        None => None,
        Some(condition) => match contexts.holds(&condition.text) {
            Ok(true) => None,
            Ok(false) => return Ok(Decision::Skip(format!("`{}` does not hold", condition.text))),
            Err(NoValue::Later(_)) => Some(condition.text.clone()),
            Err(NoValue::Unknown(problem)) => return Err(at(condition, problem)),
        },
    };
    Ok(Decision::Run { instances: matrix::instances(job, contexts)?, condition })
}

/// What becomes of a step. `given` are variables that earlier steps have set.
pub fn step(
    workflow: &Workflow,
    job: &Job,
    step: &Step,
    told: &Told,
    contexts: &Contexts,
    given: &BTreeMap<String, String>,
) -> Result<StepPlan, Failure> {
    if let Some(condition) = &step.condition {
        match contexts.holds(&condition.text) {
            Ok(true) | Err(NoValue::Later(_)) => {}
            Ok(false) => {
                return Ok(StepPlan::Skip {
                    reason: format!("`{}` does not hold", condition.text),
                });
            }
            Err(NoValue::Unknown(problem)) => return Err(at(condition, problem)),
        }
    }
    let Some(run) = &step.run else {
        let uses = step.uses.as_ref().map_or("", |uses| uses.text.as_str());
        return Ok(StepPlan::Action { uses: uses.to_owned() });
    };
    let mut settings: Settings = told.variables(workflow, job);
    for env in [&workflow.env, &job.env] {
        set(&mut settings, env, contexts)?;
    }
    settings
        .extend(given.iter().map(|(name, value)| (name.clone(), Setting::Value(value.clone()))));
    set(&mut settings, &step.env, contexts)?;
    let line = Line::parse(&run.text).map_err(|problem| at(run, problem))?;
    let mut is_known = true;
    for (name, _) in line.0.iter().flat_map(Word::variables) {
        match settings.get(name) {
            Some(Setting::Value(_)) => {}
            Some(Setting::Later(_)) => is_known = false,
            Some(Setting::Secret(_)) => {
                return Err(at(run, format!("`${name}` would put a secret into an argument")));
            }
            None => return Err(at(run, format!("nothing sets the variable `{name}`"))),
        }
    }
    let mut words = line.expanded(|name| match settings.get(name) {
        Some(Setting::Value(value)) => value.clone(),
        _ => format!("${name}"),
    });
    words.extend(told.options.iter().cloned());
    let line = if is_known {
        let xtask = std::iter::once("xtask").chain(words.iter().map(String::as_str));
        Invocation::new("cargo", xtask).to_string()
    } else {
        let options = told.options.iter().map(String::as_str);
        std::iter::once(run.text.trim()).chain(options).collect::<Vec<_>>().join(" ")
    };
    Ok(StepPlan::Run { line, words, settings })
}

/// Adds variables with the value of their expressions.
fn set(settings: &mut Settings, texts: &Texts, contexts: &Contexts) -> Result<(), Failure> {
    for (name, placed) in texts {
        let setting = match secret(placed)? {
            Some(secret) => Setting::Secret(secret),
            None => match contexts.text(&placed.text) {
                Ok(value) => Setting::Value(value),
                Err(NoValue::Later(_)) => Setting::Later(placed.text.clone()),
                Err(NoValue::Unknown(problem)) => return Err(at(placed, problem)),
            },
        };
        settings.insert(name.clone(), setting);
    }
    Ok(())
}

/// The variable that holds what the text is, when that is a secret.
fn secret(placed: &Placed) -> Result<Option<String>, Failure> {
    if !placed.text.contains("${{") {
        return Ok(None);
    }
    let found = paths(&placed.text).map_err(|problem| at(placed, problem))?;
    let name = found.iter().find_map(|path| match path.as_slice() {
        [root, name] if root == "github" && name == "token" => Some(("GITHUB_TOKEN", path)),
        [root, name] if root == "secrets" => Some((name.as_str(), path)),
        _ => None,
    });
    match name {
        Some((name, path)) if only_expression(&placed.text) == Some(&*path.join(".")) => {
            Ok(Some(name.to_owned()))
        }
        Some(_) => Err(at(placed, "a secret inside another text is not known here")),
        None => Ok(None),
    }
}

/// The outputs of a job whose steps have ended.
pub fn outputs(job: &Job, contexts: &Contexts) -> Result<BTreeMap<String, String>, Failure> {
    let output = |(name, placed): (&String, &Placed)| {
        let text = contexts.text(&placed.text).map_err(|problem| match problem {
            NoValue::Later(problem) | NoValue::Unknown(problem) => at(placed, problem),
        })?;
        Ok((name.clone(), text))
    };
    job.outputs.iter().map(output).collect()
}

/// The `needs` context of a job.
pub fn needs(job: &Job, ended: &BTreeMap<String, Ended>) -> Value {
    let of = |need: &Placed| {
        let ended = ended.get(&need.text)?;
        let result = if ended.succeeded { "success" } else { "failure" };
        Some((need.text.clone(), json!({ "result": result, "outputs": ended.outputs })))
    };
    Value::Object(job.needs.iter().filter_map(of).collect())
}

fn at(placed: &Placed, problem: impl AsRef<str>) -> Failure {
    wrong(format!("line {}: {}", placed.line, problem.as_ref()))
}

fn wrong(message: String) -> Failure {
    Failure::usage(message).hint("cargo xtask verify --local")
}

#[cfg(test)]
mod tests;

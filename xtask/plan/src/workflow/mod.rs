//! Rules about what calls `cargo xtask`: workflows, actions, the compose file and pages. Each rule is a pure
//! function over the text of a file, and each breach has its line and its remedy.

mod compose;
mod jobs;
pub mod line;
mod page;
mod permissions;
mod preparation;

use std::collections::BTreeSet;

use xtask_model::workflow::{Concurrency, Step, Workflow, action_steps, own_folder};
use xtask_model::yaml::{Placed, YamlError};

pub use compose::{Expected, compose, expected};
pub use page::page;

/// A rule that is broken, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    pub file: String,
    pub line: usize,
    pub rule: &'static str,
    pub detail: String,
    pub remedy: String,
}

/// A file of the repository.
#[derive(Debug, Clone, Copy)]
pub struct File<'f> {
    /// Relative to the root.
    pub path: &'f str,
    pub text: &'f str,
}

/// What can be typed, as far as rules ask.
pub struct CommandLine<'c> {
    /// Takes the words after `cargo xtask`; the error says what is wrong with them.
    pub accepts: &'c dyn Fn(&[String]) -> Result<(), String>,
    /// The environment variables that stand for options.
    pub variables: BTreeSet<String>,
}

/// What came of looking at a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// How many `cargo xtask` lines were tried.
    pub lines: usize,
    pub breaches: Vec<Breach>,
}

impl Judged {
    fn add(
        &mut self,
        file: File<'_>,
        line: usize,
        rule: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.breaches.push(Breach {
            file: file.path.to_owned(),
            line,
            rule,
            detail: detail.into(),
            remedy: remedy.into(),
        });
    }

    fn unreadable(&mut self, file: File<'_>, error: YamlError) {
        let remedy = format!("edit {}:{}", file.path, error.line);
        self.add(file, error.line, "syntax", error.problem, remedy);
    }
}

impl File<'_> {
    /// A line as it stands in the file, with its comment.
    fn line(&self, number: usize) -> &str {
        number.checked_sub(1).and_then(|index| self.text.lines().nth(index)).unwrap_or_default()
    }

    /// The comment at the end of a line; empty when there is none.
    fn comment(&self, number: usize) -> &str {
        self.line(number).split_once(" #").map_or("", |(_, comment)| comment.trim())
    }
}

/// The rules of a file below `.github/workflows`.
pub fn workflow(file: File<'_>, command_line: &CommandLine<'_>) -> Judged {
    let mut judged = Judged::default();
    match Workflow::parse(file.text) {
        Ok(workflow) => {
            triggers(file, &workflow, &mut judged);
            concurrency(file, &workflow, &mut judged);
            for job in &workflow.jobs {
                jobs::job(file, &workflow, job, command_line, &mut judged);
            }
        }
        Err(error) => judged.unreadable(file, error),
    }
    judged.breaches.sort_by_key(|breach| breach.line);
    judged
}

/// The rules of an action of the repository itself.
pub fn action(file: File<'_>) -> Judged {
    let mut judged = Judged::default();
    match action_steps(file.text) {
        Ok(steps) => steps.iter().for_each(|step| any_step(file, step, &mut judged)),
        Err(error) => judged.unreadable(file, error),
    }
    judged
}

fn triggers(file: File<'_>, workflow: &Workflow, judged: &mut Judged) {
    for trigger in &workflow.triggers {
        if matches!(trigger.event.as_str(), "pull_request_target" | "workflow_run") {
            let detail = format!("`{}` runs with secrets on what anyone may send", trigger.event);
            judged.add(file, trigger.line, "dangerous-trigger", detail, "use `pull_request`");
        }
    }
    let closed = workflow
        .permissions
        .as_ref()
        .is_some_and(|permissions| permissions.all.is_none() && permissions.scopes.is_empty());
    if !closed {
        let line = workflow.permissions.as_ref().map_or(1, |permissions| permissions.line);
        let detail = "a job without `permissions` gets more than nothing";
        judged.add(file, line, "permissions", detail, "write `permissions: {}` above `jobs:`");
    }
}

/// Two runs never race, and one that publishes is never cut off, neither running nor waiting.
fn concurrency(file: File<'_>, workflow: &Workflow, judged: &mut Judged) {
    for job in &workflow.jobs {
        let Some(concurrency) = job.concurrency.as_ref().or(workflow.concurrency.as_ref()) else {
            let detail = format!("two runs of the job `{}` may race", job.id);
            judged.add(file, job.line, "concurrency", detail, "write `concurrency:` above `jobs:`");
            continue;
        };
        let runs = job.steps.iter().filter_map(|step| step.run.as_ref());
        let mut lines = runs.filter_map(|run| line::Line::parse(&run.text).ok());
        if lines.any(|line| line.publishes())
            && let Some((danger, remedy)) = danger(concurrency)
        {
            let detail = format!("the job `{}` publishes and {danger}", job.id);
            judged.add(file, concurrency.line, "concurrency", detail, remedy);
        }
    }
}

/// What may happen to a run that publishes, and what keeps it from happening.
fn danger(concurrency: &Concurrency) -> Option<(&'static str, &'static str)> {
    if concurrency.group.contains("${{") {
        Some(("may race with another run", "write a `group` that is the same for all of them"))
    } else if concurrency.cancel.as_ref().is_some_and(|cancel| cancel != "false") {
        Some(("may be cut off in between", "write `cancel-in-progress: false`"))
    } else if concurrency.queue.as_deref() != Some("max") {
        Some(("may be replaced while it waits", "write `queue: max`"))
    } else {
        None
    }
}

/// What holds for a step of a job and of an action alike.
fn any_step(file: File<'_>, step: &Step, judged: &mut Judged) {
    if let Some(uses) = &step.uses {
        pinned(file, uses, judged);
    }
    if let Some(run) = step.run.as_ref().filter(|run| run.text.contains("${{")) {
        let detail = "an expression in `run` can become any command";
        judged.add(file, run.line, "expression-in-run", detail, "pass the value with `env:`");
    }
}

/// What comes from elsewhere is named by its commit, with the version for people.
fn pinned(file: File<'_>, uses: &Placed, judged: &mut Judged) {
    let name = uses.text.as_str();
    if own_folder(name).is_some() {
        return;
    }
    let by_commit = name.rsplit_once('@').is_some_and(|(_, at)| {
        let digest = at.strip_prefix("sha256:");
        let hash = digest.unwrap_or(at);
        hash.len() == if digest.is_some() { 64 } else { 40 }
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    let repository = name.split(['@', ':']).next().unwrap_or(name);
    if !by_commit {
        let detail = format!("`{name}` is another program tomorrow");
        let remedy = format!("git ls-remote https://github.com/{repository} and write the commit");
        judged.add(file, uses.line, "pinned", detail, remedy);
    } else if !file.comment(uses.line).starts_with('v') {
        let detail = format!("`{repository}` does not tell which version its commit is");
        judged.add(file, uses.line, "pinned", detail, "add `# v1.2.3` behind the commit");
    }
}

#[cfg(test)]
mod tests;

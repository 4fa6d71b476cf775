//! The rules of one job: what it runs, and what its expressions read. What it may is `permissions`', what
//! its line needs before it is `preparation`'s.

use crate::expression::paths;
use xtask_model::shell::Word;
use xtask_model::workflow::{Job, Matrix, Step, Workflow};
use xtask_model::yaml::Placed;

use super::line::Line;
use super::permissions::permissions;
use super::preparation::preparation;
use super::{CommandLine, File, Judged, any_step, pinned};

pub(super) fn job(
    file: File<'_>,
    workflow: &Workflow,
    job: &Job,
    command_line: &CommandLine<'_>,
    judged: &mut Judged,
) {
    if let Some(uses) = &job.uses {
        pinned(file, uses, judged);
    } else {
        one_line(file, workflow, job, command_line, judged);
        timeout(file, job, judged);
    }
    for step in &job.steps {
        any_step(file, step, judged);
        checkout(file, step, judged);
    }
    preparation(file, workflow, job, judged);
    permissions(file, workflow, job, judged);
    names(file, workflow, job, judged);
    for expression in &job.expressions {
        reads(file, workflow, job, expression, judged);
    }
}

pub(super) fn lines(job: &Job) -> impl Iterator<Item = (&Step, &Placed)> {
    job.steps.iter().filter_map(|step| Some((step, step.run.as_ref()?)))
}

/// A job is one `cargo xtask` line, which anyone can type.
fn one_line(
    file: File<'_>,
    workflow: &Workflow,
    job: &Job,
    command_line: &CommandLine<'_>,
    judged: &mut Judged,
) {
    let count = lines(job).count();
    if count != 1 {
        let detail = format!("the job `{}` has {count} `run` lines, and one is wanted", job.id);
        judged.add(
            file,
            job.line,
            "one-line",
            detail,
            "put the work into one `cargo xtask` command",
        );
    }
    for (step, run) in lines(job) {
        match Line::parse(&run.text) {
            Ok(line) => {
                judged.lines += 1;
                if let Err(problem) = (command_line.accepts)(&line.sample()) {
                    let detail = format!("`{}`: {problem}", run.text);
                    judged.add(file, run.line, "accepted", detail, "cargo xtask --help");
                }
                variables(file, workflow, job, step, run.line, &line, judged);
            }
            Err(problem) => {
                let shown = run.text.lines().next().unwrap_or_default();
                let detail = format!("`{shown}`: {problem}");
                judged.add(file, run.line, "one-line", detail, "write one `cargo xtask` line");
            }
        }
    }
    for texts in [&job.env, &workflow.env].into_iter().chain(job.steps.iter().map(|step| &step.env))
    {
        let ours = texts.iter().filter(|(name, _)| name.starts_with("XTASK_"));
        for (name, placed) in ours.filter(|(name, _)| !command_line.variables.contains(*name)) {
            let detail = format!("no option reads the variable `{name}`");
            judged.add(file, placed.line, "accepted", detail, "cargo xtask --help");
        }
    }
}

/// Every variable of a line is set, and quoted so that its value stays one word.
fn variables(
    file: File<'_>,
    workflow: &Workflow,
    job: &Job,
    step: &Step,
    at: usize,
    line: &Line,
    judged: &mut Judged,
) {
    for (name, quoted) in line.0.iter().flat_map(Word::variables) {
        let given = name.starts_with("GITHUB_") || name.starts_with("RUNNER_");
        let set = [&workflow.env, &job.env, &step.env].iter().any(|env| env.contains_key(name));
        if !given && !set {
            let detail = format!("nothing sets the variable `{name}`");
            judged.add(
                file,
                at,
                "variable",
                detail,
                format!("add `{name}` to the `env:` of the job"),
            );
        }
        if !quoted {
            let detail = format!("the value of `${name}` may become several words");
            judged.add(file, at, "variable", detail, format!("write `\"${name}\"`"));
        }
    }
}

fn timeout(file: File<'_>, job: &Job, judged: &mut Judged) {
    let number = job.timeout.as_ref().and_then(|timeout| timeout.text.parse::<u32>().ok());
    if number.is_none() {
        let detail = format!("the job `{}` may hang for six hours", job.id);
        judged.add(file, job.line, "timeout", detail, "add `timeout-minutes:` to the job");
    }
}

/// The token of the job does not stay on disk, where any later step would find it.
fn checkout(file: File<'_>, step: &Step, judged: &mut Judged) {
    let Some(uses) = step.uses.as_ref().filter(|_| step.is_of("actions/checkout@")) else {
        return;
    };
    let persists = step.with.get("persist-credentials");
    if persists.is_some_and(|persists| persists.text == "false") {
        return;
    }
    let line = persists.map_or(uses.line, |persists| persists.line);
    let reason = file.comment(line).strip_prefix("zizmor: ignore[artipacked]").unwrap_or_default();
    if reason.trim().is_empty() {
        let detail = "git keeps the token of the job for every later step";
        let remedy = "add `persist-credentials: false`, or `# zizmor: ignore[artipacked]` and why";
        judged.add(file, line, "credentials", detail, remedy);
    }
}

/// What `needs` names is there.
fn names(file: File<'_>, workflow: &Workflow, job: &Job, judged: &mut Judged) {
    for need in job.needs.iter().filter(|need| workflow.job(&need.text).is_none()) {
        let detail = format!("there is no job `{}`", need.text);
        judged.add(file, need.line, "needs", detail, format!("edit {}:{}", file.path, need.line));
    }
}

/// What an expression reads is there: needed jobs and their outputs, steps, inputs.
fn reads(file: File<'_>, workflow: &Workflow, job: &Job, expression: &Placed, judged: &mut Judged) {
    let found = match paths(&expression.text) {
        Ok(found) => found,
        Err(problem) => {
            let remedy = "cargo xtask ci --help says which expressions are known";
            judged.add(file, expression.line, "expression", problem, remedy);
            return;
        }
    };
    for path in found {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if let Some((rule, detail)) = missing(workflow, job, &path) {
            let remedy = format!("edit {}:{}", file.path, expression.line);
            judged.add(file, expression.line, rule, detail, remedy);
        }
    }
}

fn missing(workflow: &Workflow, job: &Job, path: &[&str]) -> Option<(&'static str, String)> {
    match path {
        ["needs", id, rest @ ..] => {
            if !job.needs.iter().any(|need| need.text == *id) {
                return Some(("needs", format!("the job `{}` does not need `{id}`", job.id)));
            }
            let outputs = workflow.job(id).map(|needed| &needed.outputs);
            match (rest, outputs) {
                (["outputs", name, ..], Some(outputs)) if !outputs.contains_key(*name) => {
                    Some(("needs", format!("the job `{id}` has no output `{name}`")))
                }
                _ => None,
            }
        }
        ["steps", id, ..] => {
            let there = job.steps.iter().any(|step| step.id.as_deref() == Some(id));
            (!there).then(|| ("expression", format!("no step of `{}` has the id `{id}`", job.id)))
        }
        ["inputs", name, ..] => {
            let there = workflow.triggers.iter().any(|trigger| trigger.inputs.contains_key(*name));
            (!there).then(|| ("expression", format!("there is no input `{name}`")))
        }
        ["matrix", name, ..] => match &job.matrix {
            Some(Matrix::Dimensions(known)) if !known.contains_key(*name) => {
                Some(("expression", format!("the matrix has no `{name}`")))
            }
            None => Some(("expression", format!("the job `{}` has no matrix", job.id))),
            _ => None,
        },
        ["github" | "vars" | "secrets" | "env" | "runner" | "job" | "strategy", ..] | [] => None,
        [other, ..] => Some(("expression", format!("there is no context `{other}`"))),
    }
}

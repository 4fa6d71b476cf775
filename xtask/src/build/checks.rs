//! `cargo xtask build --check`: BuildKit's own checks of the Dockerfiles.

use std::fmt::Write;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::model::build::BuildSpec;
use crate::model::facts::{Engine, Facts};
use crate::model::failure::{Exit, Failure};
use crate::options::Format;
use crate::outside::{docker, terminal};
use crate::plan::build::BuildPlan;
use crate::plan::builder::problem_of_check;
use crate::plan::finding::{Finding, Level};
use crate::report::workflow;

/// One warning or error of BuildKit about a Dockerfile.
#[derive(Debug, Serialize)]
pub struct CheckWarning {
    file: String,
    line: Option<usize>,
    rule: String,
    detail: String,
    url: String,
}

pub fn run(command: &Command, facts: &Facts, plan: &BuildPlan) -> Result<Exit> {
    let mut warnings = Vec::new();
    for service in &plan.services {
        match check(command, &service.build) {
            Ok(found) => warnings.extend(found),
            Err(error) => {
                if let Some(problem) = problem(command, facts)? {
                    return Err(problem.into());
                }
                return Err(error.context(format!("cannot check {}", service.build.dockerfile)));
            }
        }
    }
    let text = match command.global.format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&warnings)?),
        _ => human(&warnings, plan.services.len()),
    };
    terminal::data(&text);
    if facts.environment.github.is_some() {
        for CheckWarning { file, line, rule, detail, .. } in &warnings {
            terminal::message(&workflow::warning(file, *line, rule, detail));
        }
    }
    Ok(if warnings.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Runs BuildKit's checks on one Dockerfile. An answer that is not JSON is an error.
pub fn check(command: &Command, build: &BuildSpec) -> Result<Vec<CheckWarning>> {
    let finished = command.runner.finish(&build.check_invocation())?;
    let Ok(answer) = serde_json::from_str::<CheckReport>(&finished.stdout) else {
        let last_line = finished.stderr.trim().lines().next_back().unwrap_or("no answer");
        return Err(Failure::failed(last_line).into());
    };
    Ok(answer.warnings(&build.dockerfile))
}

/// Why no builder here can run the checks; `None` if one can.
pub fn problem(command: &Command, facts: &Facts) -> Result<Option<Failure>> {
    let engine = match &facts.engine {
        Engine::Unasked => docker::read(&command.runner)?,
        known => known.clone(),
    };
    Ok(problem_of_check(&engine))
}

impl CheckWarning {
    /// The warning as a finding of `verify`.
    pub fn finding(&self) -> Finding {
        let Self { file, line, rule, detail, url } = self;
        let subject = line.map_or(file.clone(), |line| format!("{file}:{line}"));
        let level = if rule == ERROR { Level::Fail } else { Level::Warn };
        let finding = Finding::new(subject, "buildkit", level, format!("{rule}: {detail}"));
        if url.is_empty() {
            finding.remedy("cargo xtask build --check")
        } else {
            finding.hint(format!("see {url}"))
        }
    }
}

/// The rule name for a Dockerfile that cannot be built at all.
const ERROR: &str = "error";

fn human(warnings: &[CheckWarning], services: usize) -> String {
    let mut text = String::new();
    for CheckWarning { file, line, rule, detail, url } in warnings {
        let line = line.map_or(String::new(), |line| format!(":{line}"));
        let _ = writeln!(text, "{file}{line}: {rule}: {detail}\n  {url}");
    }
    let _ = writeln!(text, "Dockerfiles checked: {services}, findings: {}", warnings.len());
    text
}

/// The JSON of `docker buildx build --call=check,format=json`.
#[derive(Deserialize)]
struct CheckReport {
    #[serde(default)]
    warnings: Option<Vec<ReportedWarning>>,
    #[serde(default, rename = "buildError")]
    build_error: Option<BuildError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReportedWarning {
    rule_name: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    location: Option<Location>,
}

#[derive(Deserialize)]
struct BuildError {
    message: String,
    #[serde(default)]
    location: Option<Location>,
}

#[derive(Deserialize)]
struct Location {
    #[serde(default)]
    ranges: Vec<Range>,
}

#[derive(Deserialize)]
struct Range {
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: usize,
}

impl CheckReport {
    fn warnings(self, file: &str) -> Vec<CheckWarning> {
        let line = |location: Option<Location>| {
            location.and_then(|location| Some(location.ranges.first()?.start.line))
        };
        let warnings = self.warnings.unwrap_or_default().into_iter().map(|warning| CheckWarning {
            file: file.to_owned(),
            line: line(warning.location),
            rule: warning.rule_name,
            detail: warning.detail,
            url: warning.url,
        });
        let error = self.build_error.map(|error| CheckWarning {
            file: file.to_owned(),
            line: line(error.location),
            rule: ERROR.to_owned(),
            detail: error.message,
            url: String::new(),
        });
        warnings.chain(error).collect()
    }
}

//! `cargo xtask build --check`: BuildKit's own checks of the Dockerfiles.

use std::fmt::Write;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::cli::Format;
use crate::model::build::BuildSpec;
use crate::model::facts::{Engine, Facts};
use crate::model::failure::{Exit, Failure};
use crate::outside::{docker, terminal};
use crate::plan::build::BuildPlan;
use crate::plan::builder::problem_of_check;
use crate::plan::verify::{self, Level};
use crate::report::workflow;

use super::Start;

/// One thing that BuildKit has to say about a Dockerfile.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    file: String,
    line: Option<usize>,
    rule: String,
    detail: String,
    url: String,
}

pub fn run(start: &Start, facts: &Facts, plan: &BuildPlan) -> Result<Exit> {
    let mut findings = Vec::new();
    for service in &plan.services {
        let checked = checked(start, &service.build)
            .and_then(|checked| checked.map_err(|said| Failure::failed(said).into()));
        match checked {
            Ok(found) => findings.extend(found),
            Err(error) => {
                let engine = match &facts.engine {
                    Engine::Unasked => docker::read(&start.runner)?,
                    looked_at => looked_at.clone(),
                };
                if let Some(problem) = problem_of_check(&engine) {
                    return Err(problem.into());
                }
                return Err(error.context(format!("cannot check {}", service.build.dockerfile)));
            }
        }
    }
    let text = match start.global.format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&findings)?),
        _ => human(&findings, plan.services.len()),
    };
    terminal::data(&text);
    if facts.environment.github.is_some() {
        for finding in &findings {
            let Finding { file, line, rule, detail, .. } = finding;
            terminal::message(&workflow::warning(file, *line, rule, detail));
        }
    }
    Ok(if findings.is_empty() { Exit::Done } else { Exit::Failed })
}

/// What BuildKit finds in one Dockerfile, or what it said instead.
pub(super) fn checked(
    start: &Start,
    build: &BuildSpec,
) -> Result<std::result::Result<Vec<Finding>, String>> {
    let finished = start.runner.finish(&build.check_invocation())?;
    Ok(match serde_json::from_str::<Checked>(&finished.stdout) {
        Ok(checked) => Ok(checked.findings(&build.dockerfile)),
        Err(_) => Err(finished.stderr.trim().lines().next_back().unwrap_or("no answer").to_owned()),
    })
}

impl Finding {
    /// As `verify` shows it.
    pub fn finding(&self) -> verify::Finding {
        let Self { file, line, rule, detail, url } = self;
        let subject = line.map_or(file.clone(), |line| format!("{file}:{line}"));
        let level = if rule == ERROR { Level::Fail } else { Level::Warn };
        let finding = verify::Finding::new(subject, "buildkit", level, format!("{rule}: {detail}"));
        if url.is_empty() {
            finding.remedy("cargo xtask build --check")
        } else {
            finding.hint(format!("see {url}"))
        }
    }
}

/// The rule that a Dockerfile breaks which cannot be built at all.
const ERROR: &str = "error";

fn human(findings: &[Finding], services: usize) -> String {
    let mut text = String::new();
    for Finding { file, line, rule, detail, url } in findings {
        let line = line.map_or(String::new(), |line| format!(":{line}"));
        let _ = writeln!(text, "{file}{line}: {rule}: {detail}\n  {url}");
    }
    let _ = writeln!(text, "{services} Dockerfiles checked, {} findings", findings.len());
    text
}

/// The answer of `docker buildx build --call=check,format=json`.
#[derive(Deserialize)]
struct Checked {
    #[serde(default)]
    warnings: Option<Vec<Warning>>,
    #[serde(default, rename = "buildError")]
    build_error: Option<BuildError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Warning {
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

impl Checked {
    fn findings(self, file: &str) -> Vec<Finding> {
        let line = |location: Option<Location>| {
            location.and_then(|location| Some(location.ranges.first()?.start.line))
        };
        let warnings = self.warnings.unwrap_or_default().into_iter().map(|warning| Finding {
            file: file.to_owned(),
            line: line(warning.location),
            rule: warning.rule_name,
            detail: warning.detail,
            url: warning.url,
        });
        let error = self.build_error.map(|error| Finding {
            file: file.to_owned(),
            line: line(error.location),
            rule: ERROR.to_owned(),
            detail: error.message,
            url: String::new(),
        });
        warnings.chain(error).collect()
    }
}

//! Runs hadolint and BuildKit's own checks on the Dockerfiles. A linter that cannot run here is a
//! skipped finding with the reason and the command that provides it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use crate::build::checks;
use crate::command::Command;
use crate::model::channel::Channel;
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::failure::Interrupted;
use crate::model::invocation::Invocation;
use crate::outside::parallel;
use crate::plan::build::{self, BuildOptions, Purpose};
use crate::plan::finding::{Finding, Level};

/// Installs hadolint and runs it on every Dockerfile.
const INSTALL_HADOLINT: &str = "cargo xtask test dockerfiles";

/// The findings of both linters. A linter without findings passes.
pub(super) fn findings(
    command: &Command,
    facts: &Facts,
    services: &[&ServiceFacts],
) -> Result<Vec<Finding>> {
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let mut findings = hadolint(command, services)?;
    findings.extend(buildkit(command, facts, services)?);
    Ok(findings)
}

/// A finding about all Dockerfiles.
fn about_all(check: &'static str, level: Level, detail: impl Into<String>) -> Finding {
    Finding::new("Dockerfiles", check, level, detail)
}

/// One finding as `hadolint --format json` prints it.
#[derive(Debug, Deserialize)]
struct HadolintFinding {
    code: String,
    file: String,
    level: String,
    line: usize,
    message: String,
}

fn hadolint(command: &Command, services: &[&ServiceFacts]) -> Result<Vec<Finding>> {
    let one = |level, detail: String| about_all("hadolint", level, detail);
    let Some(program) = hadolint_path(&command.target) else {
        let skipped = one(Level::Skip, "hadolint is not installed".to_owned());
        return Ok(vec![skipped.remedy(INSTALL_HADOLINT)]);
    };
    let files = services.iter().map(|service| format!("{}/Dockerfile", service.folder));
    let options = ["--no-fail", "--format=json"].map(str::to_owned);
    let call = Invocation::new(&program.to_string_lossy(), options.into_iter().chain(files));
    let finished = command.runner.finish(&call)?;
    Ok(match serde_json::from_str::<Vec<HadolintFinding>>(&finished.stdout) {
        Ok(found) if found.is_empty() => vec![one(Level::Pass, "no findings".to_owned())],
        Ok(found) => found.iter().map(HadolintFinding::finding).collect(),
        Err(error) => {
            let last_line = finished.stderr.trim().lines().next_back().unwrap_or_default();
            let detail = format!("cannot read hadolint's output: {error}: {last_line}");
            vec![one(Level::Unknown, detail).remedy(INSTALL_HADOLINT)]
        }
    })
}

/// hadolint on the PATH, or in the folder where `cargo xtask test` installs it.
fn hadolint_path(target: &Path) -> Option<PathBuf> {
    let installed = target.join("tools").join("bin").join("hadolint");
    which::which("hadolint").ok().or(installed.is_file().then_some(installed))
}

impl HadolintFinding {
    fn finding(&self) -> Finding {
        let Self { code, file, level, line, message } = self;
        let level = if level == "error" { Level::Fail } else { Level::Warn };
        Finding::new(format!("{file}:{line}"), "hadolint", level, format!("{code}: {message}"))
            .hint(format!("fix it, or allow it above the line: # hadolint ignore={code}"))
    }
}

fn buildkit(command: &Command, facts: &Facts, services: &[&ServiceFacts]) -> Result<Vec<Finding>> {
    let unknown = |why: String| {
        let detail = format!("BuildKit's checks failed: {why}");
        about_all("buildkit", Level::Unknown, detail).remedy("cargo xtask build --check")
    };
    let options = BuildOptions {
        services: services.iter().map(|service| service.name.to_string()).collect(),
        channel: Some(Channel::Local),
        builder: command.global.builder.clone(),
        purpose: Purpose::Check,
        only_shown: true,
        ..BuildOptions::default()
    };
    // A service that cannot be planned must not hide the other findings.
    let plan = match build::plan(facts, &options) {
        Ok(plan) => plan,
        Err(failure) => return Ok(vec![unknown(failure.to_string())]),
    };
    let checked = parallel::each(&plan.services, |service| checks::check(command, &service.build));
    let mut findings = Vec::new();
    for checked in checked {
        match checked {
            Ok(found) => findings.extend(found.iter().map(checks::CheckWarning::finding)),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => match checks::problem(command, facts)? {
                Some(mut problem) => {
                    problem.message = format!("BuildKit's checks cannot run: {}", problem.message);
                    let skipped =
                        Finding::of_failure("Dockerfiles", "buildkit", Level::Skip, problem);
                    return Ok(vec![skipped]);
                }
                None => findings.push(unknown(format!("{error:#}"))),
            },
        }
    }
    if findings.is_empty() {
        findings.push(about_all("buildkit", Level::Pass, "no findings"));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_hadolint_fail() {
        let text = r#"[{"code":"DL3003","column":1,"file":"services/web/Dockerfile","level":"warning","line":2,
            "message":"Use WORKDIR to switch to a directory"},{"code":"DL4000","column":1,"file":"d","level":"error",
            "line":3,"message":"MAINTAINER is deprecated"}]"#;
        let found: Vec<HadolintFinding> = serde_json::from_str(text).unwrap();
        let shown: Vec<String> = found
            .iter()
            .map(HadolintFinding::finding)
            .map(|one| format!("{:?} {}: {}", one.level, one.subject, one.detail))
            .collect();
        assert_eq!(
            shown,
            [
                "Warn services/web/Dockerfile:2: DL3003: Use WORKDIR to switch to a directory",
                "Fail d:3: DL4000: MAINTAINER is deprecated"
            ]
        );
    }
}

//! What hadolint and BuildKit's checks report on the Dockerfiles, for `verify`. A linter that is not
//! installed is skipped, and a finding says so.

use anyhow::Result;
use serde::Deserialize;

use crate::model::channel::Channel;
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::failure::Interrupted;
use crate::model::invocation::Invocation;
use crate::outside::tools::HADOLINT;
use crate::outside::{docker, parallel};
use crate::plan::build::{self, BuildOptions, Purpose};
use crate::plan::builder;
use crate::plan::verify::{Finding, Level};

use super::{Start, check};

/// The findings of all linters that are here; one pass for each without any.
pub(super) fn findings(
    start: &Start,
    facts: &Facts,
    services: &[&ServiceFacts],
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if !services.is_empty() {
        findings.extend(of_hadolint(start, services)?);
        findings.extend(of_buildkit(start, facts, services)?);
    }
    Ok(findings)
}

/// What hadolint found, as it prints it with `--format json`.
#[derive(Debug, Deserialize)]
struct OfHadolint {
    code: String,
    file: String,
    level: String,
    line: usize,
    message: String,
}

fn of_hadolint(start: &Start, services: &[&ServiceFacts]) -> Result<Vec<Finding>> {
    let one = |level, detail: String| Finding::new("Dockerfiles", "hadolint", level, detail);
    let Some(program) = HADOLINT.found(&start.target) else {
        let skipped = one(Level::Skip, "hadolint is not installed".to_owned());
        return Ok(vec![skipped.remedy("cargo xtask test dockerfiles")]);
    };
    let files = services.iter().map(|service| format!("{}/Dockerfile", service.folder));
    let options = ["--no-fail", "--format=json"].map(str::to_owned);
    let call = Invocation::new(&program.to_string_lossy(), options.into_iter().chain(files));
    let finished = start.runner.finish(&call)?;
    Ok(match serde_json::from_str::<Vec<OfHadolint>>(&finished.stdout) {
        Ok(found) if found.is_empty() => vec![one(Level::Pass, "its rules".to_owned())],
        Ok(found) => found.iter().map(OfHadolint::finding).collect(),
        Err(error) => {
            let said = last_line(&finished.stderr);
            let detail = format!("hadolint printed no findings: {error}; it said: {said}");
            vec![one(Level::Unknown, detail).remedy("cargo xtask test dockerfiles")]
        }
    })
}

impl OfHadolint {
    fn finding(&self) -> Finding {
        let Self { code, file, level, line, message } = self;
        let level = if level == "error" { Level::Fail } else { Level::Warn };
        Finding::new(format!("{file}:{line}"), "hadolint", level, format!("{code}: {message}"))
            .hint(format!("mend it, or write above it why not: # hadolint ignore={code}"))
    }
}

/// BuildKit's checks, which need a builder.
fn of_buildkit(start: &Start, facts: &Facts, services: &[&ServiceFacts]) -> Result<Vec<Finding>> {
    let one = |level, detail: String| Finding::new("Dockerfiles", "buildkit", level, detail);
    let absent = |why: &str| one(Level::Skip, format!("no builder checks: {why}"));
    if which::which("docker").is_err() {
        return Ok(vec![absent("there is no `docker`")]);
    }
    let options = BuildOptions {
        services: services.iter().map(|service| service.name.to_string()).collect(),
        channel: Some(Channel::Local),
        builder: start.global.builder.clone(),
        purpose: Purpose::Check,
        only_shown: true,
        ..BuildOptions::default()
    };
    let unknown = |why: String| {
        one(Level::Unknown, format!("no builder checks: {why}")).remedy("cargo xtask build --check")
    };
    let plan = match build::plan(facts, &options) {
        Ok(plan) => plan,
        // What cannot be planned is no reason to leave out what others find.
        Err(failure) => return Ok(vec![unknown(failure.to_string())]),
    };
    let checked = parallel::each(&plan.services, |service| check::checked(start, &service.build));
    let mut findings = Vec::new();
    for checked in checked {
        match checked {
            Ok(Ok(found)) => findings.extend(found.iter().map(check::Finding::finding)),
            Ok(Err(said)) => match builder::problem(&docker::read(&start.runner)?) {
                Some(problem) => return Ok(vec![absent(&problem.message)]),
                None => findings.push(unknown(said)),
            },
            Err(error)
                if error.chain().any(|cause| cause.downcast_ref::<Interrupted>().is_some()) =>
            {
                return Err(error);
            }
            Err(error) => findings.push(unknown(format!("{error:#}"))),
        }
    }
    if findings.is_empty() {
        findings.push(one(Level::Pass, "its checks".to_owned()));
    }
    Ok(findings)
}

fn last_line(text: &str) -> &str {
    text.trim().lines().next_back().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_of_hadolint_names_its_file_and_line_and_an_error_fails() {
        let text = r#"[{"code":"DL3003","column":1,"file":"services/web/Dockerfile","level":"warning","line":2,
            "message":"Use WORKDIR to switch to a directory"},{"code":"DL4000","column":1,"file":"d","level":"error",
            "line":3,"message":"MAINTAINER is deprecated"}]"#;
        let found: Vec<OfHadolint> = serde_json::from_str(text).unwrap();
        let shown: Vec<String> = found
            .iter()
            .map(OfHadolint::finding)
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

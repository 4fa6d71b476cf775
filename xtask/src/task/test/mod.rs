//! `cargo xtask test`: everything CI checks, on any machine, by one line.
//!
//! Each check passes, fails, or is skipped with its reason and counted. The checks that need no
//! engine come first, so that a slip is seen in seconds; then the lab comes up and the tests that
//! need the real thing run against it.

use std::fmt::Write;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use xshell::{Cmd, Shell, cmd};

use crate::cli::{Format, Test};
use crate::model::failure::{Exit, Failure};
use crate::outside::tools::{CARGO_DENY, HADOLINT, SHELLCHECK, Tool, ZIZMOR};
use crate::outside::{files, interrupt, terminal};
use crate::report::test_log;

use super::Start;

/// One check: a name to call it by, and what it does.
struct Check {
    name: &'static str,
    needs_lab: bool,
    run: fn(&Bench<'_>) -> Result<Outcome>,
}

/// What a check that did not fail came to.
enum Outcome {
    Passed(String),
    Skipped(String),
}

const CHECKS: [Check; 11] = [
    Check { name: "format", needs_lab: false, run: format },
    Check { name: "lint", needs_lab: false, run: lint },
    Check { name: "tests", needs_lab: false, run: tests },
    Check { name: "services", needs_lab: false, run: services },
    Check { name: "shell", needs_lab: false, run: shell },
    Check { name: "dockerfiles", needs_lab: false, run: dockerfiles },
    Check { name: "workflows", needs_lab: false, run: workflows },
    Check { name: "licences", needs_lab: false, run: licences },
    Check { name: "advisories", needs_lab: false, run: advisories },
    Check { name: "buildkit-checks", needs_lab: true, run: buildkit_checks },
    Check { name: "lab", needs_lab: true, run: lab },
];

/// A check's result, as `--format json` prints it.
#[derive(Serialize)]
struct Row {
    check: &'static str,
    result: &'static str,
    seconds: f64,
    detail: String,
}

pub fn run(start: &Start, options: &Test) -> Result<Exit> {
    let format = start.human_or_json()?;
    let chosen = choose(&options.checks)?;
    if start.global.dry_run {
        let names: Vec<_> = chosen.iter().map(|check| check.name).collect();
        terminal::data(&format!("{}\n", names.join("\n")));
        return Ok(Exit::Done);
    }
    let shell = Shell::new()?;
    shell.change_dir(&start.root);
    let bench = Bench { start, shell };
    let lab_was_up = super::lab::is_up(start);
    let mut rows = Vec::new();
    for check in chosen {
        interrupt::check()?;
        start.say(&format!("· {} …", check.name));
        let row = bench.judge(check);
        start
            .say(&format!("  {}: {} ({:.1} s) {}", row.check, row.result, row.seconds, row.detail));
        rows.push(row);
    }
    if rows.iter().any(|row| CHECKS.iter().any(|c| c.name == row.check && c.needs_lab))
        && !lab_was_up
    {
        super::lab::leave(start)?;
    }
    report(&rows, format)?;
    let failed = rows.iter().any(|row| row.result == "failed");
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn choose(names: &[String]) -> Result<Vec<&'static Check>> {
    if names.is_empty() {
        return Ok(CHECKS.iter().collect());
    }
    let find = |name: &String| {
        CHECKS.iter().find(|check| check.name == name).ok_or_else(|| {
            let known: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
            Failure::usage(format!("there is no check `{name}`"))
                .hint(format!("name one of {}", known.join(", ")))
                .into()
        })
    };
    names.iter().map(find).collect()
}

fn report(rows: &[Row], format: Format) -> Result<()> {
    let count = |result| rows.iter().filter(|row| row.result == result).count();
    let (passed, failed, skipped) = (count("passed"), count("failed"), count("skipped"));
    if format == Format::Json {
        terminal::data(&format!("{}\n", serde_json::to_string_pretty(rows)?));
        return Ok(());
    }
    let mut text = String::from("\n");
    for row in rows {
        let _ = writeln!(
            text,
            "{:<16} {:<8} {:>7.1} s  {}",
            row.check, row.result, row.seconds, row.detail
        );
    }
    let _ = writeln!(text, "\nchecks: {passed} passed, {failed} failed, {skipped} skipped");
    terminal::data(&text);
    Ok(())
}

/// Where the checks run.
struct Bench<'s> {
    start: &'s Start,
    shell: Shell,
}

impl Bench<'_> {
    fn judge(&self, check: &Check) -> Row {
        let begun = Instant::now();
        let (result, detail) = match (check.run)(self) {
            Ok(Outcome::Passed(detail)) => ("passed", detail),
            Ok(Outcome::Skipped(reason)) => ("skipped", reason),
            Err(error) => {
                let text = format!("{error:#}");
                terminal::message(&text);
                let names = test_log::failed(&text).join(", ");
                ("failed", if names.is_empty() { "see above".to_owned() } else { names })
            }
        };
        Row { check: check.name, result, seconds: begun.elapsed().as_secs_f64(), detail }
    }

    /// Runs a command with its output kept in a log; a failure shows the end of it.
    fn log(&self, name: &str, command: Cmd<'_>) -> Result<String> {
        if self.start.global.verbose {
            terminal::message(&format!("$ {command}"));
        }
        let shown = command.to_string();
        let output = command.quiet().ignore_status().output()?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        let path = self.start.target.join("xtask").join("test").join(format!("{name}.log"));
        files::write_atomically(&path, text.as_bytes())?;
        if output.status.success() {
            return Ok(text);
        }
        Err(Failure::failed(format!("`{shown}` failed\n{}", test_log::failures(&text)))
            .hint(format!("the whole log is {}", path.display()))
            .into())
    }

    /// The manifests of services that are Rust crates; each is its own workspace.
    fn service_manifests(&self) -> Result<Vec<String>> {
        let listed = cmd!(self.shell, "git ls-files services/*/Cargo.toml").quiet().read()?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    fn tool(&self, tool: Tool) -> Result<std::path::PathBuf> {
        tool.ready(&self.shell, &self.start.target, !self.start.global.no_install)
    }
}

fn format(bench: &Bench<'_>) -> Result<Outcome> {
    let shell = &bench.shell;
    bench.log("format", cmd!(shell, "cargo fmt --all --check"))?;
    for manifest in bench.service_manifests()? {
        bench.log("format-service", cmd!(shell, "cargo fmt --manifest-path {manifest} --check"))?;
    }
    Ok(Outcome::Passed(String::new()))
}

fn lint(bench: &Bench<'_>) -> Result<Outcome> {
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

fn tests(bench: &Bench<'_>) -> Result<Outcome> {
    let log = bench.log("tests", cmd!(bench.shell, "cargo test --workspace --locked"))?;
    Ok(Outcome::Passed(counted(&log)))
}

fn services(bench: &Bench<'_>) -> Result<Outcome> {
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

fn shell(bench: &Bench<'_>) -> Result<Outcome> {
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

fn dockerfiles(bench: &Bench<'_>) -> Result<Outcome> {
    let hadolint = bench.tool(HADOLINT)?;
    let listed = cmd!(bench.shell, "git ls-files *Dockerfile").quiet().read()?;
    let paths: Vec<&str> = listed.lines().collect();
    let passed = format!("{} Dockerfiles", paths.len());
    bench.log("dockerfiles", cmd!(bench.shell, "{hadolint} {paths...}"))?;
    Ok(Outcome::Passed(passed))
}

fn workflows(bench: &Bench<'_>) -> Result<Outcome> {
    let zizmor = bench.tool(ZIZMOR)?;
    let command = cmd!(bench.shell, "{zizmor} --offline --no-progress --persona auditor .github");
    bench.log("workflows", command)?;
    Ok(Outcome::Passed(String::new()))
}

fn licences(bench: &Bench<'_>) -> Result<Outcome> {
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

fn advisories(bench: &Bench<'_>) -> Result<Outcome> {
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

fn buildkit_checks(bench: &Bench<'_>) -> Result<Outcome> {
    bench.log("buildkit-checks", cmd!(bench.shell, "cargo xtask build --check --lab"))?;
    Ok(Outcome::Passed(String::new()))
}

fn lab(bench: &Bench<'_>) -> Result<Outcome> {
    bench.log("lab-up", cmd!(bench.shell, "cargo xtask lab up"))?;
    // One at a time: they share one engine and one registry, and empty them.
    let only = ["--", "--ignored", "--test-threads=1"];
    let log = bench.log(
        "lab",
        cmd!(bench.shell, "cargo test --workspace --locked --no-fail-fast {only...}"),
    )?;
    Ok(Outcome::Passed(counted(&log)))
}

/// `12 tests` from the closing lines of `cargo test`; a run of none is not a pass.
fn counted(log: &str) -> String {
    let passed = |line: &str| {
        let rest = line.strip_prefix("test result: ok. ")?;
        rest.split(' ').next()?.parse::<u64>().ok()
    };
    format!("{} tests", log.lines().filter_map(passed).sum::<u64>())
}

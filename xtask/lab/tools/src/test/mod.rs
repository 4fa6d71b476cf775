//! `cargo xtask test`: everything CI checks, on any machine, by one line.
//!
//! Each check passes, fails, or is skipped with its reason. The checks that need no engine come first, so that a
//! mistake shows within seconds; then the lab comes up for the tests that need an engine. They empty it, so they
//! run only on the lab's own, and are skipped where the lab cannot have one.

mod checks;
mod ground;
mod log;

use std::cell::OnceCell;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use xshell::{Cmd, Shell, cmd};

use xtask::command::Command as Start;
use xtask::lab;
use xtask::model::failure::{Exit, Failure};
use xtask::options::Format;
use xtask::outside::{environment, files, interrupt, terminal};
use xtask::task::test::Test;

use crate::install::Installable;
use ground::Ground;

/// A check, with the name that people type.
struct Check {
    name: &'static str,
    run: fn(&Bench<'_>) -> Result<Outcome>,
}

/// How a check ended that did not fail.
enum Outcome {
    Passed(String),
    Skipped(String),
}

const CHECKS: [Check; 14] = [
    Check { name: "format", run: checks::format },
    Check { name: "lint", run: checks::lint },
    Check { name: "limits", run: checks::limits },
    Check { name: "tests", run: checks::tests },
    Check { name: "services", run: checks::services },
    Check { name: "shell", run: checks::shell },
    Check { name: "dockerfiles", run: checks::dockerfiles },
    Check { name: "workflows", run: checks::workflows },
    Check { name: "compose", run: checks::compose },
    Check { name: "licences", run: checks::licences },
    Check { name: "advisories", run: checks::advisories },
    Check { name: "buildkit-checks", run: checks::buildkit_checks },
    Check { name: "images", run: checks::images },
    Check { name: "lab", run: checks::lab },
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
    start.gathers_no_facts("test")?;
    let chosen = choose(&options.checks)?;
    if start.global.dry_run {
        let names: Vec<_> = chosen.iter().map(|check| check.name).collect();
        terminal::data(&match format {
            Format::Json => format!("{}\n", serde_json::to_string_pretty(&names)?),
            _ => format!("{}\n", names.join("\n")),
        });
        return Ok(Exit::Done);
    }
    let shell = Shell::new()?;
    shell.change_dir(&start.root);
    let bench = Bench { start, shell, ground: OnceCell::new() };
    let mut rows = Vec::new();
    for check in chosen {
        interrupt::check()?;
        start.say(&format!("· {} …", check.name));
        let row = bench.judge(check);
        start
            .say(&format!("  {}: {} ({:.1} s) {}", row.check, row.result, row.seconds, row.detail));
        rows.push(row);
    }
    bench.leave_lab()?;
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
    /// Where the checks of the lab run; known once the first of them runs.
    ground: OnceCell<LabGround>,
}

struct LabGround {
    ground: Ground,
    /// Whether the lab was up before the checks; then it stays up.
    was_up: bool,
}

impl Bench<'_> {
    /// Where the checks of the lab run; brings the lab up where it has an engine of its own.
    fn ground(&self) -> Result<&Ground> {
        if self.ground.get().is_none() {
            let ground = ground::ground(&lab::seen(self.start)?, !self.start.global.no_install);
            let was_up = ground != Ground::PrivateBySudo && lab::is_up(self.start);
            let found = self.ground.get_or_init(|| LabGround { ground, was_up });
            if matches!(found.ground, Ground::Private | Ground::PrivateBySudo) {
                self.log("lab-up", self.xtask(&["lab", "up", "--engine=private"]))?;
            }
        }
        let found = self.ground.get().context("it is not known where the lab is")?;
        Ok(&found.ground)
    }

    /// `cargo` with `arguments`, as who owns the lab. What root makes is kept apart: its owner would be in
    /// the way of others.
    fn in_lab(&self, arguments: &[&str]) -> Cmd<'_> {
        self.in_lab_at(&self.lab_target(), arguments)
    }

    /// The same with the lab of a target folder.
    fn in_lab_at(&self, target: &Path, arguments: &[&str]) -> Cmd<'_> {
        if !self.by_sudo() {
            let cargo = self.shell.cmd("cargo").args(arguments);
            return cargo.env("CARGO_TARGET_DIR", target);
        }
        let mut sudo = self.shell.cmd("sudo").args(["--non-interactive", "env"]);
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"] {
            if let Some(value) = environment::text(name) {
                sudo = sudo.arg(format!("{name}={value}"));
            }
        }
        sudo.arg(format!("CARGO_TARGET_DIR={}", target.display())).arg("cargo").args(arguments)
    }

    fn by_sudo(&self) -> bool {
        self.ground.get().is_some_and(|found| found.ground == Ground::PrivateBySudo)
    }

    fn lab_target(&self) -> PathBuf {
        if self.by_sudo() { self.start.target.join("root") } else { self.start.target.clone() }
    }

    /// Our own command there.
    fn xtask(&self, arguments: &[&str]) -> Cmd<'_> {
        let no_install = self.start.global.no_install.then_some("--no-install");
        self.in_lab(&["xtask"]).args(arguments).args(no_install)
    }

    /// Takes down what came up for the checks, and the copies that tests made of it.
    fn leave_lab(&self) -> Result<()> {
        let copies = self.shell.read_dir(self.lab_target().join("test-labs")).unwrap_or_default();
        for copy in copies {
            let down = ["xtask", "lab", "down", "--purge"];
            self.log("lab-down", self.in_lab_at(&copy, &down))?;
        }
        match self.ground.get() {
            Some(found) if !found.was_up => {
                self.log("lab-down", self.xtask(&["lab", "down"])).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn judge(&self, check: &Check) -> Row {
        let begun = Instant::now();
        let (result, detail) = match (check.run)(self) {
            Ok(Outcome::Passed(detail)) => ("passed", detail),
            Ok(Outcome::Skipped(reason)) => ("skipped", reason),
            Err(error) => {
                let text = format!("{error:#}");
                terminal::message(&text);
                let names = log::failed(&text).join(", ");
                ("failed", if names.is_empty() { "see above".to_owned() } else { names })
            }
        };
        Row { check: check.name, result, seconds: begun.elapsed().as_secs_f64(), detail }
    }

    /// Runs a command and keeps its output in a log; a failure shows the tests that failed, or the end of the log.
    fn log(&self, name: &str, command: Cmd<'_>) -> Result<String> {
        if self.start.global.verbose {
            terminal::message(&format!("$ {command}"));
        }
        let shown = command.to_string();
        let command = environment::set_by_cargo().fold(command, Cmd::env_remove);
        let output = command.quiet().ignore_status().output()?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        let path = self.start.target.join("xtask").join("test").join(format!("{name}.log"));
        files::write_atomically(&path, text.as_bytes())?;
        if output.status.success() {
            return Ok(text);
        }
        Err(Failure::failed(format!("`{shown}` failed\n{}", log::failures(&text)))
            .hint(format!("the whole log is {}", path.display()))
            .into())
    }

    /// The manifests of the services that are Rust crates; each is a workspace of its own.
    fn service_manifests(&self) -> Result<Vec<String>> {
        let listed = cmd!(self.shell, "git ls-files services/*/Cargo.toml").quiet().read()?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    fn tool(&self, tool: Installable) -> Result<PathBuf> {
        tool.ready(self.start, &self.shell)
    }
}

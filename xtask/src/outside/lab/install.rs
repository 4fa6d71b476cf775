//! Installs what the lab needs from the distribution's packages, each command shown before it runs.

use std::path::Path;

use anyhow::{Context, Result};

use crate::model::invocation::Invocation;
use crate::outside::process::Runner;
use crate::outside::{files, terminal};

const SOURCES: &str = "/etc/apt/sources.list.d/autogit-lab.sources";
const PREFERENCES: &str = "/etc/apt/preferences.d/autogit-lab";

/// Only what is asked for by name comes from the later suite; everything else stays as it is.
const PINS: &str = "\
Package: *
Pin: release n=bookworm*
Pin-Priority: 900

Package: *
Pin: release n=forky
Pin-Priority: 50
";

/// Installs `packages`; with `from_forky` those that Debian 12 has too old come from Debian testing,
/// pinned so that nothing else is upgraded.
pub fn install(runner: &Runner, packages: &[&str], from_forky: bool) -> Result<()> {
    let apt = runner.clone().with_variable("DEBIAN_FRONTEND", "noninteractive");
    if from_forky {
        add_forky(&apt)?;
    }
    run(&apt, &["update", "--quiet=2"])?;
    let later = ["docker.io", "docker-cli", "docker-buildx", "docker-compose"];
    let names: Vec<String> = packages
        .iter()
        .map(|name| {
            let suite = if from_forky && later.contains(name) { "/forky" } else { "" };
            format!("{name}{suite}")
        })
        .collect();
    let mut arguments = vec!["install", "--quiet=2", "--yes", "--no-install-recommends"];
    arguments.extend(names.iter().map(String::as_str));
    run(&apt, &arguments)
}

/// Adds Debian testing from the mirror that this machine uses already.
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
    for (path, text) in [(PREFERENCES, PINS), (SOURCES, &sources)] {
        terminal::message(&format!("write {path}"));
        files::write_atomically(Path::new(path), text.as_bytes())?;
        readable(Path::new(path))?;
    }
    Ok(())
}

/// apt reads its configuration as another user.
pub(super) fn readable(path: &Path) -> Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .with_context(|| format!("cannot make `{}` readable", path.display()))?;
    Ok(())
}

fn run(apt: &Runner, arguments: &[&str]) -> Result<()> {
    let call = Invocation::new("apt-get", arguments.iter().copied());
    terminal::message(&format!("$ {call}"));
    apt.output(&call).map(drop)
}

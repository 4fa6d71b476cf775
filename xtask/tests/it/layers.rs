//! The boundaries between the layers. The compiler enforces those between the crates. These tests check that no
//! manifest adds a forbidden dependency, and that crates that decide or render have no effects. clippy.toml bans
//! the effects themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate with the crates of this workspace that it may use.
const CRATES: [(&str, &[&str]); 4] = [
    ("model", &[]),
    ("plan", &["xtask-model"]),
    ("report", &["xtask-model", "xtask-plan"]),
    ("outside", &["xtask-model"]),
];

/// The crates without effects.
const PURE: [&str; 3] = ["model", "plan", "report"];

/// The crates that they may use. None of them opens a file or a socket, or starts a process.
const HARMLESS: [&str; 11] = [
    "anyhow",
    "base64",
    "clap",
    "humantime",
    "semver",
    "serde",
    "serde_json",
    "shlex",
    "strsim",
    "toml",
    "unicode-width",
];

/// Parts of the standard library that have effects.
const EFFECTS: [&str; 9] = [
    "std::fs",
    "std::process",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::env",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
];

/// The folder of this package.
pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The names in a manifest's `[dependencies]`, including those for one kind of machine.
fn dependencies(manifest: &str) -> BTreeSet<&str> {
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-dependencies");
        } else if inside && let Some((name, _)) = line.split_once('=') {
            found.insert(name.trim());
        }
    }
    found
}

/// The lines of a text that have effects, as `line: what`.
fn effects(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let effect = EFFECTS.iter().find(|effect| code.contains(*effect));
        found.extend(effect.map(|effect| format!("{}: {effect}", number + 1)));
    }
    found
}

/// The paths in a text outside `cli`, `model` and `plan`. A list or a whole crate hides its paths and counts
/// too.
fn beyond_nouns_and_decisions(text: &str) -> Vec<String> {
    let others = ["outside::", "outside;", "task::", "task;", "report::", "report;", "{"];
    let paths =
        others.iter().flat_map(|other| ["crate", "super"].map(|top| format!("{top}::{other}")));
    let whole = ["xtask_outside", "xtask_report"].map(str::to_owned);
    paths.chain(whole).filter(|path| text.contains(path)).collect()
}

#[test]
fn each_crate_uses_only_its_allowed_layers() {
    for (name, allowed) in CRATES {
        let manifest = fs::read_to_string(here().join(name).join("Cargo.toml")).unwrap();
        let (ours, others): (BTreeSet<_>, BTreeSet<_>) =
            dependencies(&manifest).into_iter().partition(|name| name.starts_with("xtask"));
        assert_eq!(ours, allowed.iter().copied().collect(), "{name}");
        if PURE.contains(&name) {
            let harmless: BTreeSet<&str> = HARMLESS.into();
            let harmful: Vec<_> = others.difference(&harmless).collect();
            assert!(harmful.is_empty(), "{name}: {harmful:?}");
        }
    }
}

#[test]
fn pure_crates_use_no_effects() {
    let mut found = Vec::new();
    for path in PURE.iter().flat_map(|name| sources(&here().join(name).join("src"))) {
        let text = fs::read_to_string(&path).unwrap();
        found.extend(
            effects(&text).into_iter().map(|effect| format!("{}:{effect}", path.display())),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_breach_of_the_layers_is_found() {
    let manifest = "[package]\nname = \"a\"\n\n[dependencies]\nserde = \"1\"\nxtask-plan = { path = \"p\" }\n\n\
                    [target.'cfg(unix)'.dependencies]\nrustix = \"1\"\n\n[dev-dependencies]\ntempfile = \"3\"\n";
    assert_eq!(dependencies(manifest), ["rustix", "serde", "xtask-plan"].into());
    let beyond = beyond_nouns_and_decisions;
    assert_eq!(beyond("use crate::model::facts; use super::building::pair;"), [] as [&str; 0]);
    assert_eq!(beyond("use crate::{model, outside::git};"), ["crate::{"]);
    assert_eq!(beyond("use super::super::task;"), ["super::task;"]);
    assert_eq!(beyond("xtask_report::WIDTH"), ["xtask_report"]);
    assert_eq!(effects("\nuse std::fs;\n// std::env\nuse std::fmt;"), ["2: std::fs"]);
}

#[test]
fn every_file_states_what_it_owns() {
    let crates = CRATES.iter().map(|(name, _)| here().join(name).join("src"));
    let all = crates
        .chain([here().join("src"), here().join("lab/tools/src")])
        .flat_map(|folder| sources(&folder));
    let silent: Vec<_> = all
        .filter(|path| !path.ends_with("tests.rs"))
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "no `//!` in {silent:?}");
}

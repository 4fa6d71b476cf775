//! The wall between the layers: `task` may use everything, `plan` and `report` only what decides and
//! renders, `outside` only the nouns, `model` nothing. clippy.toml bans the effects themselves.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// What a folder of `src/` may use of the crate.
fn allowed(layer: &str) -> &'static [&'static str] {
    match layer {
        "cli" => &["cli", "model", "plan"],
        "model" => &["model"],
        "plan" => &["model", "plan"],
        "outside" => &["model", "outside"],
        "report" => &["model", "plan", "report"],
        "task" => &["cli", "model", "outside", "plan", "report", "task"],
        other => panic!("`src/{other}` is no layer; docs/architecture.md names them"),
    }
}

/// Standard modules that touch the world, for the layers that may not.
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

fn sources(folder: &Path) -> Vec<PathBuf> {
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

/// The breaches of one file's text in `layer`, as `line: what`.
fn breaches(layer: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for used in code.split("crate::").skip(1) {
            let module: String =
                used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !module.is_empty() && !allowed(layer).contains(&module.as_str()) {
                found.push(format!("{}: `{layer}` must not use `{module}`", number + 1));
            }
        }
        if matches!(layer, "model" | "plan" | "report") {
            let effect = EFFECTS.iter().find(|effect| code.contains(*effect));
            found.extend(
                effect.map(|effect| format!("{}: `{layer}` must not touch `{effect}`", number + 1)),
            );
        }
    }
    found
}

#[test]
fn every_file_keeps_to_its_side_of_the_wall() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).unwrap().to_owned();
        let Some(layer) =
            inside.parent().and_then(|p| p.iter().next()).map(|l| l.to_string_lossy())
        else {
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        found.extend(
            breaches(&layer, &text).into_iter().map(|b| format!("{}:{b}", inside.display())),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_wall_is_seen_when_it_is_breached() {
    assert_eq!(breaches("plan", "use crate::outside::git;"), ["1: `plan` must not use `outside`"]);
    assert_eq!(breaches("model", "\nuse std::fs;"), ["2: `model` must not touch `std::fs`"]);
    assert_eq!(
        breaches("outside", "use crate::plan::build;"),
        ["1: `outside` must not use `plan`"]
    );
    assert!(breaches("outside", "use std::fs; use crate::model::facts; // crate::plan").is_empty());
}

#[test]
fn every_file_says_what_it_owns() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let silent: Vec<_> = sources(&src)
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs"))
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "no `//!` in {silent:?}");
}

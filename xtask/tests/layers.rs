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

/// The files of both crates, each with the folder that its module path starts from.
fn all_sources() -> Vec<(PathBuf, PathBuf)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of = |src: PathBuf| sources(&src).into_iter().map(move |path| (src.clone(), path));
    ["src", "pure/src"].into_iter().flat_map(|src| of(here.join(src))).collect()
}

/// The breaches of one file's text in `layer`, as `line: what`; `depth` is how many modules the file is in.
fn breaches(layer: &str, depth: usize, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // Comments go, so that a path that is broken over several lines can be followed through them.
    let code: Vec<&str> =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let whole = code.join("\n");
    let to_the_top = format!("{}::", vec!["super"; depth].join("::"));
    for start in ["crate::", &to_the_top] {
        for (place, _) in whole.match_indices(start) {
            // Of more `super` than lead to the top there are none.
            if whole[..place].ends_with("super::") {
                continue;
            }
            let line = whole[..place].matches('\n').count() + 1;
            for module in heads(&whole[place + start.len()..]) {
                if module != "self" && !allowed(layer).contains(&module) {
                    found.push(format!("{line}: `{layer}` must not use `{module}`"));
                }
            }
        }
    }
    for (number, line) in code.iter().enumerate() {
        if matches!(layer, "model" | "plan" | "report") {
            let effect = EFFECTS.iter().find(|effect| line.contains(*effect));
            found.extend(
                effect.map(|effect| format!("{}: `{layer}` must not touch `{effect}`", number + 1)),
            );
        }
    }
    found
}

/// The modules that a path goes to at once: `plan` of `plan::build`, `plan` and `outside` of
/// `{plan::{build, lab}, outside}`.
fn heads(path: &str) -> Vec<&str> {
    let Some(list) = path.strip_prefix('{') else {
        return first_word(path).into_iter().collect();
    };
    let mut found = Vec::new();
    let mut depth = 0;
    let mut begun = 0;
    for (place, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                found.extend(first_word(&list[begun..place]));
                begun = place + 1;
                if letter == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    found
}

fn first_word(path: &str) -> Option<&str> {
    let path = path.trim_start();
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    Some(&path[..end]).filter(|word| !word.is_empty())
}

/// In how many modules a file of `src/` is: `plan/build/mod.rs` in `plan` and `build`.
fn depth(inside: &Path) -> usize {
    let parts = inside.iter().count();
    if inside.ends_with("mod.rs") { parts - 1 } else { parts }
}

#[test]
fn every_file_keeps_to_its_side_of_the_wall() {
    let mut found = Vec::new();
    for (src, path) in all_sources() {
        let inside = path.strip_prefix(&src).unwrap().to_owned();
        let Some(layer) =
            inside.parent().and_then(|p| p.iter().next()).map(|l| l.to_string_lossy())
        else {
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        found.extend(
            breaches(&layer, depth(&inside), &text)
                .into_iter()
                .map(|b| format!("{}:{b}", inside.display())),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_wall_is_seen_when_it_is_breached() {
    let check = |layer: &str, text: &str, expected: &[&str]| {
        assert_eq!(breaches(layer, 2, text), expected, "{text}");
    };
    check("plan", "use crate::outside::git;", &["1: `plan` must not use `outside`"]);
    check("model", "\nuse std::fs;", &["2: `model` must not touch `std::fs`"]);
    check("outside", "use crate::plan::build;", &["1: `outside` must not use `plan`"]);
    check("outside", "use std::fs; use crate::model::facts; // crate::plan", &[]);
    let listed = "use crate::{\n    model::{self, facts},\n    outside::git,\n};";
    check("plan", listed, &["1: `plan` must not use `outside`"]);
    check("outside", listed, &[]);
    check("plan", "use super::super::outside;", &["1: `plan` must not use `outside`"]);
    check("plan", "use super::super::{outside, model};", &["1: `plan` must not use `outside`"]);
    check("plan", "use super::outside; use super::super::model;", &[]);
    assert_eq!(depth(Path::new("plan/build/mod.rs")), 2);
    assert_eq!(depth(Path::new("plan/build/service.rs")), 3);
}

#[test]
fn every_file_says_what_it_owns() {
    let silent: Vec<_> = all_sources()
        .into_iter()
        .map(|(_, path)| path)
        .filter(|path| !path.ends_with("tests.rs"))
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "no `//!` in {silent:?}");
}

//! Every `cargo xtask` line in a workflow, a page or a Dockerfile is one that the command line accepts,
//! and the workflows keep to their rules.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};

use clap::Parser;
use xtask::cli::Cli;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files below a folder with one of these endings.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let ends = |ending: &&str| path.to_string_lossy().ends_with(*ending);
            if path.is_dir() {
                open.push(path);
            } else if endings.iter().any(ends) {
                found.push(path);
            }
        }
    }
    found
}

/// The `cargo xtask` commands in a text, with the place of each. In prose they stand in backquotes.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let quoted =
            line.split('`').skip(1).step_by(2).filter(|part| part.starts_with("cargo xtask"));
        found.extend(quoted.map(str::to_owned));
        let bare = line.strip_prefix("- run: ").or_else(|| line.strip_prefix("run: "));
        let bare = bare.or_else(|| line.strip_prefix("$ ")).unwrap_or(line);
        if bare.starts_with("cargo xtask ") {
            found.push(bare.split(" #").next().unwrap().to_owned());
        }
    }
    found
}

/// What stands for something: `SERVICE…`, `[VERSION]`, `a | b`.
fn is_a_pattern(command: &str) -> bool {
    ["…", "[", "|", "<"].iter().any(|sign| command.contains(sign))
}

#[test]
fn every_line_in_a_workflow_or_a_page_is_accepted() {
    let mut paths = files(".github", &[".yml"]);
    paths.extend(files("docs", &[".md"]));
    paths.push(root().join("README.md"));
    let mut count = 0;
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for command in commands(&text).into_iter().filter(|command| !is_a_pattern(command)) {
            let words = shlex::split(&command).unwrap();
            // The headings of docs/commands.md name commands without what they need.
            if words.len() < 3 || path.ends_with("docs/commands.md") {
                continue;
            }
            // A variable stands for a value that is checked when it is known.
            let words = words.into_iter().skip(1).map(|word| match word.strip_prefix('$') {
                Some("VERSION" | "GITHUB_REF_NAME") => "v1.2.3".to_owned(),
                Some(_) => "web".to_owned(),
                None => word,
            });
            count += 1;
            if let Err(error) = Cli::try_parse_from(words) {
                use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
                let shown = matches!(error.kind(), DisplayHelp | DisplayVersion);
                assert!(shown, "{}: `{command}`: {error}", path.display());
            }
        }
    }
    assert!(count >= 15, "only {count} commands were found");
}

#[test]
fn workflows_keep_to_their_rules() {
    for path in files(".github", &[".yml"]) {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.display();
        for line in text.lines().map(str::trim) {
            if let Some(run) = line.strip_prefix("- run: ").or_else(|| line.strip_prefix("run: ")) {
                assert!(run.starts_with("cargo xtask "), "{name}: `{run}` is no xtask line");
                assert!(!run.contains("${{"), "{name}: an expression in `{run}`");
            }
            if let Some(used) = line.strip_prefix("- uses: ") {
                let pinned = used.split_once('@').is_some_and(|(_, rest)| {
                    rest.split(' ').next().unwrap().len() == 40 && rest.contains(" # v")
                });
                assert!(
                    used.starts_with("$/") || pinned,
                    "{name}: `{used}` is not pinned by commit"
                );
            }
        }
        assert!(!text.contains("pull_request_target"), "{name}");
        if path.parent().unwrap().ends_with("workflows") {
            for needed in ["\npermissions: {}\n", "\nconcurrency:\n", "timeout-minutes:"] {
                assert!(text.contains(needed), "{name} has no {needed:?}");
            }
            let jobs = text.matches("runs-on:").count();
            assert_eq!(text.matches("timeout-minutes:").count(), jobs, "{name}");
        }
    }
}

#[test]
fn a_pull_request_has_no_permission_to_write() {
    let text = std::fs::read_to_string(root().join(".github/workflows/docker-build.yml")).unwrap();
    assert!(!text.contains(": write"), "{text}");
}

//! What `test` and `lab bench` take and list, without a lab.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and starts the program it tests"
)]

use std::process::Command;

use serde_json::Value;

/// Runs the tools in an empty workspace; returns stdout where `code` is 0, else stderr.
#[track_caller]
fn tools(arguments: &[&str], code: i32) -> String {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("Cargo.toml"), "[workspace]\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask-tools"));
    command.args(arguments).env_remove("XTASK_DRY_RUN");
    command.env("CARGO_MANIFEST_DIR", root.path().join("xtask"));
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    if code == 0 { stdout } else { stderr }
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&tools(&[arguments, &["--format=json"]].concat(), 0)).unwrap()
}

#[test]
fn a_benchmark_dry_run_lists_its_runs() {
    let shown = tools(&["lab", "bench", "--dry-run", "--bandwidth=100mbit"], 0);
    let measured = "nothing changed: docker buildx build --push, seed's flags\n";
    assert!(shown.contains(measured), "{shown}");
    assert!(shown.ends_with("# then write docs/performance-link.md\n"), "{shown}");
    let runs = json(&["lab", "bench", "--dry-run"])["runs"].as_array().unwrap().len();
    assert_eq!(runs, shown.lines().count() - 2);
}

#[test]
fn one_part_can_be_measured_alone() {
    let runs = |part: &str| {
        let plan = json(&["lab", "bench", "--dry-run", "--only", part]);
        let runs = plan["runs"].as_array().unwrap().iter();
        runs.map(|run| run.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(runs("compile"), ["cold compile: the nine crates", "cold compile: xtask"]);
    assert!(runs("publish").iter().all(|run| !run.starts_with("cold compile")));
}

#[test]
fn the_benchmark_refuses_options_it_cannot_follow() {
    let check = |options: &[&str], message: &str| {
        let stderr = tools(&[&["lab", "bench"], options].concat(), 2);
        assert!(stderr.contains(message) && stderr.contains("hint: cargo xtask "), "{stderr}");
    };
    check(&["--builder=mine"], "`--builder` cannot be used here");
    check(&["--bandwidth=fast"], "expected a rate such as 100mbit");
    check(&["--bandwidth=1mbit", "--only=compile"], "`--bandwidth` cannot be used here");
}

#[test]
fn a_command_without_facts_takes_no_fact_files() {
    for command in [&["lab", "bench"][..], &["test"]] {
        for option in ["--facts=f.json", "--record-facts=f.json"] {
            let stderr = tools(&[command, &[option]].concat(), 2);
            assert!(stderr.contains("gathers no facts"), "{stderr}");
        }
    }
}

#[test]
fn checks_are_listed_as_text_and_json() {
    let listed = tools(&["test", "--dry-run"], 0);
    let names = json(&["test", "--dry-run"]);
    let names: Vec<&str> = names.as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    assert_eq!(listed.lines().collect::<Vec<_>>(), names);
    assert!(names.contains(&"images"), "{names:?}");
}

#[test]
fn an_unknown_check_names_the_known_ones() {
    let stderr = tools(&["test", "formatt"], 2);
    assert!(stderr.contains("there is no check `formatt`"), "{stderr}");
    assert!(stderr.contains("hint: name one of format, lint, limits"), "{stderr}");
}

#[test]
fn other_commands_belong_to_xtask() {
    let stderr = tools(&["doctor"], 2);
    assert!(stderr.contains("`xtask-tools` has only `test` and `lab bench`"), "{stderr}");
}

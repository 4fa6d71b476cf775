//! `cargo xtask ci` on the real workflow files, as far as it goes without an engine.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads the files it copies"
)]

mod support;

use std::path::Path;

use support::Fixture;

/// A repository with the real workflows and one service, whose branch changes nothing of it.
fn repository() -> Fixture {
    let fixture = Fixture::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for path in xtask::outside::files::below(&root.join(".github/workflows")).unwrap() {
        let inside = path.strip_prefix(root).unwrap();
        fixture.write(inside.to_str().unwrap(), &std::fs::read_to_string(&path).unwrap());
    }
    fixture.service("web", "FROM debian:bookworm\n");
    fixture.commit("feat: a service");
    fixture.git(&["checkout", "--quiet", "-b", "feature/x"]);
    fixture.write("README.md", "a page");
    fixture.commit("docs: a page");
    fixture
}

/// The lines that a plan has, without what GitHub alone can run.
fn lines(fixture: &Fixture, arguments: &[&str]) -> Vec<String> {
    let ran = fixture.xtask(&[&["ci", "--dry-run"], arguments].concat()).expect(0);
    let lines = ran.stdout.lines().filter(|line| line.starts_with("cargo xtask"));
    lines.map(str::to_owned).collect()
}

#[test]
fn each_workflow_is_planned_from_its_file() {
    let fixture = repository();
    let base = fixture.git(&["rev-parse", "dev"]);
    let affected = format!("cargo xtask build --changed-since {base} --format matrix");
    assert_eq!(
        lines(&fixture, &["pr"]),
        [affected.as_str(), "cargo xtask build \"$SERVICE\" --channel pr --test"]
    );
    assert_eq!(
        lines(&fixture, &["dev", "--lab"]),
        [
            "cargo xtask build --channel dev --format matrix --lab",
            "cargo xtask push \"$SERVICE\" --lab"
        ]
    );
    let by_hand = ["release", "--input", "version=v1.2.3"];
    assert_eq!(lines(&fixture, &by_hand), ["cargo xtask release v1.2.3 --create-tag"]);
    fixture.git(&["tag", "v2.0.0"]);
    assert_eq!(lines(&fixture, &["release"]), ["cargo xtask release v2.0.0"]);
    assert_eq!(lines(&fixture, &["prune"]), ["cargo xtask prune"]);
    let allowed = ["prune", "--var", "PRUNE_APPLY=true"];
    assert_eq!(lines(&fixture, &allowed), ["cargo xtask prune --apply"]);
}

#[test]
fn a_plan_names_the_source_of_a_secret_and_never_its_value() {
    let fixture = repository();
    for format in ["human", "json"] {
        let mut command = fixture.command(&["ci", "dev", "--dry-run", "--format", format]);
        let output = command.env("GITHUB_TOKEN", "hunter2-hunter2").output().unwrap();
        let text = support::text(&output.stdout);
        assert!(text.contains("GITHUB_TOKEN") && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_job_runs_with_what_an_earlier_one_gave() {
    let fixture = repository();
    let ran = fixture.xtask(&["ci", "pr"]).expect(0);
    assert!(ran.stderr.contains("job affected: succeeded"), "{}", ran.stderr);
    assert!(ran.stderr.contains("job build: skipped, `needs.affected"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "{\"service\":[]}\n");
}

#[test]
fn what_cannot_be_played_says_what_to_type() {
    let fixture = repository();
    let ran = fixture.xtask(&["ci", "release", "--dry-run"]).expect(2);
    assert!(ran.stderr.contains("cargo xtask ci release --input version=v1.2.3"), "{}", ran.stderr);
    let ran = fixture.xtask(&["ci", "dev", "--input", "x=y"]).expect(2);
    assert!(ran.stderr.contains("it takes none"), "{}", ran.stderr);
    let ran = fixture.xtask(&["ci", "pr", "--input", "x=y"]).expect(3);
    assert!(
        ran.stderr.contains("does not run for the event `workflow_dispatch`"),
        "{}",
        ran.stderr
    );
    fixture.write(".github/workflows/prune.yml", "on: push\njobz: {}\n");
    let ran = fixture.xtask(&["ci", "prune"]).expect(2);
    assert!(ran.stderr.contains("prune.yml:2: there is no key `jobz`"), "{}", ran.stderr);
    std::fs::remove_file(fixture.root().join(".github/workflows/prune.yml")).unwrap();
    let ran = fixture.xtask(&["ci", "prune"]).expect(1);
    assert!(ran.stderr.contains("prune.yml"), "{}", ran.stderr);
}

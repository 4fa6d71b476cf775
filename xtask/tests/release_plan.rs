//! `cargo xtask release --dry-run` from recorded facts: it needs neither a world nor a program on the PATH.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::{Fixture, Ran};

/// A repository with the service `web`, and its facts with `release` in them.
fn facts(release: &Value) -> (Fixture, String) {
    let fixture = Fixture::new();
    fixture.service("web", "FROM scratch\n");
    fixture.commit("feat: a service");
    let path = fixture.root().join(".git").join("facts.json");
    let name = path.to_str().unwrap().to_owned();
    fixture.xtask(&["build", "--dry-run", "--record-facts", &name]).expect(0);
    let mut facts: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    facts["release"] = release.clone();
    fixture.write(".git/facts.json", &facts.to_string());
    (fixture, name)
}

fn release(fixture: &Fixture, more: &[&str]) -> Ran {
    let line = [&["release", "v1.2.3", "--dry-run"], more].concat();
    Ran::from(fixture.command(&line).env("PATH", "").output().unwrap())
}

#[test]
fn every_tag_is_explained_to_people_and_to_programs() {
    let latest = format!("sha256:{}", "3".repeat(64));
    let (fixture, facts) = facts(&json!({
        "on_branch": true, "published": {"web": ["1.2.2", "2.0.0"]},
        "heads": {"web": {"latest": latest}},
    }));
    let text = release(&fixture, &["--facts", &facts]).expect(0).stdout;
    for line in [
        "# release: v1.2.3 (it is named)\n# git tag: is not there; with --create-tag it is made\n",
        "#   v1.2.3: now nothing; set: to the image that is built, for good\n",
        "#   1.2: now nothing; set: v1.2.3 is the highest stable version of its line\n",
        "#   latest: now 333333333333; stays: v2.0.0 is higher\n",
        "docker buildx build",
    ] {
        assert!(text.contains(line), "{line} {text}");
    }
    let json = release(&fixture, &["--facts", &facts, "--format=json"]).expect(0).json();
    assert_eq!(json["tags"][0]["tags"][4]["now"], latest.as_str(), "{json:#}");
    assert_eq!(json["tags"][0]["tags"][4]["becomes"], "stays", "{json:#}");
    assert_eq!(json["services"][0]["action"]["do"], "build", "{json:#}");
}

#[test]
fn what_would_be_refused_is_told_tag_by_tag_and_then_refused() {
    let (fixture, facts) = facts(&json!({ "on_branch": true }));
    let ran = release(&fixture, &["--facts", &facts, "--promote"]).expect(3);
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    let refused = format!("v1.2.3: now nothing; refused: there is no `dev-{commit}` to promote");
    assert!(ran.stdout.contains(&refused), "{}", ran.stdout);
    assert!(ran.stderr.contains("to promote"), "{}", ran.stderr);
}

#[test]
fn the_facts_of_another_command_are_not_enough() {
    let (fixture, facts) = facts(&Value::Null);
    let ran = release(&fixture, &["--facts", &facts]).expect(2);
    assert!(ran.stderr.contains("these facts are not those of a release"), "{}", ran.stderr);
}

//! `cargo xtask release --dry-run` from recorded facts: it needs no registry and no program on the PATH.

use crate::support::{Fixture, Ran};
use serde_json::{Value, json};

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
fn a_release_prints_all_of_its_steps() {
    let (fixture, facts) = facts(&json!({
        "on_branch": true, "has_origin": true, "published": {"web": ["1.2.2", "2.0.0"]},
    }));
    let text = release(&fixture, &["--facts", &facts, "--create-tag"]).expect(0).stdout;
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    let steps: Vec<_> =
        text.lines().filter(|line| line.starts_with("# ") && line.contains(". ")).collect();
    let repository = "127.0.0.1:9/fixture/repo/web";
    assert_eq!(
        steps,
        [
            format!("# 1. create the git tag v1.2.3 at {commit}, and push it"),
            format!(
                "# 1. build, and push to {repository}:v1.2.3, unless {repository}:v1.2.3 exists \
                 by then"
            ),
            "# 2. export the cache, beside the steps that follow".to_owned(),
            "# 3. check that the built image has all its manifests and layers".to_owned(),
            format!(
                "# 4. point {repository}:{commit} to the built image, if the tag is unset or \
                 points to it"
            ),
            format!(
                "# 1. move {repository}:1.2 to the built image, if no higher version of the line \
                 is published"
            ),
            format!(
                "# 2. move {repository}:1 to the built image, if no higher version of the line is \
                 published"
            ),
            format!(
                "# 3. read {repository}:v1.2.3 again; if another run has pushed it, move 1.2, 1 of \
                 {repository} to its image"
            ),
            format!("# 4. list the versions again; give 1.2, 1 of {repository} to a higher one"),
            "# 5. create the GitHub release v1.2.3, unless one is published".to_owned(),
        ],
        "{text}"
    );
    for line in [
        "# release: v1.2.3 (named on the command line)\n# git tag: v1.2.3 is missing\n",
        "# tag 1.2 moves (v1.2.3 is the highest stable version of its line)\n",
        "# tag latest stays (v2.0.0 is higher)\n",
        "docker buildx build",
    ] {
        assert!(text.contains(line), "{line} {text}");
    }
}

#[test]
fn the_json_has_the_same_steps() {
    let (fixture, facts) = facts(&json!({ "on_branch": true }));
    let json = release(&fixture, &["--facts", &facts, "--format=json"]).expect(0).json();
    let names = |steps: &Value| -> Vec<String> {
        let steps = steps.as_array().unwrap().iter();
        steps.map(|step| step["step"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&json["first"]), ["require-git-tag"]);
    let service = &json["services"][0];
    assert_eq!(names(&service["steps"]), ["build", "export-cache", "check-image", "set-tag"]);
    assert_eq!(service["action"]["do"], "build", "{json:#}");
    let finally = ["move-tag", "move-tag", "move-tag", "recheck", "recheck", "create-release"];
    assert_eq!(names(&json["finally"]), finally);
    assert_eq!(json["release"]["version"], "1.2.3", "{json:#}");
}

#[test]
fn a_promotion_without_a_tested_image_is_refused() {
    let (fixture, facts) = facts(&json!({ "on_branch": true }));
    let ran = release(&fixture, &["--facts", &facts, "--promote"]).expect(3);
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    let refused = format!("there is no image `dev-{commit}` to promote");
    assert!(ran.stderr.contains(&refused), "{}", ran.stderr);
}

#[test]
fn the_facts_of_another_command_are_not_enough() {
    let (fixture, facts) = facts(&Value::Null);
    let ran = release(&fixture, &["--facts", &facts]).expect(2);
    assert!(ran.stderr.contains("these facts are not those of a release"), "{}", ran.stderr);
}

//! `cargo xtask build --dry-run` through the real binary, planned from facts, with no engine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::Fixture;

const DOCKERFILE: &str = "ARG BASE=debian:bookworm\nFROM ${BASE}\nRUN true\n";

fn two_services() -> Fixture {
    let fixture = Fixture::new();
    fixture.service("web", DOCKERFILE);
    fixture.service("worker", DOCKERFILE);
    fixture.commit("feat: two services");
    fixture
}

#[test]
fn a_dry_run_is_a_script_and_changes_nothing() {
    let fixture = two_services();
    let ran = fixture.xtask(&["build", "--dry-run"]).expect(0);
    let revision = fixture.git(&["rev-parse", "HEAD"]);
    assert!(ran.stdout.contains("\ndocker buildx build \\\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("--tag=repo-web:local"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("--label=org.opencontainers.image.revision={revision}")));
    assert!(ran.stdout.contains("--label=org.opencontainers.image.created=2026-01-02T03:04:05Z"));
    assert!(
        ran.stdout.contains("--output=type=docker,source-date-epoch=1767323045"),
        "{}",
        ran.stdout
    );
    assert_eq!(fixture.git(&["status", "--porcelain"]), "");
}

#[test]
fn facts_that_were_recorded_give_the_same_plan_without_the_world() {
    let fixture = two_services();
    let facts = fixture.root().join("facts.json");
    let path = facts.to_str().unwrap();
    let json = ["--dry-run", "--format=json"];
    let seen =
        fixture.xtask(&[&["build"], &json[..], &["--record-facts", path]].concat()).expect(0);
    std::fs::remove_dir_all(fixture.root().join("services")).unwrap();
    let planned = fixture.xtask(&[&["build"], &json[..], &["--facts", path]].concat()).expect(0);
    assert_eq!(seen.json(), planned.json());
    assert_eq!(planned.json()["services"].as_array().unwrap().len(), 2);
}

#[test]
fn a_slip_in_a_service_name_is_a_usage_error_with_the_nearest() {
    let fixture = two_services();
    let ran = fixture.xtask(&["build", "wbe", "--dry-run"]).expect(2);
    assert_eq!(ran.stdout, "");
    assert_eq!(ran.stderr, "error: there is no service `wbe`\n\nhint: did you mean `web`?\n");
}

#[test]
fn only_services_whose_inputs_differ_are_built_with_changed_since() {
    let fixture = two_services();
    let matrix = |fixture: &Fixture| {
        let ran = fixture.xtask(&["build", "--changed-since=HEAD", "--format=matrix"]).expect(0);
        ran.json()["service"].clone()
    };
    assert_eq!(matrix(&fixture), serde_json::json!([]));
    fixture.write("services/worker/new.txt", "untracked");
    assert_eq!(matrix(&fixture), serde_json::json!(["worker"]));
    fixture.configure("[workspace.metadata.images.services.web.build-args]\nBASE = 'debian:12'\n");
    assert_eq!(matrix(&fixture), serde_json::json!(["web", "worker"]));
}

#[test]
fn a_secret_that_is_not_there_is_an_error_before_anything_runs() {
    let fixture = two_services();
    let missing = ["build", "--dry-run", "--secret=id=npm,env=THE_NPM_TOKEN"];
    let ran = fixture.xtask(&missing).expect(2);
    assert!(ran.stderr.contains("`THE_NPM_TOKEN` is not set"), "{}", ran.stderr);
    let mut command = fixture.command(&missing);
    let ran = support::Ran::from(command.env("THE_NPM_TOKEN", "hunter2-hunter2").output().unwrap());
    let ran = ran.expect(0);
    assert!(ran.stdout.contains("--secret=id=npm,env=THE_NPM_TOKEN"));
    assert!(!format!("{ran:?}").contains("hunter2"), "the value must not be shown");
}

#[test]
fn a_pull_request_never_publishes_whatever_it_asks_for() {
    let fixture = two_services();
    let mut command = fixture.command(&["build", "--dry-run", "--channel=dev"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "pull_request");
    let ran = support::Ran::from(command.output().unwrap()).expect(3);
    assert!(ran.stderr.contains("a pull request never publishes"), "{}", ran.stderr);
}

#[test]
fn a_folder_without_git_still_has_a_plan() {
    let fixture = Fixture::new();
    fixture.service("web", DOCKERFILE);
    let ran = fixture.xtask(&["build", "--dry-run"]).expect(0);
    assert!(!ran.stdout.contains("image.revision"), "{}", ran.stdout);
}

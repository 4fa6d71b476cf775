//! `cargo xtask push --lab` when it is killed, when the registry fails, and when an image must not be
//! published: `dev` stays whole, and the next run finishes.

use std::process::Child;

use crate::support::lab::Lab;
use crate::support::pushing::{begun_in, noise, pulls, push, the_service, unlike_any, unpublished};
use crate::support::{Fixture, Ran};
use serde_json::{Value, json};

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn dirty_trees_and_pull_requests_never_move_dev() {
    let (fixture, lab) = unpublished();
    fixture.write("services/web/new", "not committed");
    let ran = fixture.xtask(&["push", "--lab"]).expect(3);
    assert!(ran.stderr.contains("`services/web/new`"), "{}", ran.stderr);
    let mut command = fixture.command(&["push", "--lab", "--allow-dirty"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "pull_request");
    Ran::from(command.output().unwrap()).expect(3);
    assert!(lab.manifest(&fixture.image(), "dev").is_none());

    fixture.xtask(&["push", "--lab", "--allow-dirty"]).expect(0);
    let revision = fixture.git(&["rev-parse", "HEAD"]);
    assert!(lab.manifest(&fixture.image(), &format!("dev-{revision}-dirty")).is_some());
    assert!(lab.manifest(&fixture.image(), "dev").is_none(), "`dev` is always a commit's");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_push_containing_a_secret_is_refused() {
    let (fixture, lab) = unpublished();
    let dockerfile = std::fs::read_to_string(fixture.root().join("services/web/Dockerfile"));
    let dockerfile = dockerfile.unwrap();
    let web = "[workspace.metadata.images.services.web";
    let leaks = [
        ("RUN echo hunter2-hunter2 > /x\n", String::new()),
        ("", format!("{web}.build-args]\nSEED = 'hunter2-hunter2'\n")),
        ("", format!("{web}]\ndescription = 'with hunter2-hunter2'\n")),
    ];
    for (step, configuration) in leaks {
        fixture.service("web", &format!("{dockerfile}{step}"));
        fixture.configure(&configuration);
        fixture.commit("feat: leak");
        for name in ["DEPLOY_TOKEN", "TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_PAT"] {
            let mut command = fixture.command(&["push", "--lab"]);
            command.env(name, "hunter2-hunter2");
            let ran = Ran::from(command.output().unwrap()).expect(3);
            assert!(ran.stderr.contains(&format!("`{name}`")), "{}", ran.stderr);
            assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
        }
    }
    // A file that a build mounts as a secret.
    fixture.service("web", &format!("{dockerfile}RUN echo hunter2-hunter2 > /x\n"));
    fixture.configure(&format!("{web}.secrets]\nnpm = 'file:npm.key'\n"));
    fixture.write(".gitignore", "npm.key\n");
    fixture.write("npm.key", "hunter2-hunter2\n");
    fixture.commit("feat: leak");
    let ran = fixture.xtask(&["push", "--lab"]).expect(3);
    assert!(ran.stderr.contains("the secret file `npm.key`"), "{}", ran.stderr);
    assert!(lab.manifest(&fixture.image(), "dev").is_none());
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_job_gets_its_outputs_and_its_summary() {
    let (fixture, _lab) = unpublished();
    let folder = tempfile::tempdir().unwrap();
    let (output, summary) = (folder.path().join("output"), folder.path().join("summary"));
    let mut command = fixture.command(&["push", "--lab"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "push");
    command.env("GITHUB_OUTPUT", &output).env("GITHUB_STEP_SUMMARY", &summary);
    Ran::from(command.output().unwrap()).expect(0);
    let output = std::fs::read_to_string(output).unwrap();
    assert!(output.contains("web-digest<<") && output.contains("\nsha256:"), "{output}");
    let summary = std::fs::read_to_string(summary).unwrap();
    for part in [
        "| web | built |",
        "| web | :cache not there (",
        "| :dev with the image (",
        "; :cache exported (",
        "```mermaid\ngantt\n",
    ] {
        assert!(summary.contains(part), "no {part:?} in {summary}");
    }
}

/// A push under way. Only the push itself is killed: its children continue for a while, as they do when a
/// system kills a process.
fn begun(fixture: &Fixture) -> Child {
    begun_in(fixture, fixture.root(), &["push", "--lab"])
}

fn change(fixture: &Fixture) -> String {
    fixture.write("services/web/data", &noise(unlike_any(), 3000));
    fixture.commit("feat: other data")
}

/// A service that was published twice, and the number of requests of the second push.
fn published() -> (Fixture, Lab, usize) {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    change(&fixture);
    lab.reset();
    push(&fixture, &[]).expect(0);
    let count = lab.requests().len();
    assert!(count > 10, "{count}");
    (fixture, lab, count)
}

/// A push that is killed at every second request, from `first` on, and the push after it.
fn killed_at_every_second_request(first: usize) {
    let (fixture, lab, count) = published();
    for nth in (first..=count).step_by(2) {
        let revision = change(&fixture);
        let exact = format!("dev-{revision}");
        lab.reset();
        lab.hold_up(json!({ "nth": nth }));
        let mut child = begun(&fixture);
        lab.until_held_up(&mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        let there = lab.manifest(&fixture.image(), "dev").unwrap().1;
        lab.whole(&fixture.image(), &there);
        lab.no_faults();
        let published = the_service(&push(&fixture, &[]).expect(0));
        let (_, dev) = lab.manifest(&fixture.image(), "dev").unwrap();
        assert_eq!(lab.manifest(&fixture.image(), &exact).unwrap().1, dev, "request {nth}");
        assert_eq!(published["digest"], dev, "request {nth}");
        let again = the_service(&push(&fixture, &[]).expect(0));
        let set = again["tags"].as_array().unwrap().iter().filter(|tag| tag["set"] == true);
        assert_eq!(set.count(), 0, "request {nth}: {again:#}");
    }
    pulls(&lab, &fixture, "dev");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_push_killed_at_odd_requests_is_finished() {
    killed_at_every_second_request(1);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_push_killed_at_even_requests_is_finished() {
    killed_at_every_second_request(2);
}

fn faults() -> [Value; 8] {
    [
        json!({"kind": "drop"}),
        json!({"kind": "reset"}),
        json!({"kind": "status", "code": 500}),
        json!({"kind": "status", "code": 503}),
        json!({"kind": "status", "code": 429, "retry_after": 1}),
        json!({"kind": "slow", "bytes_per_second": 4000}),
        json!({"kind": "truncate", "after": 20}),
        json!({"kind": "lose_answer"}),
    ]
}

/// A push of a new commit while request number `nth` meets a fault: it succeeds, or it reports why not and
/// `dev` does not move.
fn survives(fixture: &Fixture, lab: &Lab, revision: &str, nth: usize, fault: &Value) {
    let before = lab.manifest(&fixture.image(), "dev").unwrap().1;
    lab.reset();
    lab.fault(&json!({"match": {"nth": nth, "count": 1}, "action": fault}));
    let ran = push(fixture, &[]);
    lab.no_faults();
    let dev = lab.manifest(&fixture.image(), "dev").unwrap().1;
    lab.whole(&fixture.image(), &dev);
    if ran.code == Some(0) {
        let exact = lab.manifest(&fixture.image(), &format!("dev-{revision}")).unwrap().1;
        assert_eq!(dev, exact, "{fault} at {nth}");
        return;
    }
    assert!(matches!(ran.code, Some(1 | 4)), "{fault} at {nth}: {ran:?}");
    assert_eq!(dev, before, "{fault} at {nth}: {}", ran.stderr);
    let reason = ran.stderr.lines().any(|line| {
        let text = line.strip_prefix("web: ").or(line.strip_prefix("error: "));
        text.is_some_and(|text| !text.trim().is_empty())
    });
    assert!(reason, "{fault} at {nth}: {}", ran.stderr);
}

/// Every fourth request meets one of the faults. With `ALL_FAULTS` it meets all of them, which takes
/// half an hour, because BuildKit itself waits before it tries again.
fn faults_at_every_fourth_request(first: usize) {
    let (fixture, lab, count) = published();
    let all = std::env::var_os("ALL_FAULTS").is_some();
    for nth in (first..=count).step_by(4) {
        for (position, fault) in faults().iter().enumerate() {
            if all || position == nth % faults().len() {
                survives(&fixture, &lab, &change(&fixture), nth, fault);
            }
        }
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_push_survives_faults_at_1_5_9() {
    faults_at_every_fourth_request(1);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_push_survives_faults_at_2_6_10() {
    faults_at_every_fourth_request(2);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_push_survives_faults_at_3_7_11() {
    faults_at_every_fourth_request(3);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_push_survives_faults_at_4_8_12() {
    faults_at_every_fourth_request(4);
}

/// If nothing is built, xtask makes all requests itself, and each meets every fault.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_retag_survives_every_fault_at_every_request() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    fixture.another_commit();
    lab.reset();
    push(&fixture, &[]).expect(0);
    for nth in 1..=lab.requests().len() {
        for fault in faults() {
            survives(&fixture, &lab, &fixture.another_commit(), nth, &fault);
        }
    }
}

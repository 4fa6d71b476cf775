//! `cargo xtask prune --lab` against the real registry and the stand-in for GitHub's packages API.

use crate::support::Fixture;
use crate::support::lab::Lab;
use serde_json::Value;

/// A repository with three commits of one service, all published and old: the fixture dates its commits
/// in January 2026.
fn three_pushes() -> (Fixture, Lab, Vec<String>) {
    let fixture = Fixture::unpublished();
    fixture.configure("[workspace.metadata.images.retention]\nkeep-last = 1\nmax-share = 1.0\n");
    let lab = Lab::up(&fixture);
    let mut commits = Vec::new();
    for number in 0..3 {
        let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        fixture.service("web", &format!("FROM debian:bookworm\nRUN echo {number} {seed} > /x\n"));
        commits.push(fixture.commit("feat: another"));
        fixture.xtask(&["push", "--lab"]).expect(0);
    }
    (fixture, lab, commits)
}

fn image(fixture: &Fixture) -> String {
    format!("{}/web", fixture.repository)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn prune_on_a_registry_keeps_what_runs() {
    let (fixture, lab, commits) = three_pushes();
    let plan = fixture.xtask(&["prune", "--lab", "--format=json"]).expect(0).json();
    assert_eq!(plan["refuse"], Value::Null, "{plan:#}");
    let before = lab.manifest(&image(&fixture), "dev").unwrap().1;
    assert!(!plan["delete"].as_array().unwrap().iter().any(|digest| *digest == before));

    let explained = fixture.xtask(&["prune", "--lab", "explain", "web:dev"]).expect(0).stdout;
    assert!(explained.contains("kept: `dev` is kept for ever"), "{explained}");
    let oldest = format!("web:dev-{}", commits[0]);
    let explained = fixture.xtask(&["prune", "--lab", "explain", &oldest]).expect(0).stdout;
    assert!(explained.contains("deleted: "), "{explained}");
    // By its full reference, by the digits of the table, and as JSON.
    let full = format!("{}/{}:dev", lab.registry(), image(&fixture));
    let digits = format!("web@{}", &before["sha256:".len()..][..12]);
    for reference in [&full, &digits] {
        let options = ["prune", "--lab", "--format=json", "explain", reference];
        let path = fixture.xtask(&options).expect(0).json();
        assert_eq!(
            (&path[0]["digest"], &path[0]["keep"]),
            (&Value::from(before.clone()), &Value::Bool(true))
        );
    }

    fixture.xtask(&["prune", "--lab", "--apply"]).expect(0);
    assert!(lab.manifest(&image(&fixture), &format!("dev-{}", commits[0])).is_none());
    assert_eq!(lab.manifest(&image(&fixture), "dev").unwrap().1, before);
    lab.empty_engine();
    let reference = format!("{}/{}:dev", lab.registry(), image(&fixture));
    lab.docker(&["run", "--rm", &reference, "test", "-s", "/x"]).expect(0);
    let again = fixture.xtask(&["prune", "--lab", "--format=json"]).expect(0).json();
    assert_eq!(again["delete"], serde_json::json!([]), "{again:#}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn prune_on_github_can_be_undone() {
    let (fixture, lab, commits) = three_pushes();
    let github = ["prune", "--lab", "--backend=github", "--format=json"];
    let plan = fixture.xtask(&github).expect(0).json();
    // At GitHub's stand-in they were pushed just now.
    assert_eq!(plan["delete"], serde_json::json!([]), "{plan:#}");
    let versions = plan["verdicts"].as_array().unwrap().len();
    assert!(versions >= 7, "{plan:#}");
    lab.age(&image(&fixture), &plan);
    let file = fixture.root().join("../agreed.json");
    let file = file.to_str().unwrap();
    let plan = fixture.xtask(&[&github[..], &["--plan-file", file]].concat()).expect(0).json();
    let planned = plan["delete"].as_array().unwrap().len();
    assert!(planned >= 2, "{plan:#}");

    let report = fixture.root().join("../report.json");
    let report = report.to_str().unwrap();
    let apply = ["--apply", file, "--report", report];
    let done = fixture.xtask(&[&github[..], &apply].concat()).expect(0).json();
    assert_eq!(done["packages"][0]["deleted"].as_array().unwrap().len(), planned, "{done:#}");
    let listed = fixture.xtask(&github).expect(0).json();
    assert_eq!(listed["verdicts"].as_array().unwrap().len(), versions - planned);

    fixture.xtask(&["prune", "--lab", "--backend=github", "undo", report]).expect(0);
    let listed = fixture.xtask(&github).expect(0).json();
    assert_eq!(listed["verdicts"].as_array().unwrap().len(), versions);
    assert!(lab.manifest(&image(&fixture), &format!("dev-{}", commits[0])).is_some());
}

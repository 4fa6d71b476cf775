//! `cargo xtask prune` without a registry: contradictory options, and a plan from a file.

use crate::support::{Fixture, Ran};

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.service("web", "FROM scratch\nCOPY Dockerfile /\n");
    fixture.commit("feat: a service");
    fixture
}

#[test]
fn prune_applies_nothing_from_saved_facts() {
    let fixture = fixture();
    for options in [&["--apply"][..], &["undo", "report.json"]] {
        let ran = fixture.xtask(&[&["prune", "--facts", "facts.json"], options].concat()).expect(2);
        assert!(ran.stderr.contains("`--facts` plans from a file"), "{}", ran.stderr);
    }
}

#[test]
fn a_service_after_apply_is_a_usage_error() {
    let ran = fixture().xtask(&["prune", "--backend=registry", "--apply", "web"]).expect(2);
    assert!(ran.stderr.contains("hint: cargo xtask prune web --apply"), "{}", ran.stderr);
}

#[test]
fn files_with_an_unknown_schema_are_refused() {
    let fixture = fixture();
    fixture.write("plan.json", r#"{"schema":9,"delete":[]}"#);
    fixture.write(
        "report.json",
        r#"{"schema":9,"started":1,"finished":true,"packages":[],"requests":0}"#,
    );
    for options in [&["--apply", "plan.json"][..], &["undo", "report.json"]] {
        let ran = fixture.xtask(&[&["prune", "--backend=registry"], options].concat()).expect(1);
        assert!(ran.stderr.contains("has the schema 9; expected 1"), "{}", ran.stderr);
    }
}

#[test]
fn a_job_gets_the_plan_as_its_summary() {
    let fixture = fixture();
    let digest = format!("sha256:{}", "a".repeat(64));
    fixture.write(
        "inventory.json",
        &format!(r#"{{"now":9.0,"inventory":[{{"digest":"{digest}","tags":["dev"]}}]}}"#),
    );
    let summary = fixture.root().join("summary.md");
    let mut command = fixture.command(&["prune", "--inventory", "inventory.json"]);
    Ran::from(command.env("GITHUB_STEP_SUMMARY", &summary).output().unwrap()).expect(0);
    let text = std::fs::read_to_string(summary).unwrap();
    assert!(text.contains(&format!("|  | {digest} | dev | `dev` is kept for ever |")), "{text}");
}

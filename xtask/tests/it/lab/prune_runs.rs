//! `cargo xtask prune --lab`: a dry run deletes nothing, changes on GitHub during a run do no harm, and
//! the report is complete.

use crate::support::Ran;
use crate::support::images::made_up;
use crate::support::package::{Server, World, lab, limits};
use serde_json::{Value, json};

impl World<'_> {
    /// The number of requests of this world that could change something.
    fn changes(&self) -> usize {
        let changing = |request: &&Value| {
            matches!(request["method"].as_str(), Some("DELETE" | "POST" | "PUT"))
        };
        self.requests().iter().flatten().filter(changing).count()
    }

    fn on_github(&self, more: &[&str]) -> Ran {
        let options = [&["prune", "--lab", "--backend=github", "--format=json"], more].concat();
        self.fixture.xtask(&options)
    }

    /// The path of a file beside the repository.
    fn file(&self, name: &str) -> String {
        self.fixture.root().join("..").join(name).display().to_string()
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn dry_runs_of_prune_and_undo_change_nothing() {
    let lab = lab();
    for backend in ["github", "registry"] {
        let world = World::new(&lab, backend, b"");
        let plan_file = world.file("plan.json");
        let one = json!({ "schema": 1, "delete": [world.package.gone["its signature"]] });
        std::fs::write(&plan_file, one.to_string()).unwrap();
        let before = world.changes();
        let plan =
            world.fixture.xtask(&world.apply(&["--dry-run", "--format=json"])).expect(0).json();
        assert_eq!(plan["delete"].as_array().unwrap().len(), world.package.gone.len(), "{plan:#}");
        let by_variable =
            world.fixture.command(&world.apply(&[])).env("XTASK_DRY_RUN", "1").output().unwrap();
        let ran = Ran::from(by_variable).expect(0);
        assert!(ran.stdout.contains("web: 6 of "), "{}", ran.stdout);
        assert!(ran.stderr.contains("web: 6 deletions need about "), "{}", ran.stderr);
        // Only what both agree on: the signature needs nothing of what stays.
        let options =
            ["prune", "--lab", "--backend", backend, "--dry-run", "--format=json", "--apply"];
        let plan = world.fixture.xtask(&[&options[..], &[&plan_file]].concat()).expect(0).json();
        assert_eq!(plan["delete"], json!([]), "the image it refers to stays: {plan:#}");
        assert_eq!((world.changes(), world.there().len()), (before, 12));
        std::fs::remove_file(plan_file).unwrap();
    }
    let world = World::new(&lab, "github", b"");
    let report = world.file("report.json");
    world.fixture.xtask(&world.apply(&["--report", &report])).expect(0);
    let before = world.changes();
    let listed = world.on_github(&["--dry-run", "undo", &report]).expect(0).stdout;
    assert_eq!(listed.matches("would be restored").count(), 6, "{listed}");
    assert_eq!((world.changes(), world.there().len()), (before, 6));
    // After the restore there is nothing left to restore.
    world.on_github(&["undo", &report]).expect(0);
    assert_eq!(world.there().len(), 12);
    let again = world.on_github(&["undo", &report]).expect(1);
    assert!(again.stderr.contains("nothing was restored"), "{}", again.stderr);
    std::fs::remove_file(report).unwrap();
    limits(&lab, 1000, 1000);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_list_that_shifts_is_read_again() {
    let lab = lab();
    let world = World::unpublished(&lab, "github");
    lab.github("POST", "/made-up", Some(&Value::from(made_up(&world.repository(), 30))));
    let second_page =
        json!({ "path": format!("*{}*per_page=100&page=2", world.owner), "count": 1 });
    let mut command =
        world.fixture.command(&["prune", "--lab", "--backend=github", "--format=json"]);
    // The newest version is deleted: the first one of page 2 moves to page 1, which was already read.
    let delete = || lab.delete_newest(&world.repository());
    let ran = Server::GitHub.hold_up(&lab, &second_page, &mut command, delete);
    let plan = ran.expect(0).json();
    limits(&lab, 1000, 1000);
    assert_eq!(plan["verdicts"].as_array().unwrap().len(), 149, "{plan:#}");
    let [_, asked] = world.requests();
    let lists =
        asked.iter().filter(|request| request["path"].as_str().unwrap().contains("per_page"));
    assert_eq!(lists.count(), 6, "counted and listed twice: {asked:#?}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn prune_retries_registry_and_github_errors() {
    let lab = lab();
    let world = World::new(&lab, "github", b"");
    let stumble = |method: &str, code: u16| {
        json!({
            "match": { "path": world.owner, "method": method, "count": 2 },
            "action": { "kind": "status", "code": code },
        })
    };
    Server::Front.control(&lab, "POST", Some(&stumble("GET", 500)));
    Server::GitHub.control(&lab, "POST", Some(&stumble("GET", 502)));
    // The deletion takes place, but its answer is lost.
    let lost = json!({
        "match": { "path": world.owner, "method": "DELETE", "count": 1 },
        "action": { "kind": "lose_answer" },
    });
    Server::GitHub.control(&lab, "POST", Some(&lost));
    let report = world.fixture.xtask(&world.apply(&["--format=json"])).expect(0).json();
    assert_eq!(report["packages"][0]["deleted"].as_array().unwrap().len(), 6, "{report:#}");
    world.done("after the stumbles");
    lab.no_faults();
    Server::GitHub.control(&lab, "DELETE", None);
    limits(&lab, 1000, 1000);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_package_never_pushed_stops_no_other() {
    let lab = lab();
    let world = World::new(&lab, "github", b"");
    world.fixture.service("another", "FROM scratch\nCOPY Dockerfile /\n");
    world.fixture.commit("feat: a service without a push");
    let path = world.file("report.json");
    let ran = world.fixture.xtask(&world.apply(&["--report", &path])).expect(0);
    assert!(ran.stderr.contains("another: GitHub has no package"), "{}", ran.stderr);
    world.done("beside a package that is not there");
    let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    std::fs::remove_file(path).unwrap();
    let [another, web] = report["packages"].as_array().unwrap().as_slice() else { unreachable!() };
    assert!(another["refuse"].as_str().unwrap().contains("no package"), "{report:#}");
    let kept = web["kept"].as_array().unwrap();
    assert_eq!(kept.len(), 6, "{report:#}");
    assert!(kept.iter().all(|stays| stays["reason"].is_string()), "{report:#}");
    assert_eq!(web["reclaimable"], web["bytes"]);
    assert!(report["requests"].as_u64().unwrap() > 20, "{report:#}");
    // Pruning only that package is an error.
    let alone = world.fixture.xtask(&["prune", "--lab", "--backend=github", "another"]).expect(1);
    assert!(alone.stderr.contains("has no package for this token"), "{}", alone.stderr);
    limits(&lab, 1000, 1000);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_refused_package_is_in_the_report() {
    let lab = lab();
    let world = World::new(&lab, "github", b"");
    world
        .fixture
        .configure("[workspace.metadata.images.retention]\nkeep-last = 1\nmax-share = 0.1\n");
    world.fixture.commit("feat: delete next to nothing");
    let path = world.file("report.json");
    let ran = world.fixture.xtask(&world.apply(&["--report", &path])).expect(3);
    let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    std::fs::remove_file(path).unwrap();
    let refuse = report["packages"][0]["refuse"].as_str().unwrap();
    assert!(refuse.contains("versions would be deleted"), "{report:#}");
    assert!(!ran.stderr.contains("undo"), "{}", ran.stderr);
    assert_eq!(world.there().len(), 12);
    limits(&lab, 1000, 1000);
}

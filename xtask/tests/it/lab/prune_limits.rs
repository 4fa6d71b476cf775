//! `cargo xtask prune --lab --apply` at GitHub's limits: it stops cleanly or waits, and continues
//! the next time.

use crate::support::package::{Server, World, lab, limits};
use serde_json::{Value, json};

impl World<'_> {
    /// A run that a limit ends after `deleted` deletions, with `left` remaining.
    fn stops(&self, more: &[&str], (deleted, left): (usize, usize), reason: &str) {
        let path = self.fixture.root().join("../report.json").display().to_string();
        let options = [&["--format=json", "--report", &path], more].concat();
        let ran = self.fixture.xtask(&self.apply(&options)).expect(4);
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: run it again later"), "{}", ran.stderr);
        let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!((&report, &report["finished"]), (&ran.json(), &json!(false)));
        let package = &report["packages"][0];
        let count = |name: &str| package[name].as_array().unwrap().len();
        assert_eq!((count("deleted"), count("left_over")), (deleted, left), "{report:#}");
        self.whole();
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_prune_stops_at_limits_and_continues_later() {
    let lab = lab();
    let world = World::new(&lab, "github", b"");
    limits(&lab, 1000, 1000);
    // The owner, the count, one page of versions, and a lookup and a deletion for each version.
    world.stops(&["--budget=7"], (2, 4), "the budget of 7 requests is used up");
    limits(&lab, 7, 1000);
    world.stops(&[], (2, 2), "too many requests; try again in 3");
    limits(&lab, 1000, 1000);
    for code in [403, 429] {
        let fault = json!({
            "match": { "path": world.owner, "method": "DELETE", "count": 1 },
            "action": { "kind": "status", "code": code, "retry_after": 900 },
        });
        Server::GitHub.control(&lab, "POST", Some(&fault));
        world.stops(&[], (0, 2), "too many requests; try again in 900 s");
    }
    // The run waits for short limits: the end of an hour, and a pause.
    let soon = json!({ "token": "lab-writer", "remaining": 5, "reset_in": 2 });
    lab.github("POST", "/limits", Some(&soon));
    let pause = json!({ "secondary": { "requests": 1, "status": 403, "retry_after": 1 } });
    lab.github("POST", "/limits", Some(&pause));
    world.fixture.xtask(&world.apply(&[])).expect(0);
    world.done("after the limits");
    Server::GitHub.control(&lab, "DELETE", None);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_limit_during_the_listing_deletes_nothing() {
    let lab = lab();
    let world = World::new(&lab, "github", b"");
    let report = world.fixture.root().join("../report.json");
    for most in [0, 1, 2] {
        limits(&lab, most, 1000);
        let options = ["--report", report.to_str().unwrap()];
        let ran = world.fixture.xtask(&world.apply(&options)).expect(4);
        assert!(ran.stderr.contains("too many requests; try again in 3"), "{}", ran.stderr);
        let text = std::fs::read_to_string(&report).unwrap();
        std::fs::remove_file(&report).unwrap();
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&written["finished"], &written["packages"]), (&json!(false), &json!([])));
    }
    world.fixture.xtask(&["prune", "--lab", "--backend=github"]).expect(4);
    limits(&lab, 1000, 1000);
    assert_eq!(world.there().len(), world.package.digests().count());
}

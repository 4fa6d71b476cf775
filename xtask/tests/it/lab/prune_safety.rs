//! `cargo xtask prune --lab --apply` in a bad world: killed between any two requests, raced by a push, and
//! followed by the registry's own garbage collection. Every kept image can still be pulled.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::Ran;
use crate::support::images::Images;
use crate::support::lab::Lab;
use crate::support::package::{Server, World, lab, limits};
use serde_json::{Value, json};

/// Runs `trial` for each moment, several at a time.
fn each_moment(at_once: usize, moments: &[(Server, usize)], trial: impl Fn(Server, usize) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                let taken = || usize::try_from(next.fetch_add(1, Ordering::SeqCst)).unwrap();
                while let Some((server, number)) = moments.get(taken()) {
                    trial(*server, *number);
                }
            });
        }
    });
}

/// A run killed at each of its requests in turn, and the run after it.
fn killed_at_every_request(lab: &Lab, backend: &'static str) {
    let undisturbed = World::new(lab, backend, b"");
    let count = || undisturbed.requests().map(|requests| requests.len());
    let before = count();
    undisturbed.fixture.xtask(&undisturbed.apply(&[])).expect(0);
    let after = count();
    undisturbed.done("undisturbed");
    let (front, github) = (after[0] - before[0], after[1] - before[1]);
    let at = |server: Server| move |number: usize| (server, number);
    let moments: Vec<(Server, usize)> =
        (1..=front).map(at(Server::Front)).chain((1..=github).map(at(Server::GitHub))).collect();
    println!("{backend}: {front} requests to the registry, {github} to GitHub");
    // On GitHub a run waits a second between deletions.
    let at_once = if backend == "github" { 50 } else { 6 };
    each_moment(at_once, &moments, |server, number| {
        let world = World::new(lab, backend, b"");
        world.killed_at(server, &json!({ "path": world.owner, "nth": number, "count": 1 }));
        world.whole();
        world.fixture.xtask(&world.apply(&[])).expect(0);
        world.done(&format!("killed at request {number} to {server:?}"));
    });
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_prune_killed_at_any_request_damages_nothing() {
    on_both(killed_at_every_request);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn kept_images_pull_after_a_killed_prune() {
    let lab = lab();
    for (backend, server) in [("github", Server::GitHub), ("registry", Server::Front)] {
        let world = World::new(&lab, backend, b"");
        let second = json!({ "path": world.owner, "method": "DELETE", "nth": 2, "count": 1 });
        world.killed_at(server, &second);
        assert_eq!(world.there().len(), world.package.digests().count() - 1);
        world.pulls();
    }
    no_faults(&lab);
}

/// Restores the lab's defaults.
fn no_faults(lab: &Lab) {
    lab.no_faults();
    lab.github("DELETE", "/faults", None);
    limits(lab, 1000, 1000);
}

impl World<'_> {
    /// Runs until the server gets the request that `matching` describes, and kills the run then. The request gets
    /// no answer and has no effect.
    fn killed_at(&self, server: Server, matching: &Value) {
        let rule = json!({ "match": matching, "action": { "kind": "hang" } });
        server.control(self.lab, "POST", Some(&rule));
        let mut command = self.fixture.command(&self.apply(&[]));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !server.has_fired(self.lab, &self.owner) && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(25));
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), None, "it ended before {matching}");
    }

    /// A run with a report; `change` happens during its first deletion.
    fn raced(&self, more: &[&str], change: impl Fn(&Images<'_>)) -> (Ran, Value) {
        let server = if self.backend == "github" { Server::GitHub } else { Server::Front };
        let first = json!({ "path": self.owner, "method": "DELETE", "count": 1 });
        let mut command = self.fixture.command(&self.apply(&[&["--format=json"], more].concat()));
        let images = Images { lab: self.lab, repository: self.repository() };
        let ran = server.hold_up(self.lab, &first, &mut command, || change(&images));
        let report = ran.json()["packages"][0].clone();
        (ran, report)
    }
}

/// While a run deletes, somebody publishes a version that needs a deleted one. The run restores it even
/// though the budget for lookups and deletions is used up.
fn needed_meanwhile(lab: &Lab, backend: &'static str) {
    let world = World::new(lab, backend, b"");
    let needed = &world.package.gone["its own"];
    let (ran, report) = world.raced(&["--budget=15"], |images| {
        let child = images.there(needed);
        images.index(Some("v2.0.0"), "2025-01-01T00:00:00Z", &[&child]);
    });
    let reason = "restored, because `v2.0.0` needs it";
    assert_eq!(report["refused"], json!([{ "digest": needed, "reason": reason }]), "{report:#}");
    assert_eq!(report["deleted"].as_array().unwrap().len(), world.package.gone.len() - 1);
    ran.expect(1);
    world.whole();
    lab.whole(&world.repository(), "v2.0.0");
    world.fixture.xtask(&world.apply(&[])).expect(0);
    lab.whole(&world.repository(), "v2.0.0");
}

/// While a run deletes, somebody releases an image that is to be deleted next.
fn released_meanwhile(lab: &Lab, backend: &'static str) {
    let world = World::new(lab, backend, b"");
    let released = world.package.gone["old"].clone().max(world.package.gone["sharing"].clone());
    let (ran, report) = world.raced(&[], |images| images.tag("v2.0.0", &images.there(&released)));
    let reason = "`v2.0.0` points to it now";
    assert_eq!(report["refused"], json!([{ "digest": released, "reason": reason }]), "{report:#}");
    ran.expect(1);
    world.whole();
    lab.whole(&world.repository(), "v2.0.0");
}

/// The same on GitHub and at a registry, at the same time.
fn on_both(trial: impl Fn(&Lab, &'static str) + Sync) {
    let lab = lab();
    std::thread::scope(|scope| {
        scope.spawn(|| trial(&lab, "github"));
        trial(&lab, "registry");
    });
    no_faults(&lab);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn prune_frees_the_bytes_it_reports() {
    let lab = lab();
    let salt = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos().to_le_bytes();
    let world = World::new(&lab, "registry", &salt.repeat(100_000));
    // Other tests' leftovers must not be counted.
    lab.collect_garbage();
    let before = lab.stored();
    let report = world.fixture.xtask(&world.apply(&["--format=json"])).expect(0).json();
    let reclaimable = report["packages"][0]["bytes"].as_u64().unwrap();
    lab.collect_garbage();
    let freed = before - lab.stored();
    println!("{reclaimable} bytes reclaimable, {freed} freed");
    // Of seven layers two are freed, for the others are shared; beyond them manifests and links.
    let layer = 1_600_000;
    assert!((2 * layer..2 * layer + 10_000).contains(&reclaimable), "{reclaimable}");
    assert!((reclaimable..reclaimable + 20_000).contains(&freed), "{freed} of {reclaimable}");
    world.done("after the collection of garbage");
    world.pulls();
    limits(&lab, 1000, 1000);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn prune_restores_what_a_push_needs() {
    on_both(needed_meanwhile);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn prune_keeps_an_image_released_during_it() {
    on_both(released_meanwhile);
}

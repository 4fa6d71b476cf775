//! `cargo xtask prune --lab --apply` in a bad world: killed between any two requests, raced by a push, and
//! followed by the registry's own garbage collection. What is kept pulls, always.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and starts the programs it needs"
)]

mod support;
#[path = "support/images.rs"]
mod the_images;
#[path = "support/lab.rs"]
mod the_lab;

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::Fixture;
use the_images::{Images, Package};
use the_lab::Lab;

/// A repository with one service whose package was pushed by hand.
struct World<'l> {
    lab: &'l Lab,
    fixture: Fixture,
    owner: String,
    package: Package,
    backend: &'static str,
}

fn seed() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()
}

/// A lab in which deletions need not keep their distance and no hour ends.
fn lab() -> Lab {
    let fixture = Fixture::new();
    fixture.commit("feat: nothing");
    let lab = Lab::up(&fixture);
    limits(&lab, 1_000_000, 0);
    lab
}

fn limits(lab: &Lab, most: u64, interval: u64) {
    let limits = json!({
        "token": "lab-writer", "remaining": most, "reset_in": 3600,
        "points_per_minute": most, "delete_interval_milliseconds": interval,
    });
    lab.github("POST", "/limits", Some(&limits));
}

impl<'l> World<'l> {
    fn new(lab: &'l Lab, backend: &'static str, salt: &[u8]) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let owner = format!("o{}n{}", seed(), NUMBER.fetch_add(1, Ordering::SeqCst));
        let fixture = Fixture::named(&format!("{owner}/repo"));
        fixture
            .configure("[workspace.metadata.images.retention]\nkeep-last = 1\nmax-share = 1.0\n");
        fixture.service("web", "FROM scratch\nCOPY Dockerfile /\n");
        fixture.commit("feat: a service");
        let repository = format!("{owner}/repo/web");
        let package = Package::push(&Images { lab, repository: repository.clone() }, salt);
        let digests = package.digests().map(String::as_str);
        lab.age_all(&repository, digests, "2025-01-01T00:00:00Z");
        Self { lab, fixture, owner, package, backend }
    }

    fn repository(&self) -> String {
        format!("{}/web", self.fixture.repository)
    }

    fn apply<'a>(&self, more: &[&'a str]) -> Vec<&'a str> {
        [&["prune", "--lab", "--apply", "--backend", self.backend], more].concat()
    }

    /// What this world asked for at the front and at GitHub's stand-in, in their order.
    fn requests(&self) -> [Vec<Value>; 2] {
        let asked = [
            self.lab.requests(),
            self.lab.github("GET", "/requests", None).as_array().unwrap().clone(),
        ];
        let mine = |request: &Value| request["path"].as_str().unwrap().contains(&self.owner);
        asked.map(|requests| requests.into_iter().filter(mine).collect())
    }

    /// Which of the package's manifests are there.
    fn there(&self) -> Vec<&str> {
        let there = |digest: &&String| self.lab.holds(&self.repository(), digest);
        self.package.digests().filter(there).map(String::as_str).collect()
    }

    /// Every kept tag answers with all that it leads to.
    fn whole(&self) {
        for tag in &self.package.tags {
            self.lab.whole(&self.repository(), tag);
        }
    }

    /// The package is what an undisturbed run makes of it.
    fn done(&self, moment: &str) {
        self.whole();
        let kept: Vec<&str> = self.package.kept.values().map(String::as_str).collect();
        assert_eq!(self.there(), kept, "{moment}: {:#?}", self.package);
    }

    /// An engine that has nothing pulls what is kept.
    fn pulls(&self) {
        self.lab.empty_engine();
        for tag in ["dev", "v1.0.0"] {
            let reference = format!("{}/{}:{tag}", self.lab.registry(), self.repository());
            self.lab.docker(&["pull", "--quiet", &reference]).expect(0);
        }
    }

    /// Runs until its `number`th request to a server, which never gets an answer and has no effect, and
    /// is killed then.
    fn killed_at(&self, server: &Server, number: usize) {
        let rule = json!({
            "match": { "path": self.owner, "nth": number, "count": 1 }, "action": { "kind": "hang" },
        });
        server.control(self.lab, "POST", Some(&rule));
        let mut child = self.begun();
        while !server.has_fired(self.lab, &self.owner) && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn begun(&self) -> Child {
        let mut command = self.fixture.command(&self.apply(&[]));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Front,
    GitHub,
}

impl Server {
    fn control(self, lab: &Lab, method: &str, body: Option<&Value>) -> Value {
        match self {
            Self::Front => lab.control(method, "/faults", body),
            Self::GitHub => lab.github(method, "/faults", body),
        }
    }

    /// Whether the rule for this owner has hit its request.
    fn has_fired(self, lab: &Lab, owner: &str) -> bool {
        let standing = self.control(lab, "GET", None);
        let mut mine =
            standing.as_array().unwrap().iter().filter(|rule| rule["match"]["path"] == *owner);
        mine.any(|rule| rule["fired"] != 0)
    }
}

/// Runs `trial` for each moment, several at a time: most of a run is waiting.
fn each_moment(moments: &[(Server, usize)], trial: impl Fn(Server, usize) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..40 {
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
fn killed_at_every_request(backend: &'static str) {
    let lab = lab();
    let undisturbed = World::new(&lab, backend, b"");
    lab.reset();
    lab.github("POST", "/reset", None);
    undisturbed.fixture.xtask(&undisturbed.apply(&[])).expect(0);
    let [front, github] = undisturbed.requests();
    undisturbed.done("undisturbed");
    let moments: Vec<(Server, usize)> = (1..=front.len())
        .map(|number| (Server::Front, number))
        .chain((1..=github.len()).map(|number| (Server::GitHub, number)))
        .collect();
    println!("{backend}: {} requests to the registry, {} to GitHub", front.len(), github.len());
    each_moment(&moments, |server, number| {
        let world = World::new(&lab, backend, b"");
        world.killed_at(&server, number);
        world.whole();
        world.fixture.xtask(&world.apply(&[])).expect(0);
        world.done(&format!("killed at request {number} to {server:?}"));
    });
    lab.no_faults();
    lab.github("DELETE", "/faults", None);

    let world = World::new(&lab, backend, b"");
    let deletion = |request: &Value| request["method"] == "DELETE";
    let (server, requests) =
        if backend == "github" { (Server::GitHub, &github) } else { (Server::Front, &front) };
    let second = requests.iter().enumerate().filter(|(_, request)| deletion(request)).nth(1);
    world.killed_at(&server, second.unwrap().0 + 1);
    world.pulls();
    Server::control(server, &lab, "DELETE", None);
    limits(&lab, 1000, 1000);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn killed_at_any_request_on_github_what_is_kept_pulls_and_the_next_run_finishes() {
    killed_at_every_request("github");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn killed_at_any_request_to_a_registry_what_is_kept_pulls_and_the_next_run_finishes() {
    killed_at_every_request("registry");
}

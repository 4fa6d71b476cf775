//! A package with every case of retention, pushed by hand, and its repository.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::images::Images;
use super::lab::Lab;
use super::processes::wait_until;
use super::{Fixture, Ran};

const OLD: &str = "2025-01-01T00:00:00Z";
const NEWER: &str = "2025-06-01T00:00:00Z";

/// A package with every case of retention: kept and deleted versions, by readable names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    pub kept: BTreeMap<&'static str, String>,
    pub gone: BTreeMap<&'static str, String>,
    /// The tags that are kept.
    pub tags: Vec<String>,
}

impl Package {
    /// Pushes it. `salt` makes its layers different from those of others.
    pub fn push(images: &Images<'_>, salt: &[u8]) -> Self {
        let layer = |name: &str| [name.as_bytes(), b" ", salt].concat();
        let base = layer("base");
        let image = |name: &str| images.image(OLD, &[&base, &layer(name)]);
        let mut package = Self::default();
        let text = |made: &Value| made["digest"].as_str().unwrap().to_owned();

        let dev = images.image(NEWER, &[&base, &layer("dev")]);
        let proof = images.attestation(&dev);
        let index = images.index(Some("dev"), NEWER, &[&dev, &proof]);
        // The newest image of a commit, which is kept for a rollback.
        let newest = format!("dev-{}", "f".repeat(40));
        images.tag(&newest, &index);
        let version = image("version");
        images.tag("v1.0.0", &version);
        let signature = images.signature(OLD, &version);
        let signed = format!("{}.sig", text(&version).replace(':', "-"));
        package.tags.extend(["dev".to_owned(), newest, signed, "v1.0.0".to_owned()]);
        let materials = images.referrer(&version);
        let kept = [&index, &dev, &proof, &version, &signature, &materials].map(text);
        let names = [
            "dev",
            "its image",
            "its attestation",
            "the version",
            "its signature",
            "its bill of materials",
        ];
        package.kept.extend(names.into_iter().zip(kept));

        let old = image("old");
        let proof = images.attestation(&old);
        let index = images.index(Some(&format!("dev-{}", "a".repeat(40))), OLD, &[&old, &proof]);
        let signature = images.signature(OLD, &index);
        // It shares an image with `dev`.
        let other = image("other");
        let sharing = images.index(Some(&format!("dev-{}", "b".repeat(40))), OLD, &[&other, &dev]);
        let gone = [&index, &old, &proof, &signature, &sharing, &other].map(text);
        let names = ["old", "its image", "its attestation", "its signature", "sharing", "its own"];
        package.gone.extend(names.into_iter().zip(gone));
        package
    }

    /// All of its digests.
    pub fn digests(&self) -> impl Iterator<Item = &String> {
        self.kept.values().chain(self.gone.values())
    }
}

/// A repository with one service whose package was pushed by hand.
pub struct World<'l> {
    pub lab: &'l Lab,
    pub fixture: Fixture,
    pub owner: String,
    pub package: Package,
    pub backend: &'static str,
}

/// A lab with fresh counts, in which deletions need no pause and no hourly limit ends a run.
pub fn lab() -> Lab {
    let fixture = Fixture::new();
    fixture.commit("feat: nothing");
    let lab = Lab::up(&fixture);
    lab.reset();
    lab.github("POST", "/reset", None);
    limits(&lab, 1_000_000, 0);
    lab
}

pub fn limits(lab: &Lab, most: u64, interval: u64) {
    let limits = json!({
        "token": "lab-writer", "remaining": most, "reset_in": 3600,
        "points_per_minute": most.max(900), "delete_interval_milliseconds": interval,
    });
    lab.github("POST", "/limits", Some(&limits));
}

impl<'l> World<'l> {
    /// With a package; `salt` makes its layers different from those of others.
    pub fn new(lab: &'l Lab, backend: &'static str, salt: &[u8]) -> Self {
        let mut world = Self::unpublished(lab, backend);
        let repository = world.repository();
        world.package = Package::push(&Images { lab, repository: repository.clone() }, salt);
        let digests = world.package.digests().map(String::as_str);
        lab.age_all(&repository, digests, "2025-01-01T00:00:00Z");
        world
    }

    /// Without a package.
    pub fn unpublished(lab: &'l Lab, backend: &'static str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        lab.held.share();
        let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let owner = format!("o{seed}n{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        let fixture = Fixture::named(&format!("{owner}/repo"));
        fixture
            .configure("[workspace.metadata.images.retention]\nkeep-last = 1\nmax-share = 1.0\n");
        fixture.service("web", "FROM scratch\nCOPY Dockerfile /\n");
        fixture.commit("feat: a service");
        Self { lab, fixture, owner, package: Package::default(), backend }
    }

    pub fn repository(&self) -> String {
        format!("{}/web", self.fixture.repository)
    }

    pub fn apply<'a>(&self, more: &[&'a str]) -> Vec<&'a str> {
        [&["prune", "--lab", "--apply", "--backend", self.backend], more].concat()
    }

    /// The requests of this world at the front and at GitHub's stand-in, in order.
    pub fn requests(&self) -> [Vec<Value>; 2] {
        let asked = [
            self.lab.requests(),
            self.lab.github("GET", "/requests", None).as_array().unwrap().clone(),
        ];
        let mine = |request: &Value| request["path"].as_str().unwrap().contains(&self.owner);
        asked.map(|requests| requests.into_iter().filter(mine).collect())
    }

    /// The package's manifests that exist.
    pub fn there(&self) -> Vec<&str> {
        let there = |digest: &&String| self.lab.holds(&self.repository(), digest);
        self.package.digests().filter(there).map(String::as_str).collect()
    }

    /// Every kept tag is complete.
    pub fn whole(&self) {
        for tag in &self.package.tags {
            self.lab.whole(&self.repository(), tag);
        }
    }

    /// The package is in the state that an undisturbed run leaves.
    pub fn done(&self, moment: &str) {
        self.whole();
        let kept: Vec<&str> = self.package.kept.values().map(String::as_str).collect();
        assert_eq!(self.there(), kept, "{moment}: {:#?}", self.package);
    }

    /// An empty engine can pull every kept image.
    pub fn pulls(&self) {
        self.lab.empty_engine();
        for tag in ["dev", "v1.0.0"] {
            let reference = format!("{}/{}:{tag}", self.lab.registry(), self.repository());
            self.lab.docker(&["pull", "--quiet", &reference]).expect(0);
        }
    }
}

/// The server that answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Front,
    GitHub,
}

impl Server {
    pub fn control(self, lab: &Lab, method: &str, body: Option<&Value>) -> Value {
        match self {
            Self::Front => lab.control(method, "/faults", body),
            Self::GitHub => lab.github(method, "/faults", body),
        }
    }

    /// Runs a command, and holds up the first request that `matching` describes while `change` happens.
    pub fn hold_up(
        self,
        lab: &Lab,
        matching: &Value,
        command: &mut Command,
        change: impl FnOnce(),
    ) -> Ran {
        let action = json!({ "kind": "delay", "milliseconds": 120_000 });
        self.control(lab, "POST", Some(&json!({ "match": matching, "action": action })));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let path = matching["path"].as_str().unwrap();
        wait_until("a request is held up", 120, || self.has_fired(lab, path));
        change();
        self.control(lab, "DELETE", None);
        Ran::from(child.wait_with_output().unwrap())
    }

    /// Whether the rule for this path has hit its request.
    pub fn has_fired(self, lab: &Lab, path: &str) -> bool {
        let rules = self.control(lab, "GET", None);
        let mut mine =
            rules.as_array().unwrap().iter().filter(|rule| rule["match"]["path"] == *path);
        mine.any(|rule| rule["fired"] != 0)
    }
}

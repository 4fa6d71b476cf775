//! `cargo xtask release --lab` of two services through a history of versions, with failures and crashes in
//! between: after each step every tag is pulled and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::support::lab::Lab;
use crate::support::processes::{running, wait_until};
use crate::support::{Fixture, Ran};
use serde_json::{Value, json};

const SERVICES: [&str; 2] = ["api", "web"];

fn image(fixture: &Fixture, service: &str) -> String {
    format!("{}/{service}", fixture.repository)
}

/// Changes both services and so their images.
fn change(fixture: &Fixture) -> String {
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    for service in SERVICES {
        let dockerfile = format!("FROM debian:bookworm\nRUN echo {service} {seed} > /x\n");
        fixture.service(service, &dockerfile);
    }
    fixture.commit("feat: another")
}

fn start() -> (Fixture, Lab) {
    let fixture = Fixture::unpublished();
    change(&fixture);
    let lab = Lab::up(&fixture);
    fixture.xtask(&["push", "--lab"]).expect(0);
    (fixture, lab)
}

fn release(fixture: &Fixture, more: &[&str]) -> Ran {
    fixture.xtask(&[&["release", "--lab", "--create-tag"], more].concat())
}

fn spawn(fixture: &Fixture, version: &str) -> Child {
    let mut command = fixture.command(&["release", "--lab", "--create-tag", version]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn digest(lab: &Lab, fixture: &Fixture, service: &str, tag: &str) -> Option<String> {
    lab.manifest(&image(fixture, service), tag).map(|(_, digest)| digest)
}

/// The tags of a service except those of the dev channel, with their digests.
fn released(lab: &Lab, fixture: &Fixture, service: &str) -> BTreeMap<String, String> {
    let tags = lab.tags(&image(fixture, service)).into_iter();
    tags.filter(|tag| !tag.starts_with("dev") && tag != "cache")
        .map(|tag| (tag.clone(), digest(lab, fixture, service, &tag).unwrap()))
        .collect()
}

fn is_floating(tag: &str) -> bool {
    tag == "latest" || tag.split('.').all(|part| part.len() < 3 && part.parse::<u8>().is_ok())
}

/// The floating tags of all services, with their digests.
fn floating(lab: &Lab, fixture: &Fixture) -> BTreeMap<(String, String), String> {
    let of = |service: &'static str| {
        let released = released(lab, fixture, service).into_iter();
        released.map(move |(tag, digest)| ((service.to_owned(), tag), digest))
    };
    SERVICES.into_iter().flat_map(of).filter(|((_, tag), _)| is_floating(tag)).collect()
}

/// The releases so far, and the expected place of each tag.
struct History {
    fixture: Fixture,
    lab: Lab,
    /// The version of each tag, which is the same for all services.
    tags: BTreeMap<String, String>,
    /// The digest of each service's version, when first seen.
    digests: BTreeMap<(String, String), String>,
}

impl History {
    /// Records a version released at HEAD; `moved` are the floating tags that now point to it.
    fn released(&mut self, version: &str, moved: &[&str]) {
        let commit = self.fixture.git(&["rev-parse", "HEAD"]);
        let exact = [format!("v{version}"), commit];
        let moved = moved.iter().map(|tag| (*tag).to_owned());
        for tag in exact.into_iter().chain(moved) {
            self.tags.insert(tag, version.to_owned());
        }
        for service in SERVICES {
            let found = digest(&self.lab, &self.fixture, service, &format!("v{version}")).unwrap();
            let key = (service.to_owned(), version.to_owned());
            self.digests.entry(key).or_insert(found);
            self.check(service);
        }
    }

    /// Every tag of a service pulls the image of its version and no other.
    fn check(&self, service: &str) {
        let there: BTreeSet<String> =
            released(&self.lab, &self.fixture, service).into_keys().collect();
        assert_eq!(there, self.tags.keys().cloned().collect(), "{service}");
        for (tag, version) in &self.tags {
            let name = image(&self.fixture, service);
            let reference = format!("{}/{name}:{tag}", self.lab.registry());
            let pulled = self.lab.docker(&["pull", &reference]).expect(0).stdout;
            let expected = &self.digests[&(service.to_owned(), version.clone())];
            assert!(pulled.contains(expected), "{reference} is not v{version}: {pulled}");
            let label = r#"--format={{index .Config.Labels "org.opencontainers.image.version"}}"#;
            let label = self.lab.docker(&["image", "inspect", label, &reference]).expect(0).stdout;
            assert_eq!(label.trim(), version, "{reference}");
        }
    }

    fn floating(&self) -> BTreeMap<(String, String), String> {
        floating(&self.lab, &self.fixture)
    }

    /// Makes one request meet a fault while `until` runs.
    fn fault(&self, service: &str, tag: &str, action: &Value, until: impl FnOnce()) {
        let path = format!("/v2/{}/manifests/{tag}", image(&self.fixture, service));
        self.lab.fault(&json!({"match": {"path": path, "method": "PUT"}, "action": action}));
        until();
        self.lab.no_faults();
    }

    /// Kills a release while it waits for this tag to be set.
    fn killed_at(&self, version: &str, service: &str, tag: &str) {
        let path = format!("/v2/{}/manifests/{tag}", image(&self.fixture, service));
        self.lab.hold_up(json!({ "method": "PUT", "path": path }));
        let mut child = spawn(&self.fixture, version);
        assert!(self.lab.until_held_up(&mut child), "{version} never sets {tag}");
        child.kill().unwrap();
        child.wait().unwrap();
        self.lab.no_faults();
        // Its children end by themselves.
        let root = self.fixture.root().canonicalize().unwrap();
        let children = || running(|process| process.folder.starts_with(&root));
        wait_until("the builds end", 60, || children().is_empty());
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn every_tag_is_right_through_failures_and_crashes() {
    let (fixture, lab) = start();
    let mut history = History { fixture, lab, tags: BTreeMap::new(), digests: BTreeMap::new() };
    release(&history.fixture, &["v0.1.0"]).expect(0);
    history.released("0.1.0", &["0.1", "0", "latest"]);

    // One service fails at its exact tag: no floating tag of any service moves.
    let old = change(&history.fixture);
    let before = history.floating();
    history.fault("web", "v0.1.1", &json!({"kind": "denied"}), || {
        release(&history.fixture, &["v0.1.1"]).expect(1);
    });
    assert_eq!(history.floating(), before);
    release(&history.fixture, &["v0.1.1"]).expect(0);
    history.released("0.1.1", &["0.1", "0", "latest"]);

    change(&history.fixture);
    release(&history.fixture, &["v0.2.0-rc.1"]).expect(0);
    history.released("0.2.0-rc.1", &[]);

    // A crash before all exact tags are there.
    change(&history.fixture);
    let before = history.floating();
    history.killed_at("v0.2.0", "web", "v0.2.0");
    assert_eq!(history.floating(), before);
    release(&history.fixture, &["v0.2.0"]).expect(0);
    history.released("0.2.0", &["0.2", "0", "latest"]);

    // A backport, on a branch that permits releases.
    history.fixture.git(&["checkout", "--quiet", "-B", "main", &old]);
    change(&history.fixture);
    release(&history.fixture, &["v0.1.2"]).expect(0);
    history.released("0.1.2", &["0.1"]);

    // A crash between floating tags, and then the same version twice more.
    history.fixture.git(&["checkout", "--quiet", "dev"]);
    change(&history.fixture);
    history.killed_at("v1.0.0", "web", "latest");
    release(&history.fixture, &["v1.0.0"]).expect(0);
    release(&history.fixture, &["v1.0.0"]).expect(0);
    history.released("1.0.0", &["1.0", "1", "latest"]);

    let verified = history.fixture.xtask(&["verify", "--lab", "--format=json"]).json();
    let agree =
        verified.as_array().unwrap().iter().filter(|finding| finding["check"] == "tags agree");
    let agree: Vec<_> = agree.map(|finding| finding["level"].as_str().unwrap()).collect();
    assert_eq!(agree, ["pass"; 4], "{verified:#}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn promoting_builds_nothing_and_keeps_the_digest() {
    let (fixture, lab) = start();
    let dev = SERVICES.map(|service| digest(&lab, &fixture, service, "dev").unwrap());
    lab.empty_engine();
    lab.reset();
    let ran = release(&fixture, &["v0.1.0", "--promote", "--format=json"]).expect(0);
    let moved = lab.traffic();
    assert!(moved.requests <= 40, "{moved:?}");
    for (at, (service, dev)) in SERVICES.iter().zip(dev).enumerate() {
        assert_eq!(ran.json()["services"][at]["result"], "promoted", "{}", ran.stdout);
        for tag in ["v0.1.0", "0.1", "0", "latest"] {
            assert_eq!(digest(&lab, &fixture, service, tag).unwrap(), dev, "{service}:{tag}");
        }
    }
}

/// Nothing was released: neither an image nor a git tag.
fn nothing_was_changed(fixture: &Fixture, lab: &Lab) {
    for service in SERVICES {
        assert_eq!(released(lab, fixture, service), BTreeMap::new(), "{service}");
    }
    assert_eq!(fixture.git(&["tag", "--list"]), "");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn promoting_a_damaged_image_changes_nothing() {
    let (fixture, lab) = start();
    let promote = || release(&fixture, &["v0.1.0", "--promote"]).expect(3).stderr;
    let web = image(&fixture, "web");
    let index = lab.manifest(&web, "dev").unwrap().0;
    lab.delete(&web, index["manifests"][0]["digest"].as_str().unwrap());
    let errors = promote();
    assert!(errors.contains("is not complete"), "{errors}");
    nothing_was_changed(&fixture, &lab);

    lab.delete(&web, "dev");
    let errors = promote();
    assert!(errors.contains("to promote"), "{errors}");
    nothing_was_changed(&fixture, &lab);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_release_without_its_tag_is_refused() {
    let (fixture, lab) = start();
    let ran = fixture.xtask(&["release", "v0.1.0", "--lab"]).expect(3);
    assert!(ran.stderr.contains("there is no git tag `v0.1.0`"), "{}", ran.stderr);
    nothing_was_changed(&fixture, &lab);
    fixture.git(&["tag", "v0.1.0"]);
    change(&fixture);
    let ran = fixture.xtask(&["release", "v0.1.0", "--lab"]).expect(3);
    assert!(ran.stderr.contains("the git tag `v0.1.0` names"), "{}", ran.stderr);
    fixture.git(&["checkout", "--quiet", "-b", "aside"]);
    change(&fixture);
    let ran = release(&fixture, &["v0.1.1"]).expect(3);
    assert!(ran.stderr.contains("is on none of the branches"), "{}", ran.stderr);
    fixture.xtask(&["release", "v1.2", "--lab"]).expect(2);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_release_dry_run_lists_every_tag() {
    let (fixture, _lab) = start();
    release(&fixture, &["v1.0.0"]).expect(0);
    change(&fixture);
    let facts = fixture.root().join(".git").join("facts.json");
    let facts = facts.to_str().unwrap();
    let line = ["release", "v0.9.0", "--dry-run", "--format=json"];
    let seen = fixture.xtask(&[&line[..], &["--lab", "--record-facts", facts]].concat()).expect(0);
    let json = seen.json();
    let floating: Vec<String> = json["release"]["floating"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| format!("{} {}", tag["tag"].as_str().unwrap(), tag["moves"]))
        .collect();
    assert_eq!(floating, ["0.9 true", "0 true", "latest false"], "{json:#}");
    let first =
        json["finally"].as_array().unwrap().iter().filter(|step| step["step"] == "move-tag");
    assert_eq!(first.count(), 4, "{json:#}");
    assert_eq!(json["release"]["git_tag"], "missing", "{json:#}");
    assert_eq!(json["services"][1]["service"], "web", "{json:#}");

    // The PATH contains neither git nor docker.
    let line = [&line[..], &["--facts", facts]].concat();
    let again = Ran::from(fixture.command(&line).env("PATH", "").output().unwrap()).expect(0);
    assert_eq!(again.json()["finally"], json["finally"]);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_next_run_finishes_a_killed_release() {
    let (fixture, lab) = start();
    release(&fixture, &["v0.1.0"]).expect(0);
    let begun = Instant::now();
    change(&fixture);
    release(&fixture, &["v0.1.1"]).expect(0);
    let usual = begun.elapsed();
    for patch in 2..10_u32 {
        change(&fixture);
        let version = format!("v0.1.{patch}");
        let before = floating(&lab, &fixture);
        let mut child = spawn(&fixture, &version);
        std::thread::sleep(usual * (patch - 1) / 10);
        child.kill().unwrap();
        child.wait().unwrap();
        // A floating tag has moved only if all exact tags are there.
        if floating(&lab, &fixture) != before {
            for service in SERVICES {
                lab.whole(&image(&fixture, service), &version);
            }
        }
        release(&fixture, &[&version]).expect(0);
        for service in SERVICES {
            let exact = digest(&lab, &fixture, service, &version).unwrap();
            for tag in ["0.1", "0", "latest"] {
                let there = digest(&lab, &fixture, service, tag).unwrap();
                assert_eq!(there, exact, "{version} {service}:{tag}");
            }
        }
    }
}

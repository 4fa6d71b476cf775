//! `cargo xtask release --lab` through a history of versions, and `verify` on what it published.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and starts the programs it needs"
)]

mod support;
#[path = "support/lab.rs"]
mod the_lab;

use std::collections::BTreeMap;

use serde_json::json;
use support::{Fixture, Ran};
use the_lab::Lab;

fn image(fixture: &Fixture) -> String {
    format!("{}/web", fixture.repository)
}

fn change(fixture: &Fixture) -> String {
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    fixture.service("web", &format!("FROM debian:bookworm\nRUN echo {seed} > /x\n"));
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

/// Where each floating tag points, by the version whose exact tag points there too.
fn floating(lab: &Lab, fixture: &Fixture, versions: &[&str]) -> BTreeMap<String, String> {
    let digest = |tag: &str| lab.manifest(&image(fixture), tag).map(|(_, digest)| digest);
    let exact: Vec<_> = versions.iter().map(|v| (*v, digest(&format!("v{v}")).unwrap())).collect();
    let of = |tag: &&str| {
        let there = digest(tag)?;
        let version = exact.iter().find(|(_, digest)| *digest == there)?.0;
        Some(((*tag).to_owned(), version.to_owned()))
    };
    ["0.1", "0.2", "0", "1.0", "1", "latest"].iter().filter_map(of).collect()
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn floating_tags_follow_a_history_of_versions() {
    let (fixture, lab) = start();
    let check = |versions: &[&str], expected: &[(&str, &str)]| {
        let expected: BTreeMap<String, String> =
            expected.iter().map(|(tag, version)| ((*tag).into(), (*version).into())).collect();
        assert_eq!(floating(&lab, &fixture, versions), expected, "{versions:?}");
    };
    release(&fixture, &["v0.1.0"]).expect(0);
    check(&["0.1.0"], &[("0", "0.1.0"), ("0.1", "0.1.0"), ("latest", "0.1.0")]);
    let old = change(&fixture);
    release(&fixture, &["v0.1.1"]).expect(0);
    check(&["0.1.0", "0.1.1"], &[("0", "0.1.1"), ("0.1", "0.1.1"), ("latest", "0.1.1")]);
    change(&fixture);
    release(&fixture, &["v0.2.0-rc.1"]).expect(0);
    check(&["0.1.1", "0.2.0-rc.1"], &[("0", "0.1.1"), ("0.1", "0.1.1"), ("latest", "0.1.1")]);
    change(&fixture);
    release(&fixture, &["v0.2.0"]).expect(0);
    let all = ["0.1.1", "0.2.0"];
    check(&all, &[("0", "0.2.0"), ("0.1", "0.1.1"), ("0.2", "0.2.0"), ("latest", "0.2.0")]);

    // A backport, on a branch of its own that releases may be made from.
    fixture.git(&["checkout", "--quiet", "-B", "main", &old]);
    change(&fixture);
    release(&fixture, &["v0.1.2"]).expect(0);
    let all = ["0.1.2", "0.2.0"];
    check(&all, &[("0", "0.2.0"), ("0.1", "0.1.2"), ("0.2", "0.2.0"), ("latest", "0.2.0")]);
    fixture.git(&["checkout", "--quiet", "dev"]);
    change(&fixture);
    release(&fixture, &["v1.0.0"]).expect(0);
    // The same version again is done already.
    release(&fixture, &["v1.0.0"]).expect(0);
    let all = ["0.1.2", "0.2.0", "1.0.0"];
    check(
        &all,
        &[
            ("0", "0.2.0"),
            ("0.1", "0.1.2"),
            ("0.2", "0.2.0"),
            ("1", "1.0.0"),
            ("1.0", "1.0.0"),
            ("latest", "1.0.0"),
        ],
    );
    let verified = fixture.xtask(&["verify", "--lab", "--format=json"]).json();
    let agree =
        verified.as_array().unwrap().iter().filter(|finding| finding["check"] == "tags agree");
    let agree: Vec<_> =
        agree.map(|finding| json!([finding["subject"], finding["level"]])).collect();
    assert_eq!(agree, [json!(["web:dev", "pass"]), json!(["web", "pass"])], "{verified:#}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_promotion_builds_nothing_and_keeps_the_digest() {
    let (fixture, lab) = start();
    let dev = lab.manifest(&image(&fixture), "dev").unwrap().1;
    lab.empty_engine();
    lab.reset();
    let ran = release(&fixture, &["v0.1.0", "--promote", "--format=json"]).expect(0);
    let moved = lab.traffic();
    assert_eq!(ran.json()["services"][0]["result"], "promoted", "{}", ran.stdout);
    assert!(moved.requests <= 20, "{moved:?}");
    for tag in ["v0.1.0", "0.1", "0", "latest"] {
        assert_eq!(lab.manifest(&image(&fixture), tag).unwrap().1, dev, "{tag}");
    }
    change(&fixture);
    let ran = release(&fixture, &["v0.1.1", "--promote"]).expect(3);
    assert!(ran.stderr.contains("to promote"), "{}", ran.stderr);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn what_is_not_ready_to_be_released_is_refused() {
    let (fixture, _lab) = start();
    let ran = fixture.xtask(&["release", "v0.1.0", "--lab"]).expect(3);
    assert!(ran.stderr.contains("there is no git tag `v0.1.0`"), "{}", ran.stderr);
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
fn a_release_that_was_killed_is_finished_by_the_next_run() {
    let (fixture, lab) = start();
    release(&fixture, &["v0.1.0"]).expect(0);
    let begun = std::time::Instant::now();
    change(&fixture);
    release(&fixture, &["v0.1.1"]).expect(0);
    let usual = begun.elapsed();
    for patch in 2..10_u32 {
        change(&fixture);
        let version = format!("v0.1.{patch}");
        let mut command = fixture.command(&["release", "--lab", "--create-tag", &version]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(usual * (patch - 1) / 10);
        child.kill().unwrap();
        child.wait().unwrap();
        release(&fixture, &[&version]).expect(0);
        let exact = lab.manifest(&image(&fixture), &version).unwrap().1;
        for tag in ["0.1", "0", "latest"] {
            assert_eq!(lab.manifest(&image(&fixture), tag).unwrap().1, exact, "{version} {tag}");
        }
    }
}

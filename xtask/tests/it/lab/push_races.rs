//! `cargo xtask push --lab` and `release --lab` when others publish at the same time: `dev` and `latest`
//! only move forward, whoever writes last.

use std::path::Path;
use std::process::Command;

use crate::support::Ran;
use crate::support::lab::Lab;
use crate::support::pushing::{begun_in, noise, push, unlike_any, unpublished};
use serde_json::json;

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn dev_moves_only_forward_by_default() {
    let (fixture, lab) = unpublished();
    let first = fixture.git(&["rev-parse", "HEAD"]);
    push(&fixture, &[]).expect(0);
    fixture.write("services/web/data", "second");
    let second = fixture.commit("feat: second");
    push(&fixture, &[]).expect(0);
    let at_second = lab.manifest(&fixture.image(), "dev").unwrap().1;

    fixture.git(&["checkout", "--quiet", &first]);
    let ran = fixture.xtask(&["push", "--lab"]).expect(3);
    assert!(ran.stderr.contains(&first) && ran.stderr.contains(&second), "{}", ran.stderr);
    assert_eq!(lab.manifest(&fixture.image(), "dev").unwrap().1, at_second);
    fixture.git(&["checkout", "--quiet", "-b", "side"]);
    fixture.write("services/web/data", "aside");
    fixture.commit("feat: aside");
    fixture.xtask(&["push", "--lab"]).expect(3);
    assert_eq!(lab.manifest(&fixture.image(), "dev").unwrap().1, at_second);
    fixture.xtask(&["push", "--lab", "--allow-rollback"]).expect(0);
    assert_ne!(lab.manifest(&fixture.image(), "dev").unwrap().1, at_second);
}

fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git").args(arguments).current_dir(folder).status();
    assert!(status.unwrap().success(), "git {arguments:?}");
}

/// Holds up the first request that sets a tag until others have had their turn.
fn hold_up(lab: &Lab, tag: &str) {
    lab.reset();
    lab.hold_up(json!({ "method": "PUT", "path": format!("*/manifests/{tag}") }));
}

/// Another machine's clone has an older commit, and has never seen the newer one. It reads `dev`, then the
/// newer commit is published, and then it writes.
fn an_older_commit_on_another_machine(online: bool) {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    fixture.write("services/web/data", &noise(unlike_any(), 3000));
    fixture.commit("feat: older");
    let folder = tempfile::tempdir().unwrap();
    let clone = folder.path().join("clone");
    fixture.git(&["clone", "--quiet", ".", clone.to_str().unwrap()]);
    if !online {
        git(&clone, &["remote", "remove", "origin"]);
    }
    fixture.write("services/web/data", &noise(unlike_any(), 3000));
    let newer = fixture.commit("feat: newer");

    hold_up(&lab, "dev");
    let mut older = begun_in(&fixture, &clone, &["push", "--lab"]);
    assert!(lab.until_held_up(&mut older));
    push(&fixture, &[]).expect(0);
    let exact = lab.manifest(&fixture.image(), &format!("dev-{newer}")).unwrap().1;
    assert_eq!(lab.manifest(&fixture.image(), "dev").unwrap().1, exact, "it was held up enough");
    lab.no_faults();
    let older = Ran::from(older.wait_with_output().unwrap()).expect(if online { 3 } else { 4 });
    assert!(older.stderr.contains(&newer), "{}", older.stderr);
    assert_eq!(lab.manifest(&fixture.image(), "dev").unwrap().1, exact, "{}", older.stderr);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_outdated_clone_cannot_overtake_dev() {
    an_older_commit_on_another_machine(true);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_commit_that_cannot_be_compared_keeps_dev() {
    an_older_commit_on_another_machine(false);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn dev_ends_on_the_newest_of_three_commits() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    let folder = tempfile::tempdir().unwrap();
    let mut checkouts = Vec::new();
    for name in ["one", "two", "three"] {
        fixture.write("services/web/data", &noise(unlike_any(), 3000));
        let commit = fixture.commit(name);
        let checkout = folder.path().join(name);
        fixture.git(&["worktree", "add", "--quiet", "--detach", checkout.to_str().unwrap()]);
        checkouts.push((commit, checkout));
    }
    let newest = checkouts.last().unwrap().0.clone();
    // The oldest commit is written last.
    hold_up(&lab, "dev");
    let mut oldest = begun_in(&fixture, &checkouts[0].1, &["push", "--lab"]);
    assert!(lab.until_held_up(&mut oldest));
    for (_, checkout) in &checkouts[1..] {
        let ran = begun_in(&fixture, checkout, &["push", "--lab"]).wait_with_output().unwrap();
        Ran::from(ran).expect(0);
    }
    lab.no_faults();
    let oldest = Ran::from(oldest.wait_with_output().unwrap()).expect(3);
    assert!(oldest.stderr.contains(&newest), "{}", oldest.stderr);
    let exact = lab.manifest(&fixture.image(), &format!("dev-{newest}")).unwrap().1;
    assert_eq!(lab.manifest(&fixture.image(), "dev").unwrap().1, exact);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn two_pushes_of_one_commit_publish_one_image() {
    let (fixture, lab) = unpublished();
    for round in 0..5 {
        fixture.write("services/web/data", &noise(unlike_any(), 3000));
        let revision = fixture.commit("feat: other data");
        let begun = [0, 1].map(|_| begun_in(&fixture, fixture.root(), &["push", "--lab"]));
        let ended = begun.map(|child| Ran::from(child.wait_with_output().unwrap()).expect(0));
        let dev = lab.manifest(&fixture.image(), "dev").unwrap().1;
        let exact = lab.manifest(&fixture.image(), &format!("dev-{revision}")).unwrap().1;
        assert_eq!(dev, exact, "round {round}: {ended:#?}");
        lab.whole(&fixture.image(), &dev);
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_late_backport_leaves_latest_alone() {
    let (fixture, lab) = unpublished();
    fixture.xtask(&["release", "v1.1.8", "--lab", "--create-tag", "--no-github-release"]).expect(0);
    let folder = tempfile::tempdir().unwrap();
    let backport = folder.path().join("backport");
    let to = backport.to_str().unwrap();
    fixture.git(&["worktree", "add", "--quiet", "-b", "main", to]);
    std::fs::write(backport.join("services/web/data"), "mended").unwrap();
    git(&backport, &["commit", "--quiet", "--all", "--message", "fix: mended"]);
    fixture.write("services/web/data", "more");
    fixture.commit("feat: more");

    let release = |version| ["release", version, "--lab", "--create-tag", "--no-github-release"];
    hold_up(&lab, "latest");
    let mut lower = begun_in(&fixture, &backport, &release("v1.1.9"));
    assert!(lab.until_held_up(&mut lower));
    fixture.xtask(&release("v1.2.0")).expect(0);
    lab.no_faults();
    let lower = Ran::from(lower.wait_with_output().unwrap()).expect(0);
    let digest = |tag: &str| lab.manifest(&fixture.image(), tag).unwrap().1;
    let (lowest, highest) = (digest("v1.1.9"), digest("v1.2.0"));
    assert_eq!(digest("latest"), highest, "{}{}", lower.stdout, lower.stderr);
    assert_eq!([digest("1"), digest("1.2"), digest("1.1")], [highest.clone(), highest, lowest]);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_newer_of_two_pushes_wins() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    let clone = tempfile::tempdir().unwrap();
    let older_folder = clone.path().join("older");
    fixture.git(&["worktree", "add", "--quiet", "--detach", older_folder.to_str().unwrap()]);
    for round in 0..20_u64 {
        fixture.write("services/web/data", &noise(round * 2 + 10, 3000));
        let older = fixture.commit("feat: older");
        fixture.write("services/web/data", &noise(round * 2 + 11, 3000));
        let newer = fixture.commit("feat: newer");
        git(&older_folder, &["checkout", "--quiet", "--detach", &older]);
        let older_push = || begun_in(&fixture, &older_folder, &["push", "--lab"]);
        let newer_push = || begun_in(&fixture, fixture.root(), &["push", "--lab"]);
        let (first, second) = if round % 2 == 0 {
            let first = older_push();
            (first, newer_push())
        } else {
            let first = newer_push();
            let second = older_push();
            (second, first)
        };
        let first = Ran::from(first.wait_with_output().unwrap());
        let second = Ran::from(second.wait_with_output().unwrap()).expect(0);
        assert_eq!(second.code, Some(0));
        let dev = lab.manifest(&fixture.image(), "dev").unwrap().1;
        let exact = lab.manifest(&fixture.image(), &format!("dev-{newer}")).unwrap().1;
        assert_eq!(dev, exact, "round {round}: {}", first.stderr);
        assert!(first.code == Some(0) || first.stderr.contains(&newer), "{}", first.stderr);
    }
}

//! `cargo xtask push --lab` against a real engine and a real registry: what moves, what is published,
//! and what stays whole whatever happens. Bytes and requests are those that the registry saw.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and starts the programs it needs"
)]

mod support;
#[path = "support/lab.rs"]
mod the_lab;

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::{Fixture, Ran};
use the_lab::Lab;

/// Packages that no one else has installed, then a file of 300 kB that changes. The `WORKDIR` above a
/// step must not miss the cache because a commit has another time.
fn service(seed: u128) -> String {
    format!(
        "FROM debian:bookworm AS build\n\
         WORKDIR /work\n\
         RUN head -c 2000000 /dev/urandom > /built && echo {seed}\n\
         FROM debian:bookworm\n\
         RUN head -c 3000000 /dev/urandom > /packages && echo {seed}\n\
         COPY --from=build /built /built\n\
         COPY --link data /data\n"
    )
}

fn seed() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()
}

/// A salt that no other run has.
fn unlike_any() -> u64 {
    u64::try_from(seed() % u128::from(u64::MAX)).unwrap()
}

/// Bytes that do not compress, other ones for each `salt`.
fn noise(salt: u64, count: usize) -> String {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b' ' + u8::try_from(state % 95).unwrap())
        })
        .collect()
}

/// A repository with one service `web`, committed; nothing of it is published.
fn unpublished() -> (Fixture, Lab) {
    let fixture = Fixture::unpublished();
    fixture.service("web", &service(seed()));
    fixture.write("services/web/data", &noise(1, 300_000));
    fixture.commit("feat: a service");
    let lab = Lab::up(&fixture);
    (fixture, lab)
}

impl Fixture {
    fn image(&self) -> String {
        format!("{}/web", self.repository)
    }

    fn another_commit(&self) -> String {
        self.write("README.md", &format!("{}", seed()));
        self.commit("docs: nothing of the service")
    }
}

fn push(fixture: &Fixture, more: &[&str]) -> Ran {
    fixture.xtask(&[&["push", "--lab", "--format=json"], more].concat())
}

fn the_service(ran: &Ran) -> Value {
    ran.json()["services"][0].clone()
}

/// Pulls and runs what is published, on an emptied engine.
fn pulls(lab: &Lab, fixture: &Fixture, tag: &str) {
    lab.docker(&["image", "prune", "--all", "--force"]).expect(0);
    let reference = format!("{}/{}:{tag}", lab.registry(), fixture.image());
    lab.docker(&["run", "--rm", &reference, "test", "-s", "/data"]).expect(0);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn nothing_changed_and_a_rebuild_moves_no_more_than_64_kib() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    fixture.another_commit();
    lab.empty_engine();
    lab.reset();
    let ran = push(&fixture, &["--rebuild"]).expect(0);
    let moved = lab.traffic();
    let record = &the_service(&ran)["record"];
    assert_eq!(record["totals"]["cached"], record["totals"]["total"], "{record:#}");
    assert_eq!(record["totals"]["total"], 5);
    assert!(moved.bytes <= 64 * 1024, "{moved:?} {:#?}", lab.requests());
    pulls(&lab, &fixture, "dev");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_release_of_a_pushed_commit_moves_no_more_than_64_kib_also_when_dev_has_gone_on() {
    let (fixture, lab) = unpublished();
    let release = |version: &str| {
        lab.empty_engine();
        lab.reset();
        let more = ["--create-tag", "--no-github-release", "--format=json"];
        fixture.xtask(&[&["release", version, "--lab"], &more[..]].concat()).expect(0)
    };
    push(&fixture, &[]).expect(0);
    release("v1.0.0");
    for salt in [3, 4] {
        fixture.write("services/web/data", &noise(salt, 300_000));
        fixture.commit("feat: other data");
        push(&fixture, &[]).expect(0);
    }
    fixture.git(&["checkout", "--quiet", "HEAD^"]);
    let ran = release("v1.0.1");
    let moved = lab.traffic();
    let record = &the_service(&ran)["record"];
    assert_eq!(record["totals"]["cached"], record["totals"]["total"], "{record:#}");
    assert!(moved.bytes <= 64 * 1024, "{moved:?} {:#?}", lab.requests());
    pulls(&lab, &fixture, "latest");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn one_changed_file_moves_its_layer_and_no_more_than_128_kib() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    fixture.write("services/web/data", &noise(2, 300_000));
    fixture.commit("feat: other data");
    lab.empty_engine();
    lab.reset();
    let ran = push(&fixture, &[]).expect(0);
    let moved = lab.traffic();
    let record = &the_service(&ran)["record"];
    assert_eq!(record["totals"]["cached"], 4, "{record:#}");
    let (index, _) = lab.manifest(&fixture.image(), "dev").unwrap();
    let child = index["manifests"][0]["digest"].as_str().unwrap();
    let (manifest, _) = lab.manifest(&fixture.image(), child).unwrap();
    let layer = manifest["layers"].as_array().unwrap().last().unwrap()["size"].as_u64().unwrap();
    // The cache gets its own layer, compressed in its own way.
    assert!(moved.bytes <= 2 * layer + 128 * 1024, "{moved:?}, layer {layer}");
    pulls(&lab, &fixture, "dev");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_unchanged_service_is_tagged_in_less_than_ten_requests_and_explained() {
    let (fixture, lab) = unpublished();
    let first = the_service(&push(&fixture, &[]).expect(0));
    let revision = fixture.another_commit();
    lab.empty_engine();
    lab.reset();
    let ran = push(&fixture, &[]).expect(0);
    let moved = lab.traffic();
    let published = the_service(&ran);
    assert_eq!(published["result"], "unchanged", "{published:#}");
    assert_eq!(published["digest"], first["digest"]);
    assert!(moved.requests < 10, "{moved:?}");
    let (_, digest) = lab.manifest(&fixture.image(), &format!("dev-{revision}")).unwrap();
    assert_eq!(first["digest"], digest);

    fixture.write("services/web/data", "new");
    fixture.commit("feat: new data");
    let ran = fixture.xtask(&["push", "--lab", "--explain", "--dry-run"]).expect(0);
    assert!(
        ran.stderr.contains("web is built: its inputs changed\n  its folder: "),
        "{}",
        ran.stderr
    );
}

/// A build that takes everything from one tier, the others being removed.
fn only(remove: &[&str], gha: bool, expected_tier: &str) {
    let (fixture, lab) = unpublished();
    let variables = lab.actions("refs/heads/dev");
    let push = |more: &[&str]| {
        let mut command = fixture.command(&[&["push", "--lab", "--format=json"], more].concat());
        if gha {
            command.envs(variables.clone());
        }
        Ran::from(command.output().unwrap())
    };
    push(&[]).expect(0);
    if expected_tier == "latest" {
        let reference = |tag: &str| format!("{}/{}:{tag}", lab.registry(), fixture.image());
        let (from, to) = (reference("dev"), reference("latest"));
        lab.docker(&["buildx", "imagetools", "create", "--tag", &to, &from]).expect(0);
        // Its own digest, so that it stays when `dev` goes.
        fixture.another_commit();
        push(&["--rebuild"]).expect(0);
    }
    fixture.another_commit();
    for tag in remove {
        lab.delete(&fixture.image(), tag);
    }
    lab.empty_engine();
    let ran = push(&["--rebuild"]).expect(0);
    let record = the_service(&ran)["record"].clone();
    assert_eq!(record["totals"]["cached"], record["totals"]["total"], "{record:#}");
    let tiers = record["tiers"].as_array().unwrap();
    let offered: Vec<_> = tiers.iter().filter(|tier| tier["outcome"] == "offered").collect();
    assert_eq!(offered.len(), 1, "{tiers:#?}");
    assert_eq!(offered[0]["tier"], expected_tier);
    let exports = record["exports"].as_array().unwrap();
    assert!(exports.iter().all(|export| export["outcome"] != "failed"), "{exports:#?}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_cache_alone_gives_every_step() {
    only(&["dev"], false, "cache");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_dev_image_alone_gives_every_step() {
    only(&["cache"], false, "dev");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_latest_image_alone_gives_every_step() {
    only(&["cache", "dev"], false, "latest");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_actions_cache_alone_gives_every_step() {
    only(&["cache", "dev"], true, "gha");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_tier_that_never_answers_is_left_out_and_holds_up_nothing() {
    let (fixture, lab) = unpublished();
    fixture.service("api", &format!("FROM debian:bookworm\nRUN echo {} > /x\n", unlike_any()));
    fixture.commit("feat: another service");
    let variables = lab.actions("refs/heads/dev");
    let run = |arguments: &[&str]| {
        let mut command = fixture.command(&[arguments, &["--lab", "--format=json"]].concat());
        Ran::from(command.envs(variables.clone()).output().unwrap()).expect(0)
    };
    run(&["push"]);
    for tier in ["cache", "dev", "latest", "gha"] {
        fixture.another_commit();
        let hang = |path: &str| json!({"match": {"path": path}, "action": {"kind": "hang"}});
        if tier == "gha" {
            lab.cache_control("POST", "faults", Some(&hang("/twirp/")));
        } else {
            lab.fault(&hang(&format!("/v2/{}/manifests/{tier}", fixture.image())));
        }
        let ran = run(&["build"]).json();
        lab.no_faults();
        lab.cache_control("DELETE", "faults", None);
        let records = ran["records"].as_array().unwrap();
        assert!(records.iter().all(|record| record["result"] == "built"), "{tier}: {ran:#}");
        let outcome = |service: &str| {
            let record = records.iter().find(|record| record["service"] == service).unwrap();
            let tiers = record["tiers"].as_array().unwrap();
            tiers.iter().find(|look| look["tier"] == tier).unwrap()["outcome"].clone()
        };
        assert_eq!(outcome("web"), "hung", "{tier}: {ran:#}");
        // The Actions cache is one for both.
        assert_eq!(outcome("api") == "hung", tier == "gha", "{tier}: {ran:#}");
    }
}

/// The tier answers when it is looked at, and no more when BuildKit imports it.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_builder_that_hangs_in_an_import_is_freed_and_the_build_beside_ends_too() {
    let (fixture, lab) = unpublished();
    let other = || format!("FROM debian:bookworm\nRUN echo {} > /x\n", unlike_any());
    fixture.service("api", &other());
    fixture.commit("feat: another service");
    push(&fixture, &[]).expect(0);
    fixture.another_commit();
    fixture.service("api", &other());
    fixture.commit("feat: both changed");
    lab.empty_engine();
    let path = format!("/v2/{}/manifests/cache", fixture.image());
    lab.fault(&json!({"match": {"path": path, "method": "HEAD"}, "action": {"kind": "hang"}}));
    let ran = fixture.xtask(&["build", "--lab", "--format=json"]);
    lab.no_faults();
    let ran = ran.expect(0);
    assert!(ran.stderr.contains("BuildKit hangs in a cache import"), "{}", ran.stderr);
    for record in ran.json()["records"].as_array().unwrap() {
        assert_eq!(record["result"], "built", "{record:#}");
    }
}

/// The tier that hung is not asked again when the cache is exported, and the builder goes on.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_push_whose_cache_hangs_is_published_and_exports_nothing_to_it() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    fixture.write("services/web/data", &noise(2, 300_000));
    fixture.commit("feat: other data");
    lab.empty_engine();
    let path = format!("/v2/{}/manifests/cache", fixture.image());
    lab.fault(&json!({"match": {"path": path, "method": "HEAD"}, "action": {"kind": "hang"}}));
    let begun = std::time::Instant::now();
    let ran = push(&fixture, &[]);
    let seconds = begun.elapsed().as_secs_f64();
    lab.no_faults();
    let record = the_service(&ran.expect(0))["record"].clone();
    let of = |list: &str| {
        let mut list = record[list].as_array().unwrap().iter();
        list.find(|entry| entry["tier"] == "cache").unwrap()
    };
    assert_eq!(of("tiers")["outcome"], "hung", "{record:#}");
    assert!(of("tiers")["seconds"].as_f64().unwrap() > 15.0, "{record:#}");
    assert_eq!(of("exports")["outcome"], "left-out", "{record:#}");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 1, "{record:#}");
    // It was waited for once.
    assert!(seconds < 40.0, "{seconds} s");
    fixture.another_commit();
    push(&fixture, &["--rebuild"]).expect(0);
    pulls(&lab, &fixture, "dev");
}

/// `:cache` names a layer that was deleted since; the image has others.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_cache_whose_layer_is_gone_fails_no_build_and_is_made_whole_again() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    let (cache, _) = lab.manifest(&fixture.image(), "cache").unwrap();
    for layer in cache["layers"].as_array().unwrap() {
        let digest = layer["digest"].as_str().unwrap();
        let url = format!("http://{}/v2/{}/blobs/{digest}", lab.behind(), fixture.image());
        lab.agent.delete(&url).call().unwrap();
    }
    lab.delete(&fixture.image(), "dev");
    fixture.write("services/web/data", &noise(2, 300_000));
    fixture.commit("feat: other data");
    lab.empty_engine();
    let record = the_service(&push(&fixture, &[]).expect(0))["record"].clone();
    assert_eq!(record["tiers"][0]["outcome"], "failed", "{record:#}");
    assert_ne!(record["attempts"], Value::Null, "{record:#}");
    lab.whole(&fixture.image(), "cache");
    pulls(&lab, &fixture, "dev");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_pull_request_of_what_is_published_moves_no_more_than_64_kib() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    fixture.another_commit();
    lab.empty_engine();
    lab.reset();
    let ran = fixture.xtask(&["build", "--channel=pr", "--lab", "--format=json"]).expect(0);
    let moved = lab.traffic();
    let record = &ran.json()["records"][0];
    assert_eq!(record["totals"]["cached"], record["totals"]["total"], "{record:#}");
    assert!(moved.bytes <= 64 * 1024, "{moved:?} {:#?}", lab.requests());
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn dev_moves_forward_only_unless_told_otherwise() {
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

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_dirty_tree_is_refused_and_a_pull_request_never_publishes() {
    let (fixture, lab) = unpublished();
    fixture.write("services/web/new", "not committed");
    let ran = fixture.xtask(&["push", "--lab"]).expect(3);
    assert!(ran.stderr.contains("`services/web/new`"), "{}", ran.stderr);
    let mut command = fixture.command(&["push", "--lab", "--allow-dirty"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "pull_request");
    Ran::from(command.output().unwrap()).expect(3);
    assert!(lab.manifest(&fixture.image(), "dev").is_none());

    fixture.xtask(&["push", "--lab", "--allow-dirty"]).expect(0);
    let revision = fixture.git(&["rev-parse", "HEAD"]);
    assert!(lab.manifest(&fixture.image(), &format!("dev-{revision}-dirty")).is_some());
    assert!(lab.manifest(&fixture.image(), "dev").is_none(), "`dev` is always a commit's");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_secret_in_an_argument_is_refused_before_anything_is_pushed() {
    let (fixture, lab) = unpublished();
    fixture.service("web", "FROM debian:bookworm\nRUN echo hunter2-hunter2 > /x\n");
    fixture.commit("feat: leak");
    let mut command = fixture.command(&["push", "--lab"]);
    let ran = Ran::from(command.env("DEPLOY_TOKEN", "hunter2-hunter2").output().unwrap()).expect(3);
    assert!(ran.stderr.contains("`DEPLOY_TOKEN`"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    assert!(lab.manifest(&fixture.image(), "dev").is_none());
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_job_gets_its_outputs_and_its_summary() {
    let (fixture, _lab) = unpublished();
    let folder = tempfile::tempdir().unwrap();
    let (output, summary) = (folder.path().join("output"), folder.path().join("summary"));
    let mut command = fixture.command(&["push", "--lab"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "push");
    command.env("GITHUB_OUTPUT", &output).env("GITHUB_STEP_SUMMARY", &summary);
    Ran::from(command.output().unwrap()).expect(0);
    let output = std::fs::read_to_string(output).unwrap();
    assert!(output.contains("web-digest<<") && output.contains("\nsha256:"), "{output}");
    let summary = std::fs::read_to_string(summary).unwrap();
    for part in [
        "| web | built |",
        "| web | from :cache | not there |",
        "| web | to :cache | exported |",
        "```mermaid\ngantt\n",
    ] {
        assert!(summary.contains(part), "no {part:?} in {summary}");
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_invalidated_cache_makes_the_next_build_cold_and_deletes_nothing() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    let cache = lab.manifest(&fixture.image(), "cache").unwrap().1;
    fixture.xtask(&["cache", "invalidate", "--lab"]).expect(0);
    assert!(lab.manifest(&fixture.image(), &cache).is_some());
    let status = fixture.xtask(&["cache", "status", "--lab", "--format=json"]).expect(0).json();
    assert_eq!(status[0]["outcome"], "empty", "{status:#}");
    // Also the image that was made from the very same inputs gives nothing.
    lab.empty_engine();
    fixture.another_commit();
    let record = the_service(&push(&fixture, &["--rebuild"]).expect(0))["record"].clone();
    assert_eq!(record["totals"]["cached"], 0, "{record:#}");
    // What was built then is a cache again.
    lab.empty_engine();
    fixture.another_commit();
    let record = the_service(&push(&fixture, &["--rebuild"]).expect(0))["record"].clone();
    assert_eq!(record["totals"]["cached"], record["totals"]["total"], "{record:#}");
}

/// A push under way, killed with all its children when it goes.
fn begun(fixture: &Fixture) -> Child {
    let mut command = fixture.command(&["push", "--lab", "--rebuild"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn killed_at_any_moment_dev_is_whole_and_the_next_run_finishes() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    let begin = std::time::Instant::now();
    fixture.another_commit();
    push(&fixture, &["--rebuild"]).expect(0);
    let usual = begin.elapsed();
    for moment in 0..50_u32 {
        fixture.write("services/web/data", &noise(unlike_any(), 3000));
        let revision = fixture.commit("feat: other data");
        let mut child = begun(&fixture);
        std::thread::sleep(usual * moment / 50);
        child.kill().unwrap();
        child.wait().unwrap();
        let there = lab.manifest(&fixture.image(), "dev").unwrap().1;
        lab.whole(&fixture.image(), &there);
        let published = the_service(&push(&fixture, &[]).expect(0));
        let (_, dev) = lab.manifest(&fixture.image(), "dev").unwrap();
        let (_, exact) = lab.manifest(&fixture.image(), &format!("dev-{revision}")).unwrap();
        assert_eq!((&dev, &exact), (&exact, &dev));
        assert_eq!(published["digest"], dev, "moment {moment}");
    }
    pulls(&lab, &fixture, "dev");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn of_two_pushes_at_once_the_newer_commit_wins() {
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
        let checkout = Command::new("git")
            .args(["checkout", "--quiet", "--detach", &older])
            .current_dir(&older_folder)
            .status();
        assert!(checkout.unwrap().success());
        let older_push = || {
            let mut command = fixture.command(&["push", "--lab"]);
            command.current_dir(&older_folder);
            command.env("CARGO_MANIFEST_DIR", older_folder.join("xtask"));
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let newer_push = || {
            let mut command = fixture.command(&["push", "--lab"]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
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

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_fault_at_any_request_is_survived_or_told_and_dev_stays_whole() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    fixture.write("services/web/data", &noise(7, 3000));
    fixture.commit("feat: other data");
    lab.reset();
    push(&fixture, &["--rebuild"]).expect(0);
    let count = lab.requests().len();
    assert!(count > 10, "{count}");
    let faults = [
        json!({"kind": "drop"}),
        json!({"kind": "reset"}),
        json!({"kind": "status", "code": 500}),
        json!({"kind": "status", "code": 503}),
        json!({"kind": "status", "code": 429, "retry_after": 1}),
        json!({"kind": "slow", "bytes_per_second": 4000}),
        json!({"kind": "truncate", "after": 20}),
        json!({"kind": "lose_answer"}),
    ];
    // Each request meets one of the faults; with ALL_FAULTS each meets all of them, which takes half
    // an hour, because BuildKit itself waits before it tries again.
    let all = std::env::var_os("ALL_FAULTS").is_some();
    let pairs = (1..=count).flat_map(|nth| faults.iter().enumerate().map(move |pair| (nth, pair)));
    for (nth, (position, fault)) in pairs {
        if !all && position != nth % faults.len() {
            continue;
        }
        fixture.write("services/web/data", &noise(unlike_any(), 3000));
        let revision = fixture.commit("feat: other data");
        let before = lab.manifest(&fixture.image(), "dev").unwrap().1;
        lab.reset();
        lab.fault(&json!({"match": {"nth": nth, "count": 1}, "action": fault}));
        let ran = fixture.xtask(&["push", "--lab"]);
        lab.no_faults();
        let dev = lab.manifest(&fixture.image(), "dev").unwrap().1;
        lab.whole(&fixture.image(), &dev);
        if ran.code == Some(0) {
            let exact = lab.manifest(&fixture.image(), &format!("dev-{revision}")).unwrap().1;
            assert_eq!(dev, exact, "{fault} at {nth}");
        } else {
            assert_eq!(dev, before, "{fault} at {nth}: {}", ran.stderr);
            assert!(
                ran.stderr.contains("web: ") || ran.stderr.contains("error: "),
                "{}",
                ran.stderr
            );
        }
    }
}

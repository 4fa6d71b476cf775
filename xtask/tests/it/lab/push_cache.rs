//! `cargo xtask push --lab` against a real engine and a real registry: how much data moves, and what each cache
//! tier provides. The registry counts bytes and requests.

use crate::support::Ran;
use crate::support::pushing::{noise, pulls, push, the_service, unlike_any, unpublished};
use serde_json::{Value, json};

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn rebuilding_unchanged_inputs_moves_little() {
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
    assert!(moved.bytes <= 65 * 1024, "{moved:?} {:#?}", lab.requests());
    pulls(&lab, &fixture, "dev");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn releasing_a_pushed_commit_moves_little() {
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
    assert!(moved.bytes <= 65 * 1024, "{moved:?} {:#?}", lab.requests());
    pulls(&lab, &fixture, "latest");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn one_changed_file_moves_little_but_its_layer() {
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
    assert!(moved.bytes <= layer + 128 * 1024, "{moved:?}, layer {layer}");
    pulls(&lab, &fixture, "dev");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn tagging_an_unchanged_service_takes_under_ten_requests() {
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
        ran.stderr.contains("web: build (its inputs changed)\n  the service's folder: "),
        "{}",
        ran.stderr
    );
}

/// A build that takes everything from one tier after the others were removed.
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
        // A different digest: it stays when `dev` is deleted.
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
fn a_tier_that_never_answers_is_left_out() {
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
        // Both services share the Actions cache.
        assert_eq!(outcome("api") == "hung", tier == "gha", "{tier}: {ran:#}");
    }
}

/// The tier answers xtask's check, but hangs when BuildKit imports it.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_builder_that_hangs_on_import_is_restarted() {
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
    assert!(ran.stderr.contains("BuildKit hangs while it imports the cache"), "{}", ran.stderr);
    for record in ran.json()["records"].as_array().unwrap() {
        assert_eq!(record["result"], "built", "{record:#}");
    }
}

/// The cache export does not ask the hanging tier again, and the builder keeps running.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_hanging_cache_does_not_stop_a_push() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    fixture.write("services/web/data", &noise(2, 300_000));
    fixture.commit("feat: other data");
    lab.empty_engine();
    let path = format!("/v2/{}/manifests/cache", fixture.image());
    lab.fault(&json!({"match": {"path": path, "method": "HEAD"}, "action": {"kind": "hang"}}));
    lab.reset();
    let ran = push(&fixture, &[]);
    let held = lab.requests().into_iter().filter(|request| request["fault"] == "hang").count();
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
    assert_eq!(held, 1, "the push waited for it again");
    fixture.another_commit();
    push(&fixture, &["--rebuild"]).expect(0);
    pulls(&lab, &fixture, "dev");
}

/// `:cache` names a layer that was deleted since; the image has others.
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_cache_with_a_missing_layer_is_repaired() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    let (cache, _) = lab.manifest(&fixture.image(), "cache").unwrap();
    let gone = |layer: &&Value| {
        let digest = layer["digest"].as_str().unwrap();
        let url = format!("http://{}/v2/{}/blobs/{digest}", lab.behind(), fixture.image());
        lab.agent.delete(&url).call().is_ok()
    };
    // The list may contain a layer twice.
    assert!(cache["layers"].as_array().unwrap().iter().filter(gone).count() > 0);
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
fn an_unchanged_pull_request_moves_little() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    fixture.another_commit();
    lab.empty_engine();
    lab.reset();
    let ran = fixture.xtask(&["build", "--channel=pr", "--lab", "--format=json"]).expect(0);
    let moved = lab.traffic();
    let record = &ran.json()["records"][0];
    assert_eq!(record["totals"]["cached"], record["totals"]["total"], "{record:#}");
    assert!(moved.bytes <= 65 * 1024, "{moved:?} {:#?}", lab.requests());
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn invalidating_the_cache_makes_the_next_build_cold() {
    let (fixture, lab) = unpublished();
    push(&fixture, &[]).expect(0);
    let cache = lab.manifest(&fixture.image(), "cache").unwrap().1;
    fixture.xtask(&["cache", "invalidate", "--lab"]).expect(0);
    assert!(lab.manifest(&fixture.image(), &cache).is_some());
    let status = fixture.xtask(&["cache", "status", "--lab", "--format=json"]).expect(0).json();
    assert_eq!(status[0]["outcome"], "empty", "{status:#}");
    // The image with the very same inputs provides no cache either.
    lab.empty_engine();
    fixture.another_commit();
    let record = the_service(&push(&fixture, &["--rebuild"]).expect(0))["record"].clone();
    assert_eq!(record["totals"]["cached"], 0, "{record:#}");
    // The image that was built then is a cache again.
    lab.empty_engine();
    fixture.another_commit();
    let record = the_service(&push(&fixture, &["--rebuild"]).expect(0))["record"].clone();
    assert_eq!(record["totals"]["cached"], record["totals"]["total"], "{record:#}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn rebuilding_a_published_commit_only_fills_the_cache() {
    let (fixture, lab) = unpublished();
    let first = the_service(&push(&fixture, &[]).expect(0));
    lab.delete(&fixture.image(), "cache");
    lab.empty_engine();
    let mut command = fixture.command(&["push", "--lab", "--format=json"]);
    let ran = Ran::from(command.env("XTASK_REBUILD", "true").output().unwrap()).expect(0);
    let published = the_service(&ran);
    assert_eq!(published["result"], "finished", "{published:#}");
    assert_eq!(published["digest"], first["digest"]);
    assert!(published["tags"].as_array().unwrap().iter().all(|tag| tag["set"] == false));
    let exports = published["record"]["exports"].as_array().unwrap();
    assert!(exports.iter().all(|export| export["outcome"] != "failed"), "{exports:#?}");
    let status = fixture.xtask(&["cache", "status", "--lab", "--format=json"]).expect(0).json();
    assert_eq!(status[0]["outcome"], "offered", "{status:#}");
    assert_eq!(first["digest"], lab.manifest(&fixture.image(), "dev").unwrap().1);
}

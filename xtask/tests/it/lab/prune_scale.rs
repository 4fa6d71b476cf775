//! `cargo xtask prune --lab` over a package of 10,000 versions: its requests, how many at once, and the
//! memory it takes.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::support::images::made_up;
use crate::support::package::{World, lab, limits};
use serde_json::{Value, json};

const INDEXES: usize = 2000;

/// Waits for the end, and returns the most memory that the process used, in kB.
fn watched(mut child: Child) -> (ExitStatus, u64) {
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        most = now.unwrap_or(0).max(most);
        if let Some(status) = child.try_wait().unwrap() {
            return (status, most);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn ten_thousand_versions_need_little_memory() {
    let lab = lab();
    let world = World::unpublished(&lab, "github");
    for versions in made_up(&world.repository(), INDEXES).chunks(1000) {
        lab.github("POST", "/made-up", Some(&Value::from(versions)));
    }
    lab.reset();
    lab.github("POST", "/reset", None);
    // The delay makes readers overlap on a slow machine too.
    let pause = json!({
        "match": { "path": world.owner, "count": 64 },
        "action": { "kind": "delay", "milliseconds": 100 },
    });
    lab.control("POST", "/faults", Some(&pause));
    let output = world.fixture.root().join("../plan.json");
    let mut command =
        world.fixture.command(&["prune", "--lab", "--backend=github", "--format=json"]);
    let begun = Instant::now();
    let child = command.stdout(File::create(&output).unwrap()).spawn().unwrap();
    let (status, memory) = watched(child);
    let seconds = begun.elapsed().as_secs_f64();
    lab.no_faults();
    limits(&lab, 1000, 1000);
    assert!(status.success());
    let text = std::fs::read(&output).unwrap();
    std::fs::remove_file(output).unwrap();
    let plan: Value = serde_json::from_slice(&text).unwrap();

    let [read, asked] = world.requests();
    let at_once = &lab.control("GET", "/counters", None)["by"][0]["at_once"];
    let listed =
        asked.iter().filter(|request| request["path"].as_str().unwrap().contains("/versions?"));
    let listed = listed.count();
    println!(
        "{} versions in {seconds:.1} s: {listed} list requests, {} manifests read, {at_once} at a \
         time, {memory} kB of memory",
        plan["verdicts"].as_array().unwrap().len(),
        read.len()
    );
    assert_eq!(plan["verdicts"].as_array().unwrap().len(), INDEXES * 5);
    assert_eq!(plan["delete"].as_array().unwrap().len(), (INDEXES - 1) * 5);
    // The owner, the number of versions, and a hundred versions on each page.
    assert_eq!((asked.len(), listed), (INDEXES * 5 / 100 + 2, INDEXES * 5 / 100 + 1));
    let paths: BTreeSet<&str> =
        read.iter().map(|request| request["path"].as_str().unwrap()).collect();
    assert_eq!((read.len(), paths.len()), (INDEXES * 5, INDEXES * 5));
    assert_eq!(*at_once, 16);
    assert!((1..=100_000).contains(&memory), "{memory} kB");
}

//! The lab's life on this machine: up, down, killed, and seen by a dry run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::lab::Lab;
use crate::support::processes::{running, signal, wait_until};
use crate::support::{Fixture, Ran};
use serde_json::Value;

/// A committed fixture with one service; its step is in no other run's cache.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let nanoseconds = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let dockerfile = format!("FROM debian:bookworm\nRUN echo {nanoseconds} > /unique\n");
    fixture.service("web", &dockerfile);
    fixture.commit("feat: a service");
    fixture
}

fn status(fixture: &Fixture) -> Value {
    fixture.xtask(&["lab", "status", "--format=json"]).expect(0).json()
}

fn built(fixture: &Fixture) -> Value {
    let ran = fixture.xtask(&["build", "--lab", "--format=json"]).expect(0);
    ran.json()["records"][0].clone()
}

/// The folder of the sockets of a private engine.
fn sockets(status: &Value) -> Option<PathBuf> {
    let host = status["engine"]["host"].as_str().filter(|_| status["engine"]["kind"] == "private");
    host.map(|host| Path::new(host.trim_start_matches("unix://")).parent().unwrap().to_owned())
}

/// The remains of this lab. Another lab may be up beside it.
fn traces(status: &Value, network: &str) -> Vec<String> {
    let folder = status["state"].as_str().unwrap();
    let mut places = vec![folder.to_owned()];
    let mut found = Vec::new();
    if let Some(own) = sockets(status) {
        let id = own.to_str().unwrap().rsplit_once('-').unwrap().1;
        let links = [format!("lab{id}"), format!("br-{}", network.get(..12).unwrap())];
        let there = |link: &String| Path::new("/sys/class/net").join(link).exists();
        found.extend(links.into_iter().filter(there));
        found.extend(own.exists().then(|| own.display().to_string()));
        places.push(own.display().to_string());
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = mounts.lines().filter(|line| places.iter().any(|place| line.contains(place)));
    found.extend(mounts.map(str::to_owned));
    let engine = |process: &crate::support::processes::Process| {
        let program = process.command.split(' ').next().unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or_default();
        (name.starts_with("containerd") || name.starts_with("docker") || name == "lab")
            && places.iter().any(|place| process.command.contains(place))
    };
    found.extend(running(engine).into_iter().map(|process| process.command));
    found
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn lab_status_shows_every_part() {
    let fixture = fixture();
    fixture.xtask(&["lab", "up"]).expect(0);
    let status = status(&fixture);
    assert_eq!(status["up"], true, "{status}");
    for place in ["/registry/address", "/servers/actions_cache", "/servers/github_api"] {
        assert!(status.pointer(place).unwrap().as_str().unwrap().contains("127.0.0.1:"), "{place}");
    }
    let bases = status["bases"].as_array().unwrap();
    assert!(bases.iter().all(|base| base["stand_in"] == true));
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn lab_down_leaves_nothing_and_up_restores_it() {
    let fixture = fixture();
    let first = built(&fixture);
    let lab = Lab::up(&fixture);
    let status = status(&fixture);
    lab.docker(&["run", "--detach", "repo-web:local", "sleep", "600"]).expect(0);
    let network = lab.docker(&["network", "create", "left-behind"]).expect(0).stdout;

    // A shell that names the lab's socket belongs to the user, and does not end with the lab.
    let down = fixture.command(&["lab", "down"]);
    let host = status["engine"]["host"].as_str().unwrap_or_default();
    let script = format!("DOCKER_HOST='{host}'; \"$0\" lab down && echo \"survived\"");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(down.get_program()).current_dir(fixture.root()).env_clear();
    shell.envs(down.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = Ran::from(shell.output().unwrap()).expect(0);
    assert_eq!(ran.stdout, "survived\n");

    assert_eq!(traces(&status, &network), [] as [String; 0]);
    let again = built(&fixture);
    assert_eq!(again["totals"]["cached"], again["totals"]["total"]);
    assert_eq!(again["image"]["digest"], first["image"]["digest"]);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_killed_lab_comes_up_and_goes_down() {
    let fixture = fixture();
    built(&fixture);
    let lab = Lab::up(&fixture);
    let status = status(&fixture);
    // The container outlives its engine, and is found through the shim that started it.
    let nap = format!("7{}", std::process::id());
    lab.docker(&["run", "--detach", "repo-web:local", "sleep", &nap]).expect(0);
    let network = lab.docker(&["network", "create", "left-by-a-kill"]).expect(0).stdout;
    let kill_all = || {
        let pids = crate::support::labs::target().join("lab").join("pids");
        for entry in std::fs::read_dir(pids).unwrap().flatten() {
            signal("KILL", std::fs::read_to_string(entry.path()).unwrap().trim());
        }
    };
    kill_all();
    let again = built(&fixture);
    assert_eq!(again["totals"]["cached"], again["totals"]["total"]);

    kill_all();
    fixture.xtask(&["lab", "down"]).expect(0);
    if sockets(&status).is_some() {
        assert_eq!(traces(&status, &network), [] as [String; 0]);
        let naps = running(|process| process.command.starts_with(&format!("sleep {nap}")));
        assert_eq!(format!("{naps:?}"), "[]");
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_lab_dry_run_changes_nothing() {
    let fixture = fixture();
    fixture.xtask(&["lab", "up"]).expect(0);
    let dry = ["lab", "down", "--purge", "--dry-run"];
    let steps = fixture.xtask(&dry).expect(0).stdout;
    assert!(steps.contains("end registry (process ") && steps.contains("/lab\n"), "{steps}");
    let json = fixture.xtask(&[&dry[..], &["--format=json"]].concat()).expect(0).json();
    assert_eq!(json["steps"].as_array().unwrap().len(), steps.lines().count());
    assert_eq!(status(&fixture)["up"], true);

    fixture.xtask(&["lab", "down"]).expect(0);
    let state = crate::support::labs::target().join("lab").join("state.json");
    let before = std::fs::read_to_string(&state).unwrap();
    let plan = fixture.xtask(&["lab", "up", "--dry-run", "--format=json"]).expect(0).json();
    assert_eq!(plan["steps"][0]["action"]["kind"], "start-registry", "{plan}");
    let build = fixture.xtask(&["build", "--lab", "--dry-run"]).expect(0);
    assert!(build.stderr.contains("lab: would start the registry ("), "{}", build.stderr);
    assert!(build.stdout.contains("docker buildx build"), "{}", build.stdout);
    assert_eq!(status(&fixture)["up"], false);
    assert_eq!(std::fs::read_to_string(&state).unwrap(), before);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn quiet_still_names_the_stand_ins() {
    let fixture = fixture();
    fixture.xtask(&["lab", "up"]).expect(0);
    let is_stand_in = |base: &Value| base["reference"] == "debian:bookworm";
    if status(&fixture)["bases"].as_array().unwrap().iter().any(is_stand_in) {
        let ran = fixture.xtask(&["build", "--lab", "--quiet"]).expect(0);
        assert_eq!(ran.stderr, "lab: stand-ins for debian:bookworm\n");
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn lab_up_finishes_a_killed_debootstrap() {
    let fixture = fixture();
    fixture.xtask(&["lab", "up"]).expect(0);
    let before = status(&fixture);
    if before["bases"].as_array().unwrap().is_empty() {
        return;
    }
    let folder = crate::support::labs::target().join("lab");
    std::fs::remove_file(folder.join("bases").join("debian-bookworm")).unwrap();
    let state = folder.join("state.json");
    let mut known: Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    known["bases"].as_object_mut().unwrap().remove("debian:bookworm").unwrap();
    std::fs::write(&state, known.to_string()).unwrap();

    let mut up = fixture.command(&["lab", "up"]);
    let mut child = up.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mount = folder.join("debootstrap-");
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let is_mounted = || mounts().contains(mount.to_str().unwrap());
    let makes = || {
        running(|process| {
            process.command.contains("/debootstrap ")
                && process.command.contains(folder.to_str().unwrap())
        })
    };
    wait_until("a base is being made", 120, || is_mounted() && !makes().is_empty());
    child.kill().unwrap();
    child.wait().unwrap();

    fixture.xtask(&["lab", "up"]).expect(0);
    assert_eq!(status(&fixture)["bases"], before["bases"]);
    assert!(!is_mounted(), "{}", mounts());
    assert_eq!(format!("{:?}", makes()), "[]");
    let left = std::fs::read_dir(&folder).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.starts_with("debootstrap-")), "{left:?}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_interrupted_lab_up_ends_with_4() {
    let fixture = fixture();
    fixture.xtask(&["lab", "down"]).expect(0);
    let mut up = fixture.command(&["lab", "up"]);
    let mut child = up.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It announces each step before it starts.
    let mut first = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut first).unwrap();
    signal("INT", &child.id().to_string());
    assert_eq!(child.wait().unwrap().code(), Some(4), "{first}");
    fixture.xtask(&["lab", "up"]).expect(0);
    assert_eq!(status(&fixture)["up"], true);
}

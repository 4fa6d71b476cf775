//! Takes the lab down: ends what `up` started, and removes its mounts, links and packet rules. It touches only
//! our own: processes by number and program, links and rules by name.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Runner;
use crate::{running, tools};
use xtask_model::invocation::Invocation;
use xtask_model::lab::{EngineState, LabState};

use super::engine::ip;
use super::{LabPaths, left_behind};

/// What [`down`], or with `purge` [`purge`], would do now, one line each.
pub fn foreseen(place: &LabPaths, with_data: bool) -> Vec<String> {
    let processes = PROCESSES
        .into_iter()
        .filter_map(|name| place.process(name).map(|pid| format!("end {name} (process {pid})")));
    let state = place.state();
    let bridge = state.as_ref().and_then(|state| match &state.engine {
        EngineState::Private { bridge, .. } => Some(bridge),
        EngineState::Existing { .. } => None,
    });
    let link =
        bridge.filter(|bridge| is_link(bridge)).map(|bridge| format!("delete link {bridge}"));
    let data = with_data.then_some(&place.folder);
    let folders = [Some(&place.run), data].into_iter().flatten().filter(|folder| folder.is_dir());
    let folders = folders.map(|folder| format!("delete {}", folder.display()));
    processes.chain(link).chain(folders).collect()
}

/// Our processes that outlive a command, in the order in which they are ended.
const PROCESSES: [&str; 4] = ["dockerd", "containerd", "servers", "registry"];

/// Ends everything. It continues after an error; another run finishes the rest.
pub fn down(runner: &Runner, place: &LabPaths) -> Result<()> {
    let state = place.state();
    let private = state.as_ref().filter(|state| state.is_private());
    if let Some(state) = private {
        empty_engine(&super::runner_for(runner, state));
    }
    for name in PROCESSES {
        if let Some(pid) = place.process(name) {
            running::end(pid, &place.marks(), Duration::from_secs(30));
        }
        let _ = std::fs::remove_file(place.pid_file(name));
    }
    left_behind::end_engine(place);
    left_behind::end_debootstrap(place);
    // A killed debootstrap leaves processes and mounts, whichever engine there is.
    left_behind::unmount(runner, &[&place.run, &place.folder])?;
    if let Some(state) = private {
        remove_links(runner, place, state)?;
        if !another_engine_runs() {
            super::engine::restore_forwarding(place);
        }
    }
    match std::fs::remove_dir_all(&place.run) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete `{}`", place.run.display()))
        }
        _ => Ok(()),
    }
}

/// Ends only the engine, with its mounts. Its data stays.
pub fn end_engine(place: &LabPaths) {
    if let Some(pid) = place.process("dockerd") {
        running::end(pid, &place.marks(), Duration::from_secs(5));
    }
    let _ = std::fs::remove_file(place.pid_file("dockerd"));
}

/// Deletes all data of the lab.
pub fn purge(place: &LabPaths) -> Result<()> {
    match std::fs::remove_dir_all(&place.folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete `{}`", place.folder.display()))
        }
        _ => Ok(()),
    }
}

/// Removes containers and networks while the engine still runs.
fn empty_engine(runner: &Runner) {
    let containers = runner.finish(&Invocation::new("docker", ["ps", "--all", "--quiet"]));
    let names = containers.map(|finished| finished.stdout).unwrap_or_default();
    if !names.trim().is_empty() {
        let remove = ["rm", "--force", "--volumes"].into_iter().chain(names.split_whitespace());
        let _ = runner.clean_up(&Invocation::new("docker", remove));
    }
    let _ = runner.clean_up(&Invocation::new("docker", ["network", "prune", "--force"]));
}

/// Removes the bridge, the bridges of networks that a killed engine left, and their packet rules.
fn remove_links(runner: &Runner, place: &LabPaths, state: &LabState) -> Result<()> {
    let EngineState::Private { bridge, subnet, .. } = &state.engine else { return Ok(()) };
    // dockerd names a network's bridge by the start of its id, and keeps all ids in one file.
    let store = place.folder.join("docker/network/files/local-kv.db");
    let store = std::fs::read(store).unwrap_or_default();
    let known = |link: &String| {
        let id = link.strip_prefix("br-").unwrap_or_default().as_bytes();
        id.len() == 12 && store.windows(id.len()).any(|window| window == id)
    };
    let mut links: Vec<String> = links().into_iter().filter(known).collect();
    links.push(bridge.clone());
    remove_rules(runner, &links, subnet);
    for link in links {
        if is_link(&link) {
            runner.clean_up(&ip(&["link", "delete", &link]))?;
        }
    }
    Ok(())
}

fn is_link(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

fn links() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/class/net") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// Deletes the packet rules that name one of `links` or the subnet.
fn remove_rules(runner: &Runner, links: &[String], subnet: &str) {
    let Some(program) = tools::find("iptables-save") else { return };
    let saved = runner.finish(&Invocation::new(&program.to_string_lossy(), [] as [&str; 0]));
    let Ok(saved) = saved else { return };
    let net = subnet.rsplit_once('.').map_or("", |(net, _)| net);
    let net = format!("{net}.0/");
    let mut table = String::new();
    for line in saved.stdout.lines() {
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(&mut table);
        }
        let Some(rule) = line.strip_prefix("-A ") else { continue };
        let ours = |word: &str| links.iter().any(|link| link == word) || word.starts_with(&net);
        if rule.split(' ').any(ours) {
            delete(runner, &table, rule);
        }
    }
}

fn delete(runner: &Runner, table: &str, rule: &str) {
    let head = ["-w", "-t", table, "-D"].into_iter();
    let words = rule.split(' ').map(|word| word.trim_matches('"'));
    // The rule may be gone already.
    let _ = runner.clean_up(&Invocation::new(&super::engine::iptables(), head.chain(words)));
}

fn another_engine_runs() -> bool {
    let is_engine = |pid: &u32| {
        let line = running::command_line(*pid).unwrap_or_default();
        line.split(' ').next().is_some_and(|program| program.ends_with("dockerd"))
    };
    running::all().iter().any(is_engine)
}

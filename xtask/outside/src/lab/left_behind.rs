//! What an engine or a debootstrap that was killed leaves behind: processes and mounts. A process is ours
//! by what it is, not by what its command line mentions: a shell that names the lab's socket is a user's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::process::{self, Runner};
use xtask_model::invocation::Invocation;

use super::Place;

/// A process as `/proc` tells of it.
#[derive(Debug, Default)]
struct Seen {
    parent: u32,
    /// The name of its program's file.
    program: String,
    command: String,
    /// Where it has its `/`.
    root: PathBuf,
}

/// Ends the parts of an engine of ours that outlived it.
pub fn end_engine(place: &Place) {
    end(|all| of_engine(all, &place.run));
}

/// Ends what makes a stand-in for Debian.
pub fn end_debootstrap(place: &Place) {
    end(|all| of_debootstrap(all, &place.folder));
}

fn end(choose: impl Fn(&BTreeMap<u32, Seen>) -> Vec<u32>) {
    // What one of them starts before it ends is seen by the next look.
    for _ in 0..3 {
        let all: BTreeMap<u32, Seen> =
            process::all().into_iter().filter_map(|pid| Some((pid, look(pid)?))).collect();
        let chosen = choose(&all);
        if chosen.is_empty() {
            return;
        }
        for (pid, seen) in chosen.iter().filter_map(|pid| all.get_key_value(pid)) {
            process::end_process(*pid, &[&seen.command], Duration::from_secs(1));
        }
    }
}

/// What speaks to the sockets in `run`, and what the shims among that have started.
fn of_engine(all: &BTreeMap<u32, Seen>, run: &Path) -> Vec<u32> {
    let is_shim = |seen: &Seen| seen.program.starts_with("containerd-shim");
    let is_part = |seen: &Seen| {
        let parts = ["dockerd", "containerd", "runc", "docker-proxy"];
        (is_shim(seen) || parts.contains(&seen.program.as_str())) && seen.names(run)
    };
    let is_started = |seen: &Seen| {
        all.get(&seen.parent).is_some_and(|parent| is_shim(parent) && parent.names(run))
    };
    chosen(all, |seen| is_part(seen) || is_started(seen))
}

/// The script that works below `folder`, and what runs with its `/` there.
fn of_debootstrap(all: &BTreeMap<u32, Seen>, folder: &Path) -> Vec<u32> {
    // `/bin/sh /usr/sbin/debootstrap …`; a file of that name below `folder` is somebody's argument.
    let is_script =
        |word: &str| word.ends_with("/debootstrap") && !Path::new(word).starts_with(folder);
    let is_script =
        |seen: &Seen| seen.command.split(' ').take(2).any(is_script) && seen.names(folder);
    chosen(all, |seen| seen.root.starts_with(folder) || is_script(seen))
}

fn chosen(all: &BTreeMap<u32, Seen>, is_ours: impl Fn(&Seen) -> bool) -> Vec<u32> {
    all.iter().filter(|(_, seen)| is_ours(seen)).map(|(pid, _)| *pid).collect()
}

impl Seen {
    fn names(&self, folder: &Path) -> bool {
        folder.to_str().is_some_and(|folder| self.command.contains(folder))
    }
}

/// `None` for a thread of the kernel and for one that has ended.
fn look(pid: u32) -> Option<Seen> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let link = |name: &str| std::fs::read_link(folder.join(name)).unwrap_or_default();
    let name = link("exe").file_name()?.to_string_lossy().into_owned();
    // After the name of the program, which may hold anything: the state and the parent.
    let status = std::fs::read_to_string(folder.join("stat")).ok()?;
    let parent = status.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
    Some(Seen {
        parent,
        // After an upgrade the program that runs is no file any more.
        program: name.trim_end_matches(" (deleted)").to_owned(),
        command: process::command_line(pid)?,
        root: link("root"),
    })
}

/// Unmounts all below `folders`, the deepest first.
pub fn unmount(runner: &Runner, folders: &[&Path]) -> Result<()> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut paths: Vec<String> = table
        .lines()
        .filter_map(|line| Some(line.split(' ').nth(4)?.replace("\\040", " ")))
        .filter(|path| folders.iter().any(|folder| Path::new(path).starts_with(folder)))
        .collect();
    paths.sort_unstable_by_key(|path| std::cmp::Reverse(path.len()));
    for path in paths {
        runner.clean_up(&Invocation::new("umount", ["--lazy", path.as_str()]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ours_by_what_it_is_and_not_by_what_it_mentions() {
        let seen = |parent, program: &str, command: &str, root: &str| Seen {
            parent,
            program: program.to_owned(),
            command: command.to_owned(),
            root: root.into(),
        };
        let all = BTreeMap::from([
            (1, seen(0, "dash", "sh -c DOCKER_HOST=unix:///run/l-1/docker.sock docker ps", "/")),
            (2, seen(1, "containerd-shim-runc-v2", "shim -address /run/l-1/containerd.sock", "/")),
            (3, seen(2, "sleep", "sleep 600", "/")),
            (4, seen(1, "containerd-shim-runc-v2", "shim -address /run/l-2/containerd.sock", "/")),
            (5, seen(4, "sleep", "sleep 600", "/")),
            (6, seen(1, "dash", "/bin/sh /usr/sbin/debootstrap bookworm /t/lab/d/root", "/")),
            (7, seen(1, "dpkg", "dpkg --install", "/t/lab/d/root")),
            (8, seen(1, "vim", "vim /t/lab/debootstrap", "/")),
            (9, seen(1, "dash", "/bin/sh /usr/sbin/debootstrap bookworm /other/root", "/")),
        ]);
        assert_eq!(of_engine(&all, Path::new("/run/l-1")), [2, 3]);
        assert_eq!(of_debootstrap(&all, Path::new("/t/lab")), [6, 7]);
    }
}

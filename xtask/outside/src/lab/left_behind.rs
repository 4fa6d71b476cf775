//! What a killed engine or debootstrap leaves behind: processes and mounts. A process is ours by its program,
//! not by its command line: a shell that names the lab's socket belongs to a user.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::process::Runner;
use crate::running;
use xtask_model::invocation::Invocation;

use super::LabPaths;

/// A process according to `/proc`.
#[derive(Debug, Default)]
struct Process {
    parent: u32,
    /// The name of its program's file.
    program: String,
    command: String,
    /// Its root directory.
    root: PathBuf,
}

/// Ends parts of our engine that outlived it.
pub fn end_engine(place: &LabPaths) {
    end(|all| of_engine(all, &place.run));
}

/// Ends a debootstrap and what it started.
pub fn end_debootstrap(place: &LabPaths) {
    end(|all| of_debootstrap(all, &place.folder));
}

fn end(choose: impl Fn(&BTreeMap<u32, Process>) -> Vec<u32>) {
    // The next look finds what one of them starts before it ends.
    for _ in 0..3 {
        let all: BTreeMap<u32, Process> =
            running::all().into_iter().filter_map(|pid| Some((pid, look(pid)?))).collect();
        let chosen = choose(&all);
        if chosen.is_empty() {
            return;
        }
        for (pid, seen) in chosen.iter().filter_map(|pid| all.get_key_value(pid)) {
            running::end(*pid, &[&seen.command], Duration::from_secs(1));
        }
    }
}

/// Processes that use the sockets in `run`, and those that shims among them started.
fn of_engine(all: &BTreeMap<u32, Process>, run: &Path) -> Vec<u32> {
    let is_shim = |seen: &Process| seen.program.starts_with("containerd-shim");
    let is_part = |seen: &Process| {
        let parts = ["dockerd", "containerd", "runc", "docker-proxy"];
        (is_shim(seen) || parts.contains(&seen.program.as_str())) && seen.names(run)
    };
    let is_started = |seen: &Process| {
        all.get(&seen.parent).is_some_and(|parent| is_shim(parent) && parent.names(run))
    };
    chosen(all, |seen| is_part(seen) || is_started(seen))
}

/// The debootstrap that works below `folder`, and processes with their root there.
fn of_debootstrap(all: &BTreeMap<u32, Process>, folder: &Path) -> Vec<u32> {
    // `/bin/sh /usr/sbin/debootstrap …`; a file of that name below `folder` is an argument.
    let is_script =
        |word: &str| word.ends_with("/debootstrap") && !Path::new(word).starts_with(folder);
    let is_script =
        |seen: &Process| seen.command.split(' ').take(2).any(is_script) && seen.names(folder);
    chosen(all, |seen| seen.root.starts_with(folder) || is_script(seen))
}

fn chosen(all: &BTreeMap<u32, Process>, is_ours: impl Fn(&Process) -> bool) -> Vec<u32> {
    all.iter().filter(|(_, seen)| is_ours(seen)).map(|(pid, _)| *pid).collect()
}

impl Process {
    fn names(&self, folder: &Path) -> bool {
        folder.to_str().is_some_and(|folder| self.command.contains(folder))
    }
}

/// `None` for a kernel thread and for a process that has ended.
fn look(pid: u32) -> Option<Process> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let link = |name: &str| std::fs::read_link(folder.join(name)).unwrap_or_default();
    let name = link("exe").file_name()?.to_string_lossy().into_owned();
    // The name of the program may contain anything; then come the state and the parent.
    let status = std::fs::read_to_string(folder.join("stat")).ok()?;
    let parent = status.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
    Some(Process {
        parent,
        // After an upgrade, the file of the running program is deleted.
        program: name.trim_end_matches(" (deleted)").to_owned(),
        command: running::command_line(pid)?,
        root: link("root"),
    })
}

/// Unmounts everything below `folders`, the deepest first.
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
    fn a_process_is_recognized_by_its_program() {
        let seen = |parent, program: &str, command: &str, root: &str| Process {
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

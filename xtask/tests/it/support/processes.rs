//! Processes of this machine that tests look for. They are read from `/proc`, because not every machine has
//! a program that lists them.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Process {
    /// The words of its command line, each followed by a blank.
    pub command: String,
    pub folder: PathBuf,
}

/// The visible processes that `is_wanted` accepts.
pub fn running(is_wanted: impl Fn(&Process) -> bool) -> Vec<Process> {
    let look = |entry: std::fs::DirEntry| {
        entry.file_name().to_string_lossy().parse::<u32>().ok()?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let folder = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        Some(Process { command, folder })
    };
    let all = std::fs::read_dir("/proc").unwrap().flatten().filter_map(look);
    all.filter(is_wanted).collect()
}

/// Sends a signal by its name, such as `KILL`.
pub fn signal(name: &str, pid: &str) {
    let kill = format!("kill -{name} {pid}");
    Command::new("sh").args(["-c", &kill]).status().unwrap();
}

#[track_caller]
pub fn wait_until(what: &str, seconds: u64, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(seconds), "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

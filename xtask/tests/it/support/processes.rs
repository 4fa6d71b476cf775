//! The processes of this machine, as a test looks for those it has to do with. They are read from `/proc`:
//! the programs that do so are not on every machine.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Process {
    /// Its words, each followed by a blank.
    pub command: String,
    pub folder: PathBuf,
}

/// Those that can be seen and that `is_wanted`.
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

//! Processes that already run: lists them, reads their command lines and ends them.

use std::time::Duration;

/// How long a child may take to end after a signal.
pub const GRACE: Duration = Duration::from_secs(5);

/// Whether process `pid` runs and has one of `marks` in its command line. A zombie has no command line.
pub fn is_alive(pid: u32, marks: &[&str]) -> bool {
    command_line(pid).is_some_and(|line| marks.iter().any(|mark| line.contains(mark)))
}

/// The arguments of a process, each followed by a blank.
pub fn command_line(pid: u32) -> Option<String> {
    let line = if cfg!(target_os = "linux") {
        let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    } else {
        // Other systems have no `/proc`. Where there is no `ps` either, the lab cannot run.
        let ps = duct::cmd!("ps", "-o", "command=", "-p", pid.to_string());
        format!("{} ", ps.stderr_null().read().ok()?)
    };
    (!line.trim().is_empty()).then_some(line)
}

/// The numbers of all visible processes; empty without `/proc`.
pub fn all() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let number = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.ok()?.file_name().to_string_lossy().parse().ok()
    };
    entries.filter_map(number).collect()
}

/// Asks a process to end, and kills it when it still runs after `wait`.
#[cfg(unix)]
pub fn end(pid: u32, marks: &[&str], wait: Duration) {
    use rustix::process::{Pid, Signal, kill_process};
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    for (signal, wait) in [(Signal::TERM, wait), (Signal::KILL, GRACE)] {
        if !is_alive(pid, marks) {
            return;
        }
        // It may have ended already.
        let _ = kill_process(number, signal);
        let deadline = std::time::Instant::now() + wait;
        while is_alive(pid, marks) && std::time::Instant::now() < deadline {
            pause(Duration::from_millis(20));
        }
    }
}

/// The lab runs only on Unix.
#[cfg(not(unix))]
pub fn end(_pid: u32, _marks: &[&str], _wait: Duration) {}

/// Waits although the user interrupted: cleaning up must finish.
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "cleaning up goes on after an interrupt")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

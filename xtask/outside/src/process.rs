//! The one place that starts processes: without a shell, shown with `-v`, ended when the user interrupts, and
//! with the end of their output as the error.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use xtask_model::invocation::Invocation;

use super::running::{GRACE, command_line};
use super::{environment, interrupt};

/// The result of a process.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The exit code; `None` when a signal ended the process.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Whether to go on watching a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    Continue,
    Stop,
}

/// Starts processes in one folder.
#[derive(Debug, Clone)]
pub struct Runner {
    folder: PathBuf,
    /// Variables of every child, such as `DOCKER_HOST` in the lab.
    variables: BTreeMap<String, String>,
    /// Whether to show each call on stderr before it runs.
    shown: bool,
}

impl Runner {
    pub fn new(folder: &Path, shown: bool) -> Self {
        Self { folder: folder.to_owned(), variables: BTreeMap::new(), shown }
    }

    /// The same runner with one more variable for every child.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// A variable of every child.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    /// The folder in which children start.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs to the end and returns its output, whatever its exit code.
    pub fn finish(&self, call: &Invocation) -> Result<Finished> {
        self.finish_with_input(call, b"")
    }

    /// The same with `input` on its standard input. Secrets are only passed this way.
    pub fn finish_with_input(&self, call: &Invocation, input: &[u8]) -> Result<Finished> {
        let expression = self.expression(call).stdin_bytes(input).stdout_capture().stderr_capture();
        let handle = start(call, &expression)?;
        loop {
            if let Some(output) = handle.wait_timeout(Duration::from_millis(25))? {
                return Ok(Finished {
                    code: output.status.code(),
                    stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                    stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
                });
            }
            if interrupt::wanted() {
                end(&handle);
                interrupt::check()?;
            }
        }
    }

    /// Runs a short call that must happen even after an interrupt, such as removing a container.
    pub fn clean_up(&self, call: &Invocation) -> Result<()> {
        let expression = self.expression(call).stdin_null().stdout_null().stderr_capture();
        let output =
            expression.run().with_context(|| format!("cannot start `{}`", call.program))?;
        if output.status.success() {
            return Ok(());
        }
        bail!("`{call}` failed: {}", String::from_utf8_lossy(&output.stderr).trim())
    }

    /// Runs to the end and returns its standard output; any exit code but 0 is an error that
    /// carries the end of its standard error.
    pub fn output(&self, call: &Invocation) -> Result<String> {
        let finished = self.finish(call)?;
        if finished.success() {
            return Ok(finished.stdout);
        }
        Err(failure(call, &finished))
    }

    /// Runs to the end with the terminal as its own; `None` if a signal ended it.
    pub fn hand_over_for_code(&self, call: &Invocation) -> Result<Option<i32>> {
        let handle = start(call, &self.expression(call).stdin_null())?;
        loop {
            if let Some(output) = handle.wait_timeout(Duration::from_millis(25))? {
                return Ok(output.status.code());
            }
            if interrupt::wanted() {
                end(&handle);
                interrupt::check()?;
            }
        }
    }

    /// Runs another program of ours with the terminal as its own. It handles interrupts itself. Returns its exit
    /// code.
    pub fn delegate(&self, call: &Invocation) -> Result<Option<i32>> {
        let handle = start(call, &self.expression(call).stdin_null())?;
        let mut signalled = false;
        loop {
            if let Some(output) = handle.wait_timeout(Duration::from_millis(25))? {
                return Ok(output.status.code());
            }
            if interrupt::wanted() && !signalled {
                signal_group(&handle, false);
                signalled = true;
            }
        }
    }

    /// Runs to the end and gives each line of its standard error to `watch`, which is also asked
    /// every quarter of a second when no line comes. Returns the exit code, or `None` when `watch`
    /// stopped it.
    pub fn stream(
        &self,
        call: &Invocation,
        mut watch: impl FnMut(Option<&str>) -> Watch,
    ) -> Result<Option<i32>> {
        let (reader, writer) = os_pipe::pipe().context("cannot make a pipe")?;
        let expression = self.expression(call).stdin_null().stdout_null().stderr_file(writer);
        let handle = start(call, &expression)?;
        // The expression owns the writing end of the pipe. The reader sees no end until it is dropped.
        drop(expression);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        loop {
            let next = match lines.recv_timeout(Duration::from_millis(250)) {
                Ok(line) => watch(Some(&line)),
                Err(RecvTimeoutError::Timeout) => watch(None),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if interrupt::wanted() || next == Watch::Stop {
                end(&handle);
                interrupt::check()?;
                return Ok(None);
            }
        }
        let output = handle.wait()?;
        Ok(Some(output.status.code().unwrap_or(-1)))
    }

    /// Starts a process that outlives this one, in its own group and in `folder`, which must outlive it. Its
    /// output goes to the file `log`. Returns its number.
    pub fn start_detached(&self, call: &Invocation, folder: &Path, log: &Path) -> Result<u32> {
        interrupt::check()?;
        if self.shown {
            super::terminal::trace(&format!("$ {call} &"));
        }
        let open = || -> std::io::Result<_> {
            std::fs::create_dir_all(log.parent().unwrap_or(Path::new(".")))?;
            let file = std::fs::File::create(log)?;
            Ok((file.try_clone()?, file))
        };
        let (stdout, stderr) =
            open().with_context(|| format!("cannot write `{}`", log.display()))?;
        let mut command = detached(&call.program);
        command.args(&call.arguments).current_dir(folder);
        command.envs(self.variables.iter().chain(&call.environment));
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        own_group(&mut command)?;
        let cannot_start = || format!("cannot start `{}`", call.program);
        let mut child = command.spawn().with_context(cannot_start)?;
        // During `execve` the kernel shows no command line, as for a process that has ended.
        while command_line(child.id()).is_none()
            && child.try_wait().with_context(cannot_start)?.is_none()
        {
            std::thread::yield_now();
        }
        Ok(child.id())
    }

    fn expression(&self, call: &Invocation) -> duct::Expression {
        if self.shown {
            super::terminal::trace(&format!("$ {call}"));
        }
        let mut expression = duct::cmd(&call.program, &call.arguments).dir(&self.folder);
        if call.program == "cargo" {
            expression = environment::set_by_cargo().fold(expression, |e, name| e.env_remove(name));
        }
        for (name, value) in self.variables.iter().chain(&call.environment) {
            expression = expression.env(name, value);
        }
        expression.before_spawn(own_group).unchecked()
    }
}

/// Without duct, which waits for every process that it starts.
#[expect(clippy::disallowed_methods, reason = "this is the one place that starts processes")]
fn detached(program: &str) -> std::process::Command {
    std::process::Command::new(program)
}

/// The error of a call that did not exit with 0.
pub fn failure(call: &Invocation, finished: &Finished) -> anyhow::Error {
    let tail: Vec<&str> = finished.stderr.trim().lines().rev().take(20).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    let code = finished.code.map_or("a signal".to_owned(), |code| code.to_string());
    anyhow!("`{call}` exited with {code}\n{}", tail.join("\n"))
}

fn start(call: &Invocation, expression: &duct::Expression) -> Result<duct::Handle> {
    interrupt::check()?;
    expression.start().with_context(|| format!("cannot start `{}`", call.program))
}

/// Gives the child its own group, so that Ctrl-C reaches us first and we end the child with everything it
/// started: `docker` runs buildx as a child.
#[cfg_attr(not(unix), expect(unused_variables, reason = "process groups are Unix's"))]
#[expect(clippy::unnecessary_wraps, reason = "the signature is that of duct's hook")]
fn own_group(command: &mut std::process::Command) -> std::io::Result<()> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    Ok(())
}

/// Ends a child and its group: first with SIGTERM, then with SIGKILL.
fn end(handle: &duct::Handle) {
    signal_group(handle, false);
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if matches!(handle.wait_timeout(Duration::from_millis(50)), Ok(Some(_)) | Err(_)) {
            return;
        }
    }
    signal_group(handle, true);
    // There is nothing to do about a child that cannot be ended.
    let _ = handle.kill();
}

#[cfg(unix)]
fn signal_group(handle: &duct::Handle, for_good: bool) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let signal = if for_good { Signal::KILL } else { Signal::INT };
    for pid in handle.pids() {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // The group may be gone already.
            let _ = kill_process_group(pid, signal);
        }
    }
}

#[cfg(not(unix))]
fn signal_group(handle: &duct::Handle, for_good: bool) {
    if for_good {
        // There is nothing to do about a child that cannot be ended.
        let _ = handle.kill();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::running::{end as end_running, is_alive};
    use super::*;

    #[test]
    fn a_process_just_started_is_running() {
        let folder = tempfile::tempdir().unwrap();
        let runner = Runner::new(folder.path(), false);
        let call = Invocation::new("sleep", ["60"]);
        for _ in 0..20 {
            let log = folder.path().join("log");
            let pid = runner.start_detached(&call, folder.path(), &log).unwrap();
            let seen = is_alive(pid, &["sleep 60"]);
            end_running(pid, &["sleep 60"], GRACE);
            assert!(seen);
        }
    }
}

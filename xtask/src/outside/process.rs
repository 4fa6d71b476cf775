//! Processes: the one place that starts them. Each runs without a shell, is shown with `-v`, ends
//! when the user interrupts, and fails with its own last words.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::model::invocation::Invocation;

use super::interrupt;

/// How long a child may take to leave after a polite signal.
const GRACE: Duration = Duration::from_secs(5);

/// What a process left behind.
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

/// What the one who watches a process wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    Continue,
    Stop,
}

/// Starts processes in one folder.
#[derive(Debug, Clone)]
pub struct Runner {
    folder: PathBuf,
    /// Variables given to every child, such as `DOCKER_HOST` in the lab.
    variables: BTreeMap<String, String>,
    /// Whether each call is shown on stderr before it runs.
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

    /// The folder in which children start.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs to the end and returns what it said, whatever its exit code.
    pub fn finish(&self, call: &Invocation) -> Result<Finished> {
        self.finish_with_input(call, b"")
    }

    /// The same with `input` on its standard input, the only way in for a secret.
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

    /// Runs to the end and returns its standard output; any exit code but 0 is an error that
    /// carries the end of its standard error.
    pub fn output(&self, call: &Invocation) -> Result<String> {
        let finished = self.finish(call)?;
        if finished.success() {
            return Ok(finished.stdout);
        }
        Err(failure(call, &finished))
    }

    /// Runs to the end with the terminal handed over; any exit code but 0 is an error.
    pub fn hand_over(&self, call: &Invocation) -> Result<()> {
        let handle = start(call, &self.expression(call).stdin_null())?;
        loop {
            if let Some(output) = handle.wait_timeout(Duration::from_millis(25))? {
                match output.status.code() {
                    Some(0) => return Ok(()),
                    Some(code) => bail!("`{}` exited with {code}", call.program),
                    None => bail!("`{}` was ended by a signal", call.program),
                }
            }
            if interrupt::wanted() {
                end(&handle);
                interrupt::check()?;
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
        // The expression holds the pipe's writing end; while it lives the reader never sees the end.
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
            let wish = match lines.recv_timeout(Duration::from_millis(250)) {
                Ok(line) => watch(Some(&line)),
                Err(RecvTimeoutError::Timeout) => watch(None),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if interrupt::wanted() || wish == Watch::Stop {
                end(&handle);
                interrupt::check()?;
                return Ok(None);
            }
        }
        let output = handle.wait()?;
        Ok(Some(output.status.code().unwrap_or(-1)))
    }

    fn expression(&self, call: &Invocation) -> duct::Expression {
        if self.shown {
            super::terminal::trace(&format!("$ {call}"));
        }
        let mut expression = duct::cmd(&call.program, &call.arguments).dir(&self.folder);
        for (name, value) in self.variables.iter().chain(&call.environment) {
            expression = expression.env(name, value);
        }
        expression.before_spawn(own_group).unchecked()
    }
}

/// The error of a call that exited with another code than 0.
pub fn failure(call: &Invocation, finished: &Finished) -> anyhow::Error {
    let said = finished.stderr.trim();
    let tail: Vec<&str> = said.lines().rev().take(20).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    let code = finished.code.map_or("a signal".to_owned(), |code| code.to_string());
    anyhow!("`{call}` exited with {code}\n{}", tail.join("\n"))
}

fn start(call: &Invocation, expression: &duct::Expression) -> Result<duct::Handle> {
    interrupt::check()?;
    expression.start().with_context(|| format!("cannot start `{}`", call.program))
}

/// A group of its own, so that a Ctrl-C at the terminal reaches us first and we end the child with
/// everything it started: `docker` runs buildx as a child of its own.
#[cfg_attr(not(unix), expect(unused_variables, reason = "process groups are Unix's"))]
#[expect(clippy::unnecessary_wraps, reason = "the signature is that of duct's hook")]
fn own_group(command: &mut std::process::Command) -> std::io::Result<()> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    Ok(())
}

/// Ends a child and its group: first politely, then for good.
fn end(handle: &duct::Handle) {
    signal_group(handle, false);
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if matches!(handle.wait_timeout(Duration::from_millis(50)), Ok(Some(_)) | Err(_)) {
            return;
        }
    }
    signal_group(handle, true);
    // Nothing is left to do about a child that cannot be ended.
    let _ = handle.kill();
}

#[cfg(unix)]
fn signal_group(handle: &duct::Handle, for_good: bool) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let signal = if for_good { Signal::KILL } else { Signal::INT };
    for pid in handle.pids() {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // The group may be gone already, which is what was wanted.
            let _ = kill_process_group(pid, signal);
        }
    }
}

#[cfg(not(unix))]
fn signal_group(handle: &duct::Handle, for_good: bool) {
    if for_good {
        // Nothing is left to do about a child that cannot be ended.
        let _ = handle.kill();
    }
}

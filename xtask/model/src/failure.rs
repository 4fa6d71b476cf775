//! Failures for people and scripts: a message, a hint with the next command to type, and an exit code.
//! `report::error` renders them.

use std::fmt;

/// Exit codes of every command; documented in `--help` and docs/commands.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything asked for was done.
    Done = 0,
    /// Something failed, or a finding did.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Refused, to keep something safe.
    Refused = 3,
    /// Stopped early or could not look: run it again.
    Unfinished = 4,
}

impl Exit {
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// An error with its own exit code and, if there is one, the next command to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// Lower case, no full stop, the value last.
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    /// Something failed in the world: exit code 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), hint: None }
    }

    /// The command line or the configuration is wrong: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), hint: None }
    }

    /// Refused to keep something safe: exit code 3.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, message: message.into(), hint: None }
    }

    /// Stopped early or could not look: exit code 4.
    pub fn unfinished(message: impl Into<String>) -> Self {
        Self { exit: Exit::Unfinished, message: message.into(), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The user asked to stop, and the running work has ended. Exit code 4.
#[derive(Debug, Clone, Copy)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("interrupted; no partly written file is left")
    }
}

impl std::error::Error for Interrupted {}

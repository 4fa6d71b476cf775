//! What was seen of images, Dockerfiles and this machine, judged: each finding passes, warns, fails, is
//! skipped or unknown, and has its remedy as a command, or a hint where no command helps. Unknown is
//! never a pass.

mod attestation;
pub mod builds;
mod image;
pub mod machine;
mod package;
mod size;
pub mod tags;
pub mod tiers;

use serde::Serialize;

pub use package::package;
use xtask_model::failure::Exit;

/// How a finding is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Pass,
    /// It does not apply here.
    Skip,
    Warn,
    /// It could not be looked at.
    Unknown,
    Fail,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: a service, a file, this machine.
    pub subject: String,
    /// Names the check.
    pub check: &'static str,
    pub level: Level,
    pub detail: String,
    /// What to type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What to do where no command does it, or how it is done elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    pub fn new(
        subject: impl Into<String>,
        check: &'static str,
        level: Level,
        detail: impl Into<String>,
    ) -> Self {
        let (subject, detail) = (subject.into(), detail.into());
        Self { subject, check, level, detail, remedy: None, hint: None }
    }

    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The exit code of some findings: failed, could not look, or done. `strict` lets warnings fail.
pub fn exit(findings: &[Finding], strict: bool) -> Exit {
    let has = |level| findings.iter().any(|finding| finding.level == level);
    match () {
        () if has(Level::Fail) || (strict && has(Level::Warn)) => Exit::Failed,
        () if has(Level::Unknown) => Exit::Unfinished,
        () => Exit::Done,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use xtask_model::facts::{Facts, Git};

    pub const REVISION: &str = "1111111111111111111111111111111111111111";

    /// A repository `o/r` with one service `web`, and this in its configuration.
    pub fn facts(images: &str) -> Facts {
        let git = Git { revision: REVISION.to_owned(), ..Git::default() };
        Facts { git: Some(git), ..crate::sample::facts(images, "FROM scratch\n") }
    }

    #[test]
    fn unknown_is_never_a_pass() {
        let finding = |level| Finding::new("web", "tags", level, "");
        assert_eq!(exit(&[finding(Level::Pass), finding(Level::Skip)], true), Exit::Done);
        assert_eq!(exit(&[finding(Level::Warn)], false), Exit::Done);
        assert_eq!(exit(&[finding(Level::Warn)], true), Exit::Failed);
        assert_eq!(exit(&[finding(Level::Unknown)], false), Exit::Unfinished);
        assert_eq!(exit(&[finding(Level::Unknown), finding(Level::Fail)], false), Exit::Failed);
    }
}

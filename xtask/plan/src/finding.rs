//! A finding of `verify` or `doctor`: one result, and the command or hint that fixes it.

use serde::Serialize;

use xtask_model::failure::{Exit, Failure};

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Pass,
    /// The check does not apply or cannot run here.
    Skip,
    Warn,
    /// The check could not look. Never a pass.
    Unknown,
    Fail,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A service, a file or a part of this machine.
    pub subject: String,
    /// The name of the check.
    pub check: &'static str,
    pub level: Level,
    pub detail: String,
    /// The command to type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What to do where no command helps, or outside this checkout.
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

    /// A failure as a finding. Its hint becomes the remedy when it is one command and nothing else.
    pub fn of_failure(subject: &str, check: &'static str, level: Level, failure: Failure) -> Self {
        let finding = Self::new(subject, check, level, failure.message);
        let hint = failure.hint.unwrap_or_default();
        let is_command = ["docker ", "apt-get "].iter().any(|start| hint.starts_with(start));
        if is_command && !hint.contains(", ") { finding.remedy(hint) } else { finding.hint(hint) }
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

/// The exit code for these findings. `strict` makes warnings fail.
pub fn exit(findings: &[Finding], strict: bool) -> Exit {
    let has = |level| findings.iter().any(|finding| finding.level == level);
    match () {
        () if has(Level::Fail) || (strict && has(Level::Warn)) => Exit::Failed,
        () if has(Level::Unknown) => Exit::Unfinished,
        () => Exit::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

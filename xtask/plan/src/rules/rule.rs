//! What a rule is and what it reports.

use super::view::View;

/// One rule.
pub struct Rule {
    pub name: &'static str,
    /// Why the rule exists, in one sentence.
    pub why: &'static str,
    pub(super) find: fn(&View<'_>) -> Vec<Breach>,
}

/// A place that breaks a rule: the first line of its instruction.
pub(super) struct Breach {
    pub line: usize,
    pub detail: String,
    pub remedy: String,
}

impl Breach {
    pub fn new(line: usize, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line, detail: detail.into(), remedy: remedy.into() }
    }
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub line: usize,
    pub rule: &'static str,
    pub detail: String,
    /// How to fix it.
    pub remedy: String,
}

/// A violation that a comment allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    pub line: usize,
    pub rule: &'static str,
    pub reason: String,
}

/// What the rules report about one Dockerfile, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleReport {
    pub violations: Vec<Violation>,
    pub allowed: Vec<Allowed>,
}

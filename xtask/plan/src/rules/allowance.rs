//! Comments that allow a violation: `# xtask: allow=RULE reason` above the instruction. A comment
//! without a reason, for an unknown rule, or that allows nothing is itself a violation.

use xtask_model::dockerfile::{Dockerfile, Instruction};
use xtask_model::spelling::nearest;

use super::rule::{Allowed, RuleReport, Violation};

/// The rule about these comments. No comment can allow it.
pub const ALLOWANCE: &str = "allowance";

/// One rule that a comment allows.
struct RuleException<'a> {
    /// The line of the comment.
    line: usize,
    /// The line of the instruction below the comment; `None` below the last one.
    at: Option<usize>,
    rule: &'a str,
    reason: &'a str,
}

/// Removes the violations that the file's comments allow, and adds those of the comments. `rules` are
/// the names of all rules.
pub fn apply(file: &Dockerfile, violations: Vec<Violation>, rules: &[&str]) -> RuleReport {
    let allowances = allowances(file);
    let allows = |violation: &Violation| {
        let matches = |allowance: &&RuleException<'_>| {
            allowance.rule == violation.rule && allowance.at == Some(violation.line)
        };
        allowances.iter().find(matches)
    };
    let is_used = |allowance: &RuleException<'_>| {
        violations.iter().filter_map(allows).any(|used| std::ptr::eq(used, allowance))
    };
    let problems = allowances
        .iter()
        .filter_map(|allowance| allowance.problem(is_used(allowance), rules))
        .collect();
    let mut report = RuleReport { violations: problems, allowed: Vec::new() };
    for violation in violations {
        match allows(&violation) {
            None => report.violations.push(violation),
            Some(allowance) if allowance.reason.is_empty() => {}
            Some(allowance) => report.allowed.push(Allowed {
                line: violation.line,
                rule: violation.rule,
                reason: allowance.reason.to_owned(),
            }),
        }
    }
    report.violations.sort_by_key(|violation| violation.line);
    report
}

fn allowances(file: &Dockerfile) -> Vec<RuleException<'_>> {
    let stages = file
        .stages
        .iter()
        .flat_map(|stage| std::iter::once(&stage.from).chain(&stage.instructions));
    let attached = file.preamble.iter().chain(stages).flat_map(|instruction: &Instruction| {
        instruction.comments.iter().map(|comment| (Some(instruction.line), comment))
    });
    let comments = attached.chain(file.trailing_comments.iter().map(|comment| (None, comment)));
    comments
        .filter_map(|(at, (line, text))| {
            let allow = text.strip_prefix("xtask:")?.trim_start().strip_prefix("allow=")?;
            let (rules, reason) = allow.split_once(char::is_whitespace).unwrap_or((allow, ""));
            let new = move |rule| RuleException { line: *line, at, rule, reason: reason.trim() };
            Some(rules.split(',').map(new))
        })
        .flatten()
        .collect()
}

impl RuleException<'_> {
    /// The problem with the comment.
    fn problem(&self, is_used: bool, rules: &[&str]) -> Option<Violation> {
        let rule = self.rule;
        let (detail, remedy) = if !rules.contains(&rule) {
            let like = nearest(rule, rules.iter().copied());
            let like = like.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            let detail = format!("there is no rule `{rule}`{like}");
            (detail, "write `# xtask: allow=RULE reason`".to_owned())
        } else if !is_used {
            let detail = format!("the instruction below does not break `{rule}`");
            (detail, "delete the comment, or move it right above the instruction".to_owned())
        } else if self.reason.is_empty() {
            let detail = format!("the comment allows `{rule}` without a reason");
            (detail, format!("write `# xtask: allow={rule} reason`"))
        } else {
            return None;
        };
        Some(Violation { line: self.line, rule: ALLOWANCE, detail, remedy })
    }
}

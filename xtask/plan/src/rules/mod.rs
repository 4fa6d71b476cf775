//! Our own rules for Dockerfiles. They find what makes a build miss its cache or an image larger than
//! it needs to be; everything else is left to hadolint and BuildKit's own checks.
//!
//! A rule is one pure function in [`RULES`]. A comment above an instruction allows a violation there:
//! `# xtask: allow=RULE reason`.

mod allowance;
mod layers;
mod order;
mod rule;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;

use xtask_model::dockerfile::Dockerfile;

use super::finding::{Finding, Level};
pub use allowance::ALLOWANCE;
pub use rule::{Allowed, Rule, RuleReport, Violation};
use view::View;

/// One Dockerfile and how it is built.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The path relative to the repository's root.
    pub file: &'a str,
    pub text: &'a str,
    /// The build arguments from the configuration.
    pub arguments: &'a BTreeMap<String, String>,
    pub target: Option<&'a str>,
}

/// Every rule.
pub const RULES: [Rule; 4] =
    [order::VOLATILE_ABOVE_RUN, order::WIDE_COPY, order::COPY_WITHOUT_LINK, layers::LATE_CLEAN_UP];

/// Applies all rules to one Dockerfile.
pub fn check(input: &Input<'_>) -> RuleReport {
    let file = match Dockerfile::parse(input.text) {
        Ok(file) => file,
        Err(error) => {
            let remedy = "cargo xtask build --check".to_owned();
            let violation =
                Violation { line: error.line, rule: "unreadable", detail: error.problem, remedy };
            return RuleReport { violations: vec![violation], allowed: Vec::new() };
        }
    };
    let view = View::new(&file, input.arguments, input.target);
    let violations = RULES.iter().flat_map(|rule| {
        (rule.find)(&view).into_iter().map(|found| Violation {
            line: found.line,
            rule: rule.name,
            detail: found.detail,
            remedy: found.remedy,
        })
    });
    let mut violations: Vec<Violation> = violations.collect();
    // The steps of a stage are checked again in each stage that is based on it.
    violations.sort_by_key(|violation| (violation.line, violation.rule));
    violations.dedup_by_key(|violation| (violation.line, violation.rule));
    allowance::apply(&file, violations, &RULES.map(|rule| rule.name))
}

/// The same as findings of `verify`.
pub fn findings(input: &Input<'_>) -> Vec<Finding> {
    let RuleReport { violations, allowed } = check(input);
    let at = |line: usize| format!("{}:{line}", input.file);
    let new = |line, level, detail| Finding::new(at(line), "dockerfile", level, detail);
    let warning = |Violation { line, rule, detail, remedy }| {
        let finding = new(line, Level::Warn, format!("{rule}: {detail}"));
        if remedy.starts_with("cargo xtask ") {
            finding.remedy(remedy)
        } else {
            finding.hint(format!("{}: {remedy}", at(line)))
        }
    };
    let mut findings: Vec<Finding> = violations.into_iter().map(warning).collect();
    if findings.is_empty() {
        let detail = format!("{} rules about cache and layers", RULES.len());
        findings.push(Finding::new(input.file, "dockerfile", Level::Pass, detail));
    }
    findings.extend(allowed.into_iter().map(|Allowed { line, rule, reason }| {
        new(line, Level::Skip, format!("{rule} is allowed: {reason}"))
    }));
    findings
}

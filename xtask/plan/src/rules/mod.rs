//! Our own rules about Dockerfiles and build contexts: what makes a cache miss, an image larger than
//! it must be, or a container that does not behave. hadolint and BuildKit's checks see other things.
//!
//! A rule is one pure function in [`RULES`]. A comment above an instruction allows what a rule finds
//! there: `# xtask: allow=RULE why`.

mod allowance;
mod base;
mod ignore;
mod layers;
mod order;
mod packages;
mod running;
mod secrets;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;

use xtask_model::dockerfile::Dockerfile;
use xtask_model::ignore_file::BuildContext;

use super::verify::{Finding, Level};
pub use ignore::is_private;
use view::View;

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Path of the Dockerfile, relative to the root.
    pub file: &'a str,
    pub text: &'a str,
    /// Build arguments that are given.
    pub arguments: &'a BTreeMap<String, String>,
    pub target: Option<&'a str>,
    pub context: &'a BuildContext,
}

/// A rule that is broken, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub line: usize,
    pub rule: &'static str,
    pub detail: String,
    /// How to mend it.
    pub remedy: String,
}

/// What was found and allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    pub line: usize,
    pub rule: &'static str,
    pub reason: String,
}

/// What the rules say about one Dockerfile, each in the order of its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    pub broken: Vec<Broken>,
    pub allowed: Vec<Allowed>,
}

/// One rule.
pub struct Rule {
    pub name: &'static str,
    /// Why it is one, in a sentence.
    pub why: &'static str,
    find: fn(&View<'_>) -> Vec<Found>,
}

/// A place where a rule is broken: the line that its instruction begins on.
struct Found {
    line: usize,
    detail: String,
    remedy: String,
}

impl Found {
    fn new(line: usize, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line, detail: detail.into(), remedy: remedy.into() }
    }
}

/// Every rule about a Dockerfile that can be read.
pub const RULES: [Rule; 20] = [
    order::VOLATILE_ABOVE_RUN,
    order::WIDE_COPY,
    order::COPY_WITHOUT_LINK,
    packages::STALE_LISTS,
    packages::PACKAGE_LISTS,
    packages::RECOMMENDED_PACKAGES,
    packages::APK_CACHE,
    packages::DNF_CACHE,
    packages::PIP_CACHE,
    packages::NPM_CACHE,
    layers::LATE_CLEAN_UP,
    layers::CACHE_MOUNT,
    layers::BELOW_VOLUME,
    base::BASE_LATEST,
    base::BASE_UNPINNED,
    running::ROOT_USER,
    running::SHELL_FORM,
    secrets::SECRET_IN_IMAGE,
    ignore::NO_IGNORE_FILE,
    ignore::PRIVATE_IN_CONTEXT,
];

/// The rule about allowances, which none allows.
pub const ALLOWANCE: &str = "allowance";

/// What the rules say about `subject`.
pub fn judge(subject: &Subject<'_>) -> Judgement {
    let file = match Dockerfile::parse(subject.text) {
        Ok(file) => file,
        Err(error) => {
            let remedy = "cargo xtask build --check".to_owned();
            let broken =
                Broken { line: error.line, rule: "unreadable", detail: error.problem, remedy };
            return Judgement { broken: vec![broken], allowed: Vec::new() };
        }
    };
    let view = View::new(&file, subject);
    let broken = RULES.iter().flat_map(|rule| {
        (rule.find)(&view).into_iter().map(|Found { line, detail, remedy }| Broken {
            line,
            rule: rule.name,
            detail,
            remedy,
        })
    });
    let mut broken: Vec<Broken> = broken.collect();
    // A stage that others are based on is looked at with each of them.
    broken.sort_by_key(|broken| (broken.line, broken.rule));
    broken.dedup_by_key(|broken| (broken.line, broken.rule));
    allowance::apply(&file, broken)
}

/// The same as findings of `verify`.
pub fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    let Judgement { broken, allowed } = judge(subject);
    let at = |line: usize| format!("{}:{line}", subject.file);
    let new = |line, level, detail| Finding::new(at(line), "dockerfile", level, detail);
    let mut findings: Vec<Finding> = broken
        .into_iter()
        .map(|Broken { line, rule, detail, remedy }| {
            let finding = new(line, Level::Warn, format!("{rule}: {detail}"));
            if remedy.starts_with("cargo xtask ") {
                finding.remedy(remedy)
            } else {
                finding.hint(format!("{}: {remedy}", at(line)))
            }
        })
        .collect();
    if findings.is_empty() {
        let passed = format!("{} rules of our own", RULES.len());
        findings.push(Finding::new(subject.file, "dockerfile", Level::Pass, passed));
    }
    findings.extend(allowed.into_iter().map(|Allowed { line, rule, reason }| {
        new(line, Level::Skip, format!("{rule} is allowed: {reason}"))
    }));
    findings
}

//! Tests of the rules: each with what it finds and what it lets pass.

mod image;
mod steps;

use super::*;

struct Case<'a> {
    text: &'a str,
    arguments: &'a [(&'a str, &'a str)],
    target: Option<&'a str>,
    context: BuildContext,
}

fn judged(case: &Case<'_>) -> Judgement {
    let pairs = case.arguments.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    judge(&Subject {
        file: "services/web/Dockerfile",
        text: case.text,
        arguments: &pairs.collect(),
        target: case.target,
        context: &case.context,
    })
}

fn of(text: &str) -> Judgement {
    judged(&Case { text, arguments: &[], target: None, context: BuildContext::default() })
}

/// The lines on which one rule finds something.
fn check(rule: &str, text: &str, expected: &[usize]) {
    let judgement = of(text);
    let broken = judgement.broken.iter().filter(|broken| broken.rule == rule);
    let lines: Vec<usize> = broken.map(|broken| broken.line).collect();
    assert_eq!(lines, expected, "{rule} in\n{text}\n{judgement:#?}");
}

#[test]
fn a_comment_with_a_reason_allows_what_is_found_below_it() {
    let text = "# xtask: allow=root-user,base-unpinned the base changes users itself\n\
                # hadolint ignore=DL3006\nFROM a\n";
    let judgement = of(text);
    assert_eq!(judgement.broken, []);
    let allowed: Vec<_> = judgement.allowed.iter().map(|a| (a.line, a.rule)).collect();
    assert_eq!(allowed, [(3, "base-unpinned"), (3, "root-user")]);
    assert_eq!(judgement.allowed[0].reason, "the base changes users itself");
}

#[test]
fn an_allowance_without_a_reason_or_a_use_is_a_finding() {
    let check = |text: &str, expected: &[&str]| {
        let broken = of(text).broken;
        let shown = |broken: &Broken| format!("{} {}: {}", broken.line, broken.rule, broken.detail);
        assert_eq!(broken.iter().map(shown).collect::<Vec<_>>(), expected, "{text}");
    };
    check(
        "# xtask: allow=root-user\nFROM a:1\n",
        &["1 allowance: it allows `root-user` and does not say why"],
    );
    check(
        "FROM a:1\n# xtask: allow=wide-copy why\nUSER 1\n# xtask: allow=root-user why\n",
        &[
            "2 allowance: it allows `wide-copy`, which nothing below it breaks",
            "4 allowance: it allows `root-user`, which nothing below it breaks",
        ],
    );
    check(
        "# xtask: allow=root-usr why\nFROM a:1\nUSER 1\n",
        &["1 allowance: there is no rule `root-usr`; did you mean `root-user`?"],
    );
}

#[test]
fn what_is_no_dockerfile_is_one_finding_and_a_clean_one_passes() {
    let broken = of("FROM a b c\n").broken;
    assert_eq!(broken.len(), 1);
    assert_eq!((broken[0].line, broken[0].rule), (1, "unreadable"));
    let context = BuildContext { ignore_file: Some("*\n!a\n".to_owned()), paths: Vec::new() };
    let none = BTreeMap::new();
    let findings = |text| {
        let file = "services/web/Dockerfile";
        findings(&Subject { file, text, arguments: &none, target: None, context: &context })
    };
    let clean = findings("FROM a:1\nCOPY --link a /a\nUSER 1\n");
    let shown: Vec<_> = clean.iter().map(|f| (f.subject.as_str(), f.level)).collect();
    assert_eq!(shown, [("services/web/Dockerfile", Level::Pass)]);
    let bad = findings("# xtask: allow=root-user why\nFROM a:latest\n");
    let shown: Vec<_> = bad.iter().map(|f| (f.subject.as_str(), f.level)).collect();
    assert_eq!(
        shown,
        [("services/web/Dockerfile:2", Level::Warn), ("services/web/Dockerfile:2", Level::Skip)]
    );
    assert!(bad[0].hint.as_ref().is_some_and(|hint| hint.contains("sha256")));
}

#[test]
fn each_rule_has_a_name_of_its_own_and_a_reason() {
    let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).chain([ALLOWANCE]).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len() + 1);
    assert!(RULES.iter().all(|rule| rule.why.len() > 20 && !rule.why.ends_with('.')));
}

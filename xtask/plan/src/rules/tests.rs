//! Tests of the rules: for each, what it finds and what it lets pass.

use super::*;

fn report(text: &str, target: Option<&str>) -> RuleReport {
    super::check(&Input {
        file: "services/web/Dockerfile",
        text,
        arguments: &BTreeMap::new(),
        target,
    })
}

/// The lines on which one rule finds something.
fn check(rule: &str, text: &str, expected: &[usize]) {
    let report = report(text, None);
    let violations = report.violations.iter().filter(|violation| violation.rule == rule);
    let lines: Vec<usize> = violations.map(|violation| violation.line).collect();
    assert_eq!(lines, expected, "{rule} in\n{text}\n{report:#?}");
}

#[test]
fn volatile_values_belong_below_steps_not_using_them() {
    let check = |text, expected| check("volatile-above-run", text, expected);
    check("FROM a:1\nARG GIT_SHA\nRUN make\n", &[2]);
    check("FROM a:1\nENV A=1 BUILD_DATE=$B\nRUN make\n", &[2]);
    check("FROM a:1\nARG VERSION=1\nENV SHOWN=${VERSION:-2}\nRUN make\n", &[2, 3]);
    check("FROM a:1 AS one\nARG REVISION\nFROM one\nRUN make\nFROM one\nRUN make\n", &[2]);
    check("FROM a:1\nARG GIT_SHA\nRUN echo $GIT_SHABBY\n", &[2]);

    check("FROM a:1\nRUN make\nARG GIT_SHA\nLABEL r=$GIT_SHA\n", &[]);
    check("FROM a:1\nARG GIT_SHA\nRUN make REVISION=${GIT_SHA}\nRUN strip /out\n", &[]);
    check("FROM a:1\nARG VERSION=8\nRUN <<EOF\ncurl https://x/$VERSION\nEOF\n", &[]);
    check("ARG VERSION=8\nFROM a:$VERSION\nRUN make\n", &[]);
    check("FROM a:1\nARG GIT_SHA\nFROM a:1\nRUN make\n", &[]);
    check("FROM a:1\nARG NODE_VERSION=22\nARG TINI_SHA256=ab\nRUN make\n", &[]);
}

#[test]
fn dependencies_are_installed_before_sources_are_copied() {
    let check = |text, expected| check("wide-copy", text, expected);
    check("FROM a:1\nCOPY . .\nRUN npm ci\n", &[2]);
    check("FROM a:1\nCOPY --link [\".\", \"/app\"]\nRUN cd /app && pip install -r r.txt\n", &[2]);
    check("FROM a:1\nRUN apt-get install -y x\nCOPY . .\nRUN apt-get -y install y\n", &[3]);
    check("FROM a:1 AS one\nADD ./ /x\nFROM one\nRUN python3 -m pip install .\n", &[2]);
    check("FROM a:1\nRUN --mount=type=bind,target=. cargo +nightly build\n", &[2]);

    check("FROM a:1\nCOPY package.json .\nRUN npm ci\nCOPY . .\nRUN npm run build\n", &[]);
    check("FROM a:1\nCOPY Cargo.* ./\nRUN cargo fetch\nCOPY . .\nRUN cargo build\n", &[]);
    check("FROM a:1\nCOPY --from=one . .\nRUN npm ci\n", &[]);
    check("FROM a:1\nCOPY src .\nRUN npm ci\n", &[]);
}

#[test]
fn a_copy_that_no_step_reads_is_linked() {
    let check = |text, expected| check("copy-without-link", text, expected);
    check("FROM a:1\nRUN make\nCOPY a /a\n", &[3]);
    check("FROM a:1 AS one\nFROM a:1\nCOPY --from=one /a /a\nRUN /a\n", &[3]);
    check("FROM a:1\nADD --chown=1:1 a /a\nCOPY --link=false b /b\n", &[2, 3]);
    check("FROM scratch\nCOPY a /a\nCOPY b /b\n", &[3]);

    check("FROM a:1\nRUN make\nCOPY --link a /a\n", &[]);
    check("FROM a:1\nCOPY a /a\nRUN /a\n", &[]);
    check("FROM a:1\nCOPY --chown=www-data:www-data a /a\n", &[]);
    check("FROM a:1 AS one\nCOPY a /a\nFROM scratch\nCOPY --from=one /a /a\n", &[]);
}

#[test]
fn files_are_removed_in_the_layer_writing_them() {
    let check = |text, expected| check("late-clean-up", text, expected);
    check("FROM a:1\nCOPY a.tgz /tmp/\nRUN tar xf /tmp/a.tgz\nRUN rm /tmp/a.tgz\n", &[4]);
    check("FROM a:1\nWORKDIR /w\nRUN curl -O x && tar xf a.tgz\nRUN rm -f a.tgz\n", &[4]);
    check("FROM a:1\nRUN apt-get update\nRUN apt-get install x\nRUN rm -rf /var/lib/apt/*\n", &[4]);
    check("FROM a:1\nRUN cd /src && git clone x src\nRUN cd / && rm -rf src/src\n", &[3]);
    check("FROM a:1 AS one\nRUN echo > /x\nFROM one\nRUN rm /x\n", &[4]);

    check("FROM a:1\nRUN mkdir /b && make && rm -r /b\nRUN mkdir /b && rm -r /b\n", &[]);
    check("FROM a:1\nRUN rm -rf /etc/nginx/conf.d/default.conf\n", &[]);
    check("FROM a:1 AS one\nRUN echo > /x\nRUN rm /x\nFROM scratch\n", &[]);
    check("FROM a:1\nRUN --mount=type=tmpfs,target=/t cp a /t/a\nRUN rm -rf /t/*\n", &[]);
}

#[test]
fn only_the_target_stage_becomes_the_image() {
    let text = "FROM a:1 AS tests\nCOPY a /a\nFROM a:1\nCOPY b /b\n";
    let lines = |target| {
        let violations = report(text, target).violations.into_iter();
        violations.map(|violation| violation.line).collect::<Vec<_>>()
    };
    assert_eq!(lines(None), [4]);
    assert_eq!(lines(Some("tests")), [2]);
    assert_eq!(lines(Some("missing")), [4]);
}

#[test]
fn a_comment_with_a_reason_allows_a_violation() {
    let text = "FROM a:1\nRUN make > /x\n\
                # xtask: allow=late-clean-up,volatile-above-run the file is empty\n\
                # hadolint ignore=DL3059\nRUN rm /x\nARG GIT_SHA\n\
                # xtask: allow=copy-without-link  the base is small \nCOPY a /a\n";
    let report = report(text, None);
    let allowed = report.allowed.iter().map(|one| (one.line, one.rule, one.reason.as_str()));
    assert_eq!(
        allowed.collect::<Vec<_>>(),
        [(5, "late-clean-up", "the file is empty"), (8, "copy-without-link", "the base is small")]
    );
    // The first comment allows a second rule, which its instruction does not break.
    let violations: Vec<_> = report.violations.iter().map(|one| (one.line, one.rule)).collect();
    assert_eq!(violations, [(3, ALLOWANCE)]);
}

#[test]
fn a_comment_needs_a_reason_and_a_violation() {
    let check = |text: &str, expected: &[&str]| {
        let violations = report(text, None).violations.into_iter();
        let shown = violations.map(|one| format!("{} {}: {}", one.line, one.rule, one.detail));
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{text}");
    };
    check(
        "FROM a:1\n# xtask: allow=copy-without-link\nCOPY a /a\n",
        &["2 allowance: the comment allows `copy-without-link` without a reason"],
    );
    check(
        "FROM a:1\n# xtask: allow=wide-copy why\nUSER 1\n# xtask: allow=late-clean-up why\n",
        &[
            "2 allowance: the instruction below does not break `wide-copy`",
            "4 allowance: the instruction below does not break `late-clean-up`",
        ],
    );
    check(
        "# xtask: allow=wide-coppy why\nFROM a:1\n",
        &["1 allowance: there is no rule `wide-coppy`; did you mean `wide-copy`?"],
    );
}

#[test]
fn an_unreadable_dockerfile_is_one_violation() {
    let violations = report("FROM a b c\n", None).violations;
    let shown: Vec<_> = violations.iter().map(|one| (one.line, one.rule)).collect();
    assert_eq!(shown, [(1, "unreadable")]);
}

#[test]
fn a_dockerfile_without_violations_passes() {
    let arguments = BTreeMap::new();
    let found = |text| {
        let file = "services/web/Dockerfile";
        let findings = findings(&Input { file, text, arguments: &arguments, target: None });
        findings.into_iter().map(|one| (one.subject, one.level, one.hint)).collect::<Vec<_>>()
    };
    let file = |end: &str| format!("services/web/Dockerfile{end}");
    assert_eq!(found("FROM a:1\nCOPY --link a /a\n"), [(file(""), Level::Pass, None)]);
    let hint = "services/web/Dockerfile:2: write `COPY --link …`".to_owned();
    assert_eq!(
        found("FROM a:1\nCOPY a /a\n# xtask: allow=copy-without-link why\nADD b /b\n"),
        [(file(":2"), Level::Warn, Some(hint)), (file(":4"), Level::Skip, None)]
    );
}

#[test]
fn each_rule_has_a_unique_name_and_reason() {
    let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).chain([ALLOWANCE]).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len() + 1);
    assert!(RULES.iter().all(|rule| rule.why.len() > 20 && !rule.why.ends_with('.')));
}

use super::*;

/// A command line of a few commands; the real one is tried by `tests/lines.rs`.
fn accepts(words: &[String]) -> Result<(), String> {
    let known = "build push release prune --apply --test --sign --format matrix web v1.2.3";
    let known: Vec<&str> = known.split(' ').collect();
    match words.iter().find(|word| !known.contains(&word.as_str())) {
        None => Ok(()),
        Some(word) => Err(format!("unexpected argument `{word}`")),
    }
}

fn command_line() -> CommandLine<'static> {
    CommandLine { accepts: &accepts, variables: BTreeSet::from(["XTASK_PROMOTE".to_owned()]) }
}

const GOOD: &str = "\
name: build
on:
  push:
  workflow_dispatch:
    inputs:
      promote: {}
permissions: {}
concurrency:
  group: x
  queue: max
  cancel-in-progress: false
jobs:
  plan:
    timeout-minutes: 5
    permissions:
      contents: read # to check out
    outputs:
      matrix: ${{ steps.plan.outputs.matrix }}
    steps:
      - uses: actions/checkout@0123456789012345678901234567890123456789 # v1.2.3
        with:
          persist-credentials: false
      - uses: ./.github/actions/setup
      - id: plan
        run: cargo xtask build --format matrix
  push:
    needs: plan
    if: needs.plan.outputs.matrix != ''
    timeout-minutes: 5
    permissions:
      contents: read # to check out
      packages: write # to publish
    strategy:
      matrix: ${{ fromJSON(needs.plan.outputs.matrix) }}
    env:
      SERVICE: ${{ matrix.service }}
      XTASK_PROMOTE: ${{ inputs.promote }}
      GITHUB_TOKEN: ${{ github.token }}
    steps:
      - uses: actions/checkout@0123456789012345678901234567890123456789 # v1.2.3
        with:
          persist-credentials: false
          fetch-depth: 0
      - uses: ./.github/actions/setup
      - uses: ./.github/actions/actions-cache
      - run: cargo xtask push \"$SERVICE\"
";

/// What is found when `from` in the good workflow becomes `to`, as `line rule`.
fn found(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replacen(from, to, 1);
    let judged = workflow(File { path: "w.yml", text: &text }, &command_line());
    assert!(judged.breaches.iter().all(|breach| !breach.remedy.is_empty()));
    judged.breaches.iter().map(|breach| format!("{} {}", breach.line, breach.rule)).collect()
}

fn check(from: &str, to: &str, expected: &[&str]) {
    assert_eq!(found(from, to), expected, "{from:?} became {to:?}");
}

#[test]
fn a_good_workflow_has_no_finding() {
    check("name: build", "name: build", &[]);
    let judged = workflow(File { path: "w.yml", text: GOOD }, &command_line());
    assert_eq!(judged.lines, 2);
}

#[test]
fn a_job_is_one_line_that_can_be_typed() {
    check("cargo xtask push", "cargo xtask pusch", &["32 permissions", "46 accepted"]);
    check("cargo xtask push \"$SERVICE\"", "cargo build", &["46 one-line"]);
    check("run: cargo xtask build", "run: cargo xtask build && true", &["25 one-line"]);
    check(
        "- uses: ./.github/actions/setup",
        "- run: cargo xtask build --format matrix",
        &["13 one-line", "23 setup", "25 setup"],
    );
    check("XTASK_PROMOTE", "XTASK_PROMOTION", &["37 accepted"]);
}

#[test]
fn variables_of_a_line_are_set_and_quoted() {
    check("\"$SERVICE\"", "\"$SERVICES\"", &["46 variable"]);
    check("\"$SERVICE\"", "$SERVICE", &["46 variable"]);
    check("push \"$SERVICE\"", "release \"$GITHUB_REF_NAME\"", &["31 permissions"]);
}

#[test]
fn nothing_is_put_into_a_command() {
    let broken = found("\"$SERVICE\"", "${{ matrix.service }}");
    assert_eq!(broken, ["46 one-line", "46 expression-in-run"]);
}

#[test]
fn what_comes_from_elsewhere_is_pinned() {
    check("0123456789012345678901234567890123456789", "v1", &["20 pinned"]);
    check(" # v1.2.3", "", &["20 pinned"]);
    check("./.github/actions/setup", "$/.github/actions/setup", &[]);
    let steps = "runs:\n  steps:\n    - uses: a/b@v2\n    - run: echo ${{ inputs.x }}\n";
    let judged = action(File { path: "action.yml", text: steps });
    let rules: Vec<_> = judged.breaches.iter().map(|breach| (breach.line, breach.rule)).collect();
    assert_eq!(rules, [(3, "pinned"), (4, "expression-in-run")]);
}

#[test]
fn a_job_may_only_what_its_line_needs() {
    check("permissions: {}\n", "", &["1 permissions"]);
    check("permissions: {}\n", "permissions: read-all\n", &["7 permissions"]);
    check(
        "      contents: read # to check out\n    outputs",
        "      packages: write # x\n    outputs",
        &["16 permissions", "16 permissions"],
    );
    check("packages: write", "attestations: write", &["31 permissions", "32 permissions"]);
    check("packages: write # to publish", "packages: write", &["32 permissions"]);
    check(
        "packages: write # to publish",
        "id-token: write # to sign",
        &["31 permissions", "32 permissions"],
    );
    check(
        "    permissions:\n      contents: read # to check out\n    outputs",
        "    outputs",
        &["13 permissions"],
    );
}

#[test]
fn a_job_may_no_less_than_its_line_needs() {
    check("packages: write # to publish", "packages: read # to publish", &["31 permissions"]);
    check("      packages: write # to publish\n", "", &["31 permissions"]);
    check(
        "contents: read # to check out\n      packages",
        "id-token: none # x\n      packages",
        &["31 permissions", "31 permissions"],
    );
}

#[test]
fn what_a_line_needs_stands_before_it() {
    check("      - uses: ./.github/actions/setup\n      - id", "      - id", &["24 setup"]);
    check("      - uses: ./.github/actions/actions-cache\n", "", &["45 actions-cache"]);
    check("      GITHUB_TOKEN: ${{ github.token }}\n", "", &["45 token"]);
    check("          fetch-depth: 0\n", "", &["45 depth"]);
    let checkout = GOOD.split_inclusive('\n').skip(19).take(3).collect::<String>();
    check(&checkout, "", &["22 checkout"]);
}

#[test]
fn a_pull_request_cannot_push() {
    check(
        "  push:\n  workflow",
        "  pull_request:\n  workflow",
        &["26 pull-request", "32 pull-request"],
    );
    check(
        "  push:\n  workflow",
        "  pull_request_target:\n  workflow",
        &["3 dangerous-trigger", "26 pull-request", "32 pull-request"],
    );
}

#[test]
fn credentials_do_not_stay() {
    check("persist-credentials: false", "fetch-depth: 0", &["20 credentials"]);
    check("persist-credentials: false", "persist-credentials: true", &["22 credentials"]);
    check(
        "persist-credentials: false",
        "persist-credentials: true # zizmor: ignore[artipacked] it pushes a tag",
        &[],
    );
}

#[test]
fn what_publishes_is_never_cut_off_and_nothing_hangs() {
    check("cancel-in-progress: false", "cancel-in-progress: true", &["9 concurrency"]);
    check("queue: max", "queue: single", &["9 concurrency"]);
    check("group: x", "group: x-${{ github.ref }}", &["9 concurrency"]);
    check(
        "concurrency:\n  group: x\n  queue: max\n  cancel-in-progress: false\n",
        "",
        &["9 concurrency", "22 concurrency"],
    );
    check("timeout-minutes: 5", "name: x", &["13 timeout"]);
}

#[test]
fn what_an_expression_reads_is_there() {
    check("    needs: plan\n", "", &["27 needs", "33 needs"]);
    check("needs: plan", "needs: [plan, test]", &["27 needs"]);
    check("needs.plan.outputs.matrix != ''", "needs.plan.outputs.x != ''", &["28 needs"]);
    check("- id: plan", "- id: other", &["18 expression"]);
    check("inputs.promote", "inputs.promotion", &["37 expression"]);
    check("matrix.service", "matrices.service", &["36 expression"]);
    check("fromJSON(", "fromJSON((", &["34 expression"]);
}

#[test]
fn a_file_that_cannot_be_read_is_a_finding() {
    check("permissions: {}", "permission: {}", &["7 syntax"]);
    check("on:\n", "", &["2 syntax"]);
}

const COMPOSE: &str = "\
services:
  web:
    image: r.io/o/web:${TAG:-latest}
    build:
      context: services/web
      cache_from:
        - type=registry,ref=r.io/o/web:cache
    ports: ['8080:80']
";

#[test]
fn a_compose_file_names_what_is_there() {
    let expected = [Expected {
        service: "web".to_owned(),
        folder: "services/web".to_owned(),
        image: "r.io/o/web".to_owned(),
        cache_from: vec!["type=registry,ref=r.io/o/web:cache".to_owned()],
        ports: BTreeSet::from(["80".to_owned()]),
    }];
    let check = |from: &str, to: &str, rule: &[(usize, &str)]| {
        let text = COMPOSE.replacen(from, to, 1);
        let judged = compose(File { path: "compose.yaml", text: &text }, &expected);
        let found: Vec<_> = judged.breaches.iter().map(|b| (b.line, b.rule)).collect();
        assert_eq!(found, rule, "{to}");
    };
    check("web:", "web:", &[]);
    check("r.io/o/web:$", "r.io/o/webs:$", &[(3, "compose-image")]);
    check("    image: r.io/o/web:${TAG:-latest}\n", "", &[(2, "compose-image")]);
    check("services/web", "services/wed", &[(5, "compose-context")]);
    check("web:cache", "web:dev", &[(7, "compose-cache")]);
    check("8080:80", "8080:81", &[(8, "compose-port")]);
}

#[test]
fn a_page_names_commands_that_can_be_typed() {
    let check = |text: &str, lines: usize, broken: usize| {
        let judged = page(File { path: "docs/x.md", text }, &command_line());
        assert_eq!((judged.lines, judged.breaches.len()), (lines, broken), "{text}");
    };
    check("Type `cargo xtask push web`.", 1, 0);
    check("Type `cargo xtask pull`.", 1, 1);
    check("cargo xtask build > log", 1, 0);
    check("cargo xtask push 'web", 0, 1);
    check("`cargo xtask build [SERVICE…]`, `cargo build`", 0, 0);
}

//! `cargo xtask ci` on the real workflow files, as far as it goes without an engine.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test fails by panicking, reads the files it copies, and says what it cannot test"
)]

mod support;

use std::path::Path;

use support::Fixture;

/// A repository with the real workflows and one service, whose branch changes nothing of it.
fn repository() -> Fixture {
    let fixture = Fixture::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for path in xtask::outside::files::below(&root.join(".github")).unwrap() {
        let inside = path.strip_prefix(root).unwrap();
        fixture.write(inside.to_str().unwrap(), &std::fs::read_to_string(&path).unwrap());
    }
    fixture.service("web", "FROM debian:bookworm\n");
    fixture.commit("feat: a service");
    fixture.git(&["checkout", "--quiet", "-b", "feature/x"]);
    fixture.write("README.md", "a page");
    fixture.commit("docs: a page");
    fixture
}

/// The lines that a plan has, without what GitHub alone can run.
fn lines(fixture: &Fixture, arguments: &[&str]) -> Vec<String> {
    let ran = fixture.xtask(&[&["ci", "--dry-run"], arguments].concat()).expect(0);
    let lines = ran.stdout.lines().filter(|line| line.starts_with("cargo xtask"));
    lines.map(str::to_owned).collect()
}

#[test]
fn each_workflow_is_planned_from_its_file() {
    let fixture = repository();
    let base = fixture.git(&["rev-parse", "dev"]);
    let affected = format!("cargo xtask build --changed-since {base} --format matrix");
    assert_eq!(
        lines(&fixture, &["pr"]),
        [affected.as_str(), "cargo xtask build \"$SERVICE\" --channel pr --test"]
    );
    let refused = fixture.xtask(&["ci", "dev", "--dry-run"]).expect(3);
    assert!(refused.stderr.contains("`push` at `refs/heads/feature/x`"), "{}", refused.stderr);
    let by_hand = ["release", "--input", "version=v1.2.3"];
    assert_eq!(lines(&fixture, &by_hand), ["cargo xtask release v1.2.3 --create-tag"]);
    fixture.git(&["tag", "v2.0.0"]);
    assert_eq!(lines(&fixture, &["release"]), ["cargo xtask release v2.0.0"]);
    assert_eq!(lines(&fixture, &["prune"]), ["cargo xtask prune"]);
    let allowed = ["prune", "--var", "PRUNE_APPLY=true"];
    assert_eq!(lines(&fixture, &allowed), ["cargo xtask prune --apply"]);
}

#[test]
fn dev_is_published_from_its_branch_and_by_hand_built_anew() {
    let fixture = repository();
    fixture.git(&["checkout", "--quiet", "dev"]);
    let build = "cargo xtask build --channel dev --format matrix --lab";
    let push = "cargo xtask push \"$SERVICE\" --lab";
    assert_eq!(lines(&fixture, &["dev", "--lab"]), [build, push]);
    let pushed = fixture.xtask(&["ci", "dev", "--dry-run"]).expect(0).stdout;
    assert!(pushed.contains("# env: XTASK_REBUILD=false\n"), "{pushed}");
    let event = fixture.root().join("../event-by-hand.json");
    let by_hand = |branch: &str| {
        let text = format!("{{\"ref\": \"refs/heads/{branch}\", \"inputs\": null}}");
        std::fs::write(&event, text).unwrap();
        let arguments = ["ci", "dev", "--dry-run", "--event", event.to_str().unwrap()];
        fixture.xtask(&arguments).expect(0).stdout
    };
    assert!(by_hand("dev").contains("# env: XTASK_REBUILD=true\n"));
    let elsewhere = by_hand("feature/x");
    assert!(elsewhere.contains("# skipped: `github.ref == 'refs/heads/dev'`"), "{elsewhere}");
}

/// What the action writes into the job's environment, and into its log.
fn actions_cache(variables: &[(&str, &str)]) -> (String, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    std::fs::write(&file, "").unwrap();
    let mut command = std::process::Command::new("node");
    command.arg(root.join(".github/actions/actions-cache/main.js")).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("GITHUB_ENV", &file);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", support::text(&output.stderr));
    (std::fs::read_to_string(file).unwrap(), support::text(&output.stdout))
}

fn has_node() -> bool {
    let found = std::process::Command::new("node").arg("--version").output().is_ok();
    if !found {
        eprintln!("nothing is tested here: `node` is missing");
    }
    found
}

#[test]
fn the_actions_cache_is_handed_over_and_its_token_masked() {
    if !has_node() {
        return;
    }
    let token = ("ACTIONS_RUNTIME_TOKEN", "secret");
    let (environment, log) = actions_cache(&[token, ("ACTIONS_RESULTS_URL", "https://a/")]);
    assert_eq!(environment, "ACTIONS_RUNTIME_TOKEN=secret\nACTIONS_RESULTS_URL=https://a/\n");
    assert_eq!(log, "::add-mask::secret\n");
    let (environment, log) = actions_cache(&[token]);
    assert_eq!(environment, "ACTIONS_RUNTIME_TOKEN=secret\n");
    assert!(log.contains("::warning::ACTIONS_RESULTS_URL is not there"), "{log}");
    // A line break would set another variable.
    let (environment, _) = actions_cache(&[("ACTIONS_RESULTS_URL", "https://a/\nPATH=/x")]);
    assert_eq!(environment, "");
}

#[test]
fn a_line_has_the_actions_cache_when_the_action_handed_it_over() {
    if !has_node() {
        return;
    }
    let fixture = repository();
    let played = |steps: &str| {
        let text = format!("on: {{schedule: []}}\njobs:\n  a:\n    steps:\n{steps}");
        fixture.write(".github/workflows/prune.yml", &text);
        let mut command = fixture.command(&["ci", "prune"]);
        command
            .env("ACTIONS_RUNTIME_TOKEN", "no-token")
            .env("ACTIONS_RESULTS_URL", "http://[::1]:9/");
        support::Ran::from(command.output().unwrap()).expect(0)
    };
    let line = "      - run: cargo xtask build web --channel dev --dry-run\n";
    let none = "gha: inert (no `ACTIONS_RUNTIME_TOKEN`";
    let without = played(line);
    assert!(without.stdout.contains(none), "{}", without.stdout);
    let with = played(&format!("      - uses: $/.github/actions/actions-cache\n{line}"));
    assert!(!with.stdout.contains(none) && with.stdout.contains("gha"), "{}", with.stdout);
    assert!(!with.stderr.contains("no-token"), "{}", with.stderr);
}

#[test]
fn a_plan_names_the_source_of_a_secret_and_never_its_value() {
    let fixture = repository();
    fixture.git(&["checkout", "--quiet", "dev"]);
    for format in ["human", "json"] {
        let mut command = fixture.command(&["ci", "dev", "--dry-run", "--format", format]);
        let output = command.env("GITHUB_TOKEN", "hunter2-hunter2").output().unwrap();
        let text = support::text(&output.stdout);
        assert!(text.contains("GITHUB_TOKEN") && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_job_runs_with_what_an_earlier_one_gave() {
    let fixture = repository();
    let ran = fixture.xtask(&["ci", "pr"]).expect(0);
    assert!(ran.stderr.contains("job affected: succeeded"), "{}", ran.stderr);
    assert!(ran.stderr.contains("job build: skipped, `needs.affected"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "{\"service\":[]}\n");
}

#[test]
fn what_cannot_be_played_says_what_to_type() {
    let fixture = repository();
    let ran = fixture.xtask(&["ci", "release", "--dry-run"]).expect(2);
    assert!(ran.stderr.contains("cargo xtask ci release --input version=v1.2.3"), "{}", ran.stderr);
    fixture.git(&["checkout", "--quiet", "dev"]);
    let ran = fixture.xtask(&["ci", "dev", "--input", "x=y"]).expect(2);
    assert!(ran.stderr.contains("it takes none"), "{}", ran.stderr);
    let ran = fixture.xtask(&["ci", "pr", "--input", "x=y"]).expect(3);
    assert!(
        ran.stderr.contains("does not run for the event `workflow_dispatch`"),
        "{}",
        ran.stderr
    );
    fixture.write(
        ".github/workflows/prune.yml",
        "on: {schedule: []}\njobs:\n  a:\n    container: x\n",
    );
    let ran = fixture.xtask(&["ci", "prune"]).expect(2);
    assert!(
        ran.stderr.contains("line 4: `container` is honoured by GitHub alone"),
        "{}",
        ran.stderr
    );
    fixture.write(".github/workflows/prune.yml", "on: push\njobz: {}\n");
    let ran = fixture.xtask(&["ci", "prune"]).expect(2);
    assert!(ran.stderr.contains("prune.yml:2: there is no key `jobz`"), "{}", ran.stderr);
    std::fs::remove_file(fixture.root().join(".github/workflows/prune.yml")).unwrap();
    let ran = fixture.xtask(&["ci", "prune"]).expect(1);
    assert!(ran.stderr.contains("prune.yml"), "{}", ran.stderr);
}

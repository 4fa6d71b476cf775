//! Each command in the workflows, the pages and the compose file of this repository is one line that the
//! command line accepts, and each event runs the lines that it should.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::events::{Event, Texts};
use crate::support::jobs::{self, Ended};
use crate::support::pages::{pages, quoted, text};
use crate::support::workflows::{self, root, steps, texts, words, workflow, yaml};
use crate::support::{Fixture, Ran};
use clap::{CommandFactory, Parser};
use serde_json::Value;
use xtask::cli::Cli;
use xtask::outside::files;

/// Parses words as a command and returns its name; an error says why the command line refuses them. A request
/// for help is accepted.
fn accepted(words: Vec<String>) -> Result<String, String> {
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion,
    };
    let command = words.first().cloned().unwrap_or_default();
    let Err(error) = Cli::try_parse_from(["xtask".to_owned()].into_iter().chain(words)) else {
        return Ok(command);
    };
    match error.kind() {
        DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand => Ok(command),
        _ => Err(error.to_string().lines().next().unwrap().to_owned()),
    }
}

/// Why a line of a page is not a valid command.
fn refused(line: &str) -> Option<String> {
    words(line, |_| "web".to_owned()).and_then(accepted).err()
}

/// The environment variables that set an option of a command.
fn variables(command: &str) -> BTreeSet<String> {
    let all = Cli::command();
    let own = all.find_subcommand(command).into_iter().flat_map(clap::Command::get_arguments);
    let named = all.get_arguments().chain(own).filter_map(clap::Arg::get_env);
    named.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// The problem with a line of a job that has the variables `set`.
fn problems_of(line: &str, set: &BTreeSet<&str>) -> Vec<String> {
    let mut problems = Vec::new();
    let value = |name: &str| {
        if !set.contains(name) && !name.starts_with("GITHUB_") {
            problems.push(format!("nothing sets `{name}`"));
        }
        "web".to_owned()
    };
    match words(line, value).and_then(accepted) {
        Ok(command) => {
            let known = variables(&command);
            let options = set.iter().filter(|name| name.starts_with("XTASK_"));
            let strays = options.filter(|name| !known.contains(**name));
            problems.extend(strays.map(|name| format!("`{command}` does not read `{name}`")));
        }
        Err(problem) => problems.push(problem),
    }
    problems
}

/// The problems with the lines of a workflow, and how many lines it has.
fn problems(workflow: &Value) -> (Vec<String>, usize) {
    let (mut problems, mut lines) = (Vec::new(), 0);
    for (id, job) in workflows::jobs(workflow) {
        for step in steps(job) {
            let Some(line) = step["run"].as_str() else { continue };
            let env = [workflow, job, step].into_iter().flat_map(|at| texts(&at["env"]));
            let set = env.map(|(name, _)| name.as_str()).collect();
            let found = problems_of(line, &set);
            problems.extend(found.iter().map(|problem| format!("{id}: {problem}")));
            lines += 1;
        }
    }
    (problems, lines)
}

#[test]
fn each_line_of_a_workflow_can_be_typed() {
    let mut lines = 0;
    for name in workflows::names() {
        let (found, count) = problems(&workflow(root(), &name));
        assert_eq!(found, [""; 0], "{name}");
        lines += count;
    }
    assert!(lines >= 9, "only {lines} lines were tried");
}

#[test]
fn each_line_of_an_action_is_one_command() {
    for path in files::below(&root().join(".github/actions")).unwrap() {
        if !path.ends_with("action.yml") {
            continue;
        }
        for line in steps(&yaml(&path)["runs"]).filter_map(|step| step["run"].as_str()) {
            assert!(!line.trim().contains('\n'), "{}: {line}", path.display());
            if line.contains("cargo xtask") {
                assert_eq!(refused(line), None, "{}", path.display());
            }
        }
    }
}

#[test]
fn a_misspelt_flag_or_variable_is_found() {
    let path = root().join(".github/workflows/docker-dev-build.yml");
    let text = std::fs::read_to_string(path).unwrap();
    let check = |from: &str, to: &str, problem: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        let (found, _) = problems(&yaml_serde::from_str(&changed).unwrap());
        assert_eq!(found, [problem]);
    };
    check("--channel", "--chanel", "affected: error: unexpected argument '--chanel' found");
    check(
        "--format matrix",
        "--format matrices",
        "affected: error: invalid value 'matrices' for '--format <FORMAT>'",
    );
    check("xtask push", "xtask pusch", "push: error: unrecognized subcommand 'pusch'");
    check("\"$SERVICE\"", "\"$SERVICES\"", "push: nothing sets `SERVICES`");
    check("XTASK_REBUILD", "XTASK_PROMOTE", "push: `push` does not read `XTASK_PROMOTE`");
    check("\"$SERVICE\"", "$SERVICE", "push: a variable is not of the form `\"$NAME\"`");
    check("dev --format", "dev | tee --format", "affected: `|` needs a shell");
    let line = "run: cargo xtask push \"$SERVICE\"";
    check(
        line,
        &line.replace("run: ", "run: |\n          cargo fetch\n          "),
        "push: it is more than one line",
    );
}

/// The `cargo xtask` commands of a text: between backquotes in prose, on a separate line in an example or a
/// comment. A heading names a command without its arguments; `…`, `[` and `<` stand for several commands.
fn typed(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("## ")) {
        let bare = line.trim_start_matches(['#', '$', ' ']);
        if bare.starts_with("cargo xtask ") {
            found.push(bare);
        } else {
            found.extend(quoted(line).filter(|part| part.starts_with("cargo xtask ")));
        }
    }
    found.retain(|command| !command.contains(['…', '[', '<']));
    found
}

#[test]
fn commands_are_found_in_prose_examples_and_comments() {
    let text = "## `cargo xtask prune explain`\nType `cargo xtask push` or `cargo build`.\n\
                cargo xtask build --lab   # both\n$ cargo xtask verify\n\
                # cargo xtask doctor\n`cargo xtask build [SERVICE…]`\n";
    let expected = [
        "cargo xtask push",
        "cargo xtask build --lab   # both",
        "cargo xtask verify",
        "cargo xtask doctor",
    ];
    assert_eq!(typed(text), expected);
}

#[test]
fn each_command_of_a_page_can_be_typed() {
    let mut count = 0;
    let compose = ("compose.yaml".to_owned(), text("compose.yaml"));
    for (page, text) in pages().into_iter().chain([compose]) {
        for line in typed(&text) {
            assert_eq!(refused(line), None, "{page}: {line}");
            count += 1;
        }
    }
    assert!(count >= 40, "only {count} commands were tried");
}

/// The lines that an event starts, if only `web` is to be built.
fn lines(fixture: &Fixture, name: &str, event: &Event) -> Vec<String> {
    let mut lines = Vec::new();
    let matrix = ("matrix".to_owned(), r#"{"service":["web"]}"#.to_owned());
    let workflow = workflow(root(), name);
    jobs::run(fixture, &workflow, event, &mut |line| {
        let options = line.variables.iter().filter(|(name, _)| name.starts_with("XTASK_"));
        let options = options.map(|(name, value)| format!("{name}={value}"));
        let words: Vec<String> = options.chain(line.words).collect();
        let cache = if line.has_actions_cache { " with the Actions cache" } else { "" };
        lines.push(format!("{}{cache}", words.join(" ")));
        let ran = Ran { code: Some(0), stdout: String::new(), stderr: String::new() };
        Ended { ran, outputs: Texts::from([matrix.clone()]), summary: String::new() }
    });
    lines
}

#[test]
fn each_event_runs_its_lines() {
    let fixture = Fixture::new();
    let base = fixture.commit("feat: nothing yet");
    let check = |name: &str, event: &Event, expected: &[&str]| {
        assert_eq!(lines(&fixture, name, event), expected, "{name}: {event:?}");
    };
    let affected = format!("build --changed-since {base} --format matrix");
    let built = [affected.as_str(), "build web --channel pr --test with the Actions cache"];
    check("docker-build.yml", &Event::pull_request(&fixture), &built);
    check("docker-build.yml", &Event::pull_request_from_fork(&fixture), &built);
    let pushed = |rebuild: &str| {
        let options = format!("XTASK_REBUILD={rebuild} ");
        [
            "build --channel dev --format matrix".to_owned(),
            format!("{options}push web with the Actions cache"),
        ]
    };
    let dev = "docker-dev-build.yml";
    check(dev, &Event::push_to_dev(), &pushed("false").each_ref().map(String::as_str));
    check(dev, &Event::by_hand("dev", &[]), &pushed("true").each_ref().map(String::as_str));
    check(dev, &Event::by_hand("feature/x", &[]), &[]);
    let tagged = "release v1.2.3 with the Actions cache";
    check("release.yml", &Event::push_of_tag("v1.2.3"), &[tagged]);
    let inputs = [("version", "v1.2.3"), ("promote", "true")];
    let by_hand =
        "XTASK_DRY_RUN=false XTASK_PROMOTE=true release v1.2.3 --create-tag with the Actions cache";
    check("release.yml", &Event::by_hand("dev", &inputs), &[by_hand]);
    check("prune.yml", &Event::weekly(false), &["prune"]);
    check("prune.yml", &Event::weekly(true), &["prune --apply"]);
    check("ci.yml", &Event::push_to_dev(), &["test"]);
}

#[test]
fn the_guide_has_the_line_of_every_workflow() {
    let guide = text("docs/ghcr-setup.md");
    let rows = guide.lines().filter(|line| line.starts_with("| `") && line.contains(".yml` |"));
    let mut seen = BTreeSet::new();
    for row in rows {
        let file = quoted(row).next().unwrap();
        let listed: BTreeSet<&str> = quoted(row).filter(|part| part.starts_with("cargo")).collect();
        let workflow = workflow(root(), file);
        let jobs = workflows::jobs(&workflow);
        let lines =
            jobs.iter().flat_map(|(_, job)| steps(job)).filter_map(|step| step["run"].as_str());
        assert_eq!(listed, lines.filter(|line| !line.contains("matrix")).collect(), "{file}");
        seen.insert(file.to_owned());
    }
    assert_eq!(seen, workflows::names().into_iter().collect());
}

/// The quoted texts that begin with our own command; an example value replaces each `{…}`.
fn commands(source: &str) -> Vec<String> {
    let texts = source.split("\"cargo xtask ").skip(1);
    let texts = texts.filter_map(|rest| rest.split('"').next());
    let filled = |text: &str| {
        let mut parts = text.split('{');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |filled, part| {
            format!("{filled}1.0.0{}", part.split_once('}').map_or("", |(_, rest)| rest))
        })
    };
    texts.map(|text| format!("cargo xtask {}", filled(text))).collect()
}

#[test]
fn hints_name_commands_that_exist() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = files::below(&source).unwrap();
    paths.extend(files::below(&source.join("../plan/src/verify")).unwrap());
    let mut tried = 0;
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in commands(&text).iter().flat_map(|line| line.split(" && ")) {
            // A hint may name another way after the command.
            let line = line.split([';', ',']).next().unwrap();
            let words = line.trim_start_matches("cargo ").split_whitespace();
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{}: {line}", path.display());
            tried += 1;
        }
    }
    assert!(tried >= 20, "only {tried} commands were found");
}

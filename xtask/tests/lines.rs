//! Every `cargo xtask` line in a workflow, the compose file or a page is one that the command line
//! accepts, and all of them keep to the rules of `plan::workflow`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use clap::CommandFactory;
use xtask::model::config::Config;
use xtask::model::facts::Facts;
use xtask::model::workflow::{Workflow, action_steps, own_folder};
use xtask::outside::files;
use xtask::outside::gather::services_and_config;
use xtask::task::repository::judged;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// A workflow of this repository.
fn workflow(file: &str) -> Workflow {
    Workflow::parse(&text(&format!(".github/workflows/{file}"))).unwrap()
}

/// The README and what stands below docs/.
fn pages() -> Vec<(String, String)> {
    let mut paths = files::below(&root().join("docs")).unwrap();
    paths.push(root().join("README.md"));
    let page = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(page).collect()
}

/// The facts that stand in the files of this repository.
fn facts(root: &Path) -> Facts {
    let (config, services) = services_and_config(root, &root.join("target")).unwrap();
    Facts::of_files(config, services)
}

#[test]
fn workflows_the_compose_file_and_pages_keep_to_their_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let kinds = judged(root, &facts(root)).unwrap();
    for (kind, enough) in [("workflows", 9), ("actions", 0), ("compose", 0), ("pages", 15)] {
        let judged = &kinds[kind];
        assert!(judged.breaches.is_empty(), "{:#?}", judged.breaches);
        assert!(judged.lines >= enough, "only {} commands of {kind} were tried", judged.lines);
    }
}

#[test]
fn a_misspelt_flag_or_variable_in_a_workflow_is_found() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path = ".github/workflows/docker-build.yml";
    let text = std::fs::read_to_string(workspace.join(path)).unwrap();
    let check = |from: &str, to: &str, rule: &str| {
        let root = tempfile::tempdir().unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        std::fs::create_dir_all(root.path().join(".github/workflows")).unwrap();
        files::write_atomically(&root.path().join(path), changed.as_bytes()).unwrap();
        let judged = judged(root.path(), &facts(workspace)).unwrap();
        let rules: Vec<_> = judged["workflows"].breaches.iter().map(|breach| breach.rule).collect();
        assert!(rules.contains(&rule), "{to}: {rules:?}");
    };
    check("--channel", "--chanel", "accepted");
    check("--format matrix", "--format matrices", "accepted");
    check("xtask build", "xtask built", "accepted");
    check("\"$SERVICE\"", "\"$SERVICES\"", "variable");
    check(
        "      packages: read # to read the layer cache\n",
        "      packages: write # x\n",
        "pull-request",
    );
}

/// The figures with a unit in a text: `2.36 s`, `204 MB`, `6 requests`.
fn figures(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let units = ["s", "ms", "kB", "MB", "requests"];
    let is_figure = |pair: &&[&str]| {
        let unit = pair[1].trim_end_matches([',', '.', ';']);
        units.contains(&unit) && pair[0].chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    let shown =
        |pair: &[&str]| format!("{} {}", pair[0], pair[1].trim_end_matches([',', '.', ';']));
    words.windows(2).filter(is_figure).map(shown).collect()
}

#[test]
fn figures_that_the_readme_quotes_are_those_of_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let (readme, page) = (read("README.md"), read("docs/performance.md"));
    let quoting = readme.split("\n- ").find(|item| item.contains("(docs/performance.md)")).unwrap();
    let quoted = figures(quoting);
    assert!(quoted.len() >= 4, "{quoted:?}");
    // The page has requests in a column of their own.
    let cells: Vec<&str> = page.split('|').map(str::trim).collect();
    for figure in quoted {
        let cell = figure.trim_end_matches(" requests");
        assert!(cells.contains(&cell), "{figure} is not measured: cargo xtask lab bench");
    }
    assert_eq!(
        figures("in 0.05 s and 6 requests, 204 MB. a 5 b"),
        ["0.05 s", "6 requests", "204 MB"]
    );
}

#[test]
fn no_action_of_anybody_else_is_used_but_two() {
    let mut used = BTreeSet::new();
    for path in files::below(&root().join(".github")).unwrap() {
        let text = std::fs::read_to_string(&path).unwrap();
        let steps = match path.extension().and_then(|extension| extension.to_str()) {
            Some("yml") if path.ends_with("action.yml") => action_steps(&text).unwrap(),
            Some("yml") => {
                let jobs = Workflow::parse(&text).unwrap().jobs;
                jobs.into_iter().flat_map(|job| job.steps).collect()
            }
            _ => continue,
        };
        let names = steps.into_iter().filter_map(|step| step.uses).map(|uses| uses.text);
        let others = names.filter(|name| own_folder(name).is_none());
        used.extend(others.map(|name| name.split('@').next().unwrap().to_owned()));
    }
    let two = ["Swatinem/rust-cache", "actions/checkout"].map(str::to_owned);
    assert_eq!(used, BTreeSet::from(two));
}

#[test]
fn all_that_publish_stand_in_one_line() {
    let files = ["docker-dev-build.yml", "release.yml", "prune.yml"];
    let groups = files.map(|file| workflow(file).concurrency.unwrap().group);
    assert_eq!(groups, ["publish", "publish", "publish"]);
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn the_guide_has_the_line_of_every_workflow() {
    let guide = text("docs/ghcr-setup.md");
    let rows = guide.lines().filter(|line| line.starts_with("| `") && line.contains(".yml` |"));
    let mut seen = BTreeSet::new();
    for row in rows {
        let file = quoted(row).next().unwrap();
        let told: BTreeSet<&str> = quoted(row).filter(|part| part.starts_with("cargo")).collect();
        let jobs = workflow(file).jobs;
        let lines = jobs.iter().flat_map(|job| &job.steps).filter_map(|step| step.run.as_ref());
        let lines = lines.map(|run| run.text.as_str()).filter(|line| !line.contains("matrix"));
        assert_eq!(told, lines.collect(), "{file}");
        seen.insert(file.to_owned());
    }
    let there = files::below(&root().join(".github/workflows")).unwrap();
    let there = there.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    assert_eq!(seen, there.collect());
}

/// Every long option of a command and of those below it.
fn options(command: &clap::Command, found: &mut BTreeSet<String>) {
    found.extend(command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned));
    command.get_subcommands().for_each(|inner| options(inner, found));
}

#[test]
fn an_option_that_a_page_names_is_there() {
    // Of Dockerfiles, of apt-get, of buildx and of clap.
    let others = ["link", "no-install-recommends", "output", "help"];
    let mut known = BTreeSet::from(others.map(str::to_owned));
    options(&xtask::cli::Cli::command(), &mut known);
    let mut count = 0;
    for (page, text) in pages() {
        for part in quoted(&text).filter_map(|part| part.strip_prefix("--")) {
            let name = part.split([' ', '=']).next().unwrap();
            assert!(known.contains(name), "{page}: there is no option `--{name}`");
            count += 1;
        }
    }
    assert!(count >= 20, "only {count} options were found");
}

#[test]
fn an_image_that_a_page_names_is_there() {
    let facts = facts(root());
    let (repository, _) = facts.repository().unwrap();
    let images = format!("{}/{repository}/", facts.config.registry);
    let mut count = 0;
    for (page, text) in pages() {
        for rest in text.split(&images).skip(1) {
            let service = rest.split(|c: char| c != '-' && !c.is_ascii_alphanumeric()).next();
            let service = service.unwrap_or_default();
            let is_there = facts.services.iter().any(|known| known.name.as_str() == service);
            // The place of all of them, or a name for any.
            let is_any = service.is_empty() || service == "SERVICE";
            assert!(is_there || is_any, "{page}: there is no service `{service}`");
            count += 1;
        }
    }
    assert!(count >= 5, "only {count} images were found");
}

#[test]
fn the_configuration_that_the_readme_shows_is_one() {
    let readme = text("README.md");
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        Config::parse("Cargo.toml", block.split("```").next().unwrap()).unwrap();
    }
}

/// The texts between quotes that begin with our own command, `{…}` in them being something or other.
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
fn what_a_finding_says_to_type_can_be_typed() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = ["verify", "doctor", "smoked", "linters", "check"];
    let mut paths: Vec<_> =
        files.iter().map(|name| source.join("task").join(format!("{name}.rs"))).collect();
    paths.extend(files::below(&source.join("../plan/src/verify")).unwrap());
    let mut tried = 0;
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in commands(&text).iter().flat_map(|line| line.split(" && ")) {
            let words = line.trim_start_matches("cargo ").split_whitespace();
            let parsed = <xtask::cli::Cli as clap::Parser>::try_parse_from(words);
            assert!(parsed.is_ok(), "{}: {line}", path.display());
            tried += 1;
        }
    }
    assert!(tried >= 20, "only {tried} commands were found");
}

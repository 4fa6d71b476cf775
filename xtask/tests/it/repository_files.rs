//! The workflows, the pages and the compose file of this repository name only things that exist.

use std::collections::BTreeSet;

use crate::support::pages::{pages, quoted, text};
use crate::support::workflows::{self, root, steps, texts, workflow, yaml};
use clap::CommandFactory;
use serde_json::json;
use xtask::cli::Cli;
use xtask::model::config::Config;
use xtask::model::facts::Facts;
use xtask::outside::files;
use xtask::outside::gather::services_and_config;

/// The facts from the files of this repository.
fn facts() -> Facts {
    let (config, services) = services_and_config(root(), &root().join("target")).unwrap();
    Facts::of_files(config, services)
}

#[test]
fn a_pull_request_writes_nothing() {
    for name in workflows::names() {
        let workflow = workflow(root(), &name);
        if workflow["on"].get("pull_request").is_none() {
            continue;
        }
        for (id, job) in workflows::jobs(&workflow) {
            let mut levels = texts(&job["permissions"]).map(|(_, level)| level);
            assert!(levels.all(|level| level == "read"), "{name}: {id}");
        }
    }
}

#[test]
fn the_compose_file_matches_the_plan() {
    let facts = facts();
    let compose = yaml(&root().join("compose.yaml"));
    let services = compose["services"].as_object().unwrap();
    let names: Vec<&str> = facts.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(services.keys().collect::<Vec<_>>(), names);
    let (repository, _) = facts.repository().unwrap();
    for (name, service) in services {
        let image = format!("{}/{repository}/{name}", facts.config.registry);
        assert_eq!(service["image"], format!("{image}:${{AUTOGIT_TAG:-latest}}"));
        assert_eq!(service["build"]["context"], format!("services/{name}"));
        let tiers =
            ["cache", "dev", "latest"].map(|tag| format!("type=registry,ref={image}:{tag}"));
        assert_eq!(service["build"]["cache_from"], json!(tiers));
    }
}

/// What the action writes to the job's environment, and to its log.
fn actions_cache(variables: &[(&str, &str)]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    std::fs::write(&file, "").unwrap();
    let mut command = std::process::Command::new("node");
    command.arg(root().join(".github/actions/actions-cache/main.js")).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("GITHUB_ENV", &file);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (std::fs::read_to_string(file).unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_actions_cache_token_is_masked() {
    if std::process::Command::new("node").arg("--version").output().is_err() {
        eprintln!("nothing is tested here: `node` is missing");
        return;
    }
    let token = ("ACTIONS_RUNTIME_TOKEN", "secret");
    let (environment, log) = actions_cache(&[token, ("ACTIONS_RESULTS_URL", "https://a/")]);
    assert_eq!(environment, "ACTIONS_RUNTIME_TOKEN=secret\nACTIONS_RESULTS_URL=https://a/\n");
    assert_eq!(log, "::add-mask::secret\n");
    let (environment, log) = actions_cache(&[token]);
    assert_eq!(environment, "ACTIONS_RUNTIME_TOKEN=secret\n");
    assert!(log.contains("::warning::ACTIONS_RESULTS_URL is not set"), "{log}");
    // A line break would set another variable.
    let (environment, _) = actions_cache(&[("ACTIONS_RESULTS_URL", "https://a/\nPATH=/x")]);
    assert_eq!(environment, "");
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
fn the_readme_quotes_the_figures_of_the_page() {
    let (readme, page) = (text("README.md"), text("docs/performance.md"));
    let quoting = readme.split("\n- ").find(|item| item.contains("(docs/performance.md)")).unwrap();
    let quoted = figures(quoting);
    assert!(quoted.len() >= 4, "{quoted:?}");
    // The page lists requests in a separate column.
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
fn only_two_actions_of_others_are_used() {
    let mut used = BTreeSet::new();
    for path in files::below(&root().join(".github")).unwrap() {
        if path.extension().is_none_or(|extension| extension != "yml") {
            continue;
        }
        let file = yaml(&path);
        let jobs = file["jobs"].as_object().into_iter().flat_map(|jobs| jobs.values());
        for step in jobs.chain([&file["runs"]]).flat_map(steps) {
            let action = step["uses"].as_str().filter(|name| !name.starts_with("$/"));
            used.extend(action.map(|name| name.split('@').next().unwrap().to_owned()));
        }
    }
    assert_eq!(
        used,
        BTreeSet::from(["Swatinem/rust-cache", "actions/checkout"].map(str::to_owned))
    );
}

#[test]
fn workflows_that_publish_run_one_at_a_time() {
    for name in ["docker-dev-build.yml", "release.yml", "prune.yml"] {
        let line = json!({ "group": "publish", "queue": "max", "cancel-in-progress": false });
        assert_eq!(workflow(root(), name)["concurrency"], line, "{name}");
    }
}

/// Every long option of a command and of those below it.
fn options(command: &clap::Command, found: &mut BTreeSet<String>) {
    found.extend(command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned));
    command.get_subcommands().for_each(|inner| options(inner, found));
}

#[test]
fn an_option_that_a_page_names_is_there() {
    // Options of Dockerfiles, apt-get, buildx and clap.
    let others = ["link", "no-install-recommends", "output", "help"];
    let mut known = BTreeSet::from(others.map(str::to_owned));
    options(&Cli::command(), &mut known);
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
    let facts = facts();
    let (repository, _) = facts.repository().unwrap();
    let images = format!("{}/{repository}/", facts.config.registry);
    let mut count = 0;
    for (page, text) in pages() {
        for rest in text.split(&images).skip(1) {
            let service = rest.split(|c: char| c != '-' && !c.is_ascii_alphanumeric()).next();
            let service = service.unwrap_or_default();
            let is_there = facts.services.iter().any(|known| known.name.as_str() == service);
            // The common prefix of all images, or a placeholder.
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

//! Every `cargo xtask` line in a workflow, the compose file or a page is one that the command line
//! accepts, and all of them keep to the rules of `plan::workflow`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;

use xtask::model::facts::{Engine, Environment, Facts, SCHEMA};
use xtask::outside::gather::services_and_config;
use xtask::task::repository::judged;

/// The facts that stand in the files of this repository.
fn facts(root: &Path) -> Facts {
    let (config, services) = services_and_config(root, &root.join("target")).unwrap();
    Facts {
        schema: SCHEMA,
        config,
        services,
        git: None,
        environment: Environment::default(),
        engine: Engine::Unasked,
        lab: None,
        tiers: std::collections::BTreeMap::default(),
        published: std::collections::BTreeMap::default(),
    }
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
        xtask::outside::files::write_atomically(&root.path().join(path), changed.as_bytes())
            .unwrap();
        let judged = judged(root.path(), &facts(workspace)).unwrap();
        let rules: Vec<_> = judged["workflows"].breaches.iter().map(|breach| breach.rule).collect();
        assert_eq!(rules, [rule], "{to}");
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
    paths.extend(xtask::outside::files::below(&source.join("plan/verify")).unwrap());
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

//! What `verify` says of the repository's own files beside the Dockerfiles: workflows, actions, the
//! compose file and pages, by our rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{CommandFactory, Parser};

use crate::cli::Cli;
use crate::model::facts::Facts;
use crate::outside::files;
use crate::plan::verify::{Finding, Level};
use crate::plan::workflow::{self, Breach, CommandLine, File, Judged};

use super::Start;

/// The findings of all files; one pass for each kind of file without any.
pub(super) fn findings(start: &Start, facts: &Facts) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (kind, judged) in judged(&start.root, facts)? {
        if judged.breaches.is_empty() {
            let detail = match judged.lines {
                0 => "our own rules".to_owned(),
                lines => format!("our own rules; {lines} commands can be typed"),
            };
            findings.push(Finding::new(kind, "repository", Level::Pass, detail));
        }
        findings.extend(judged.breaches.into_iter().map(finding));
    }
    Ok(findings)
}

pub(super) const FOLDER: &str = ".github";

/// Every file judged by our rules, by its kind; a kind without a file is left out.
pub fn judged(root: &Path, facts: &Facts) -> Result<BTreeMap<&'static str, Judged>> {
    let command_line = CommandLine { accepts: &accepts, variables: variables() };
    let expected = workflow::expected(facts);
    let mut kinds: BTreeMap<&'static str, Judged> = BTreeMap::new();
    for path in paths(root)? {
        let inside = shown(root, &path);
        let text = files::read(&path)?;
        let file = File { path: &inside, text: &text };
        let (kind, judged) = match path.file_stem().and_then(|stem| stem.to_str()) {
            _ if inside.starts_with(".github/workflows/") => {
                ("workflows", workflow::workflow(file, &command_line))
            }
            Some("action") if inside.starts_with(FOLDER) => ("actions", workflow::action(file)),
            _ if path.extension().is_some_and(|extension| extension == "md") => {
                ("pages", workflow::page(file, &command_line))
            }
            _ if COMPOSE.contains(&inside.as_str()) => {
                ("compose", workflow::compose(file, &expected))
            }
            _ => continue,
        };
        let all = kinds.entry(kind).or_default();
        all.lines += judged.lines;
        all.breaches.extend(judged.breaches);
    }
    Ok(kinds)
}

/// The names by which `docker compose` finds its file.
const COMPOSE: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

fn paths(root: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = files::below(&root.join(FOLDER))?;
    paths.extend(files::below(&root.join("docs"))?);
    let extensions = ["yml", "yaml", "md"];
    paths.retain(|path| {
        path.extension().is_some_and(|extension| extensions.iter().any(|one| extension == *one))
    });
    let at_root = ["README.md"].iter().chain(&COMPOSE).map(|name| root.join(name));
    paths.extend(at_root.filter(|path| path.is_file()));
    Ok(paths)
}

/// The path below the root, with `/` between its parts.
fn shown(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// Whether the words can stand after `cargo xtask`; asking for help is fine.
fn accepts(words: &[String]) -> Result<(), String> {
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion,
    };
    let line = std::iter::once("xtask").chain(words.iter().map(String::as_str));
    match Cli::try_parse_from(line) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand => Ok(()),
            _ => {
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default();
                Err(first.trim_start_matches("error: ").to_owned())
            }
        },
    }
}

/// The environment variables that stand for options of any command.
fn variables() -> BTreeSet<String> {
    fn collect(command: &clap::Command, found: &mut BTreeSet<String>) {
        let named = command.get_arguments().filter_map(clap::Arg::get_env);
        found.extend(named.map(|name| name.to_string_lossy().into_owned()));
        command.get_subcommands().for_each(|inner| collect(inner, found));
    }
    let mut found = BTreeSet::new();
    collect(&Cli::command(), &mut found);
    found
}

fn finding(breach: Breach) -> Finding {
    let detail = format!("{}: {}", breach.rule, breach.detail);
    let subject = format!("{}:{}", breach.file, breach.line);
    Finding::new(subject, "repository", Level::Fail, detail).hint(breach.remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_the_variables_that_stand_for_them_are_known() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(accepts(&words("build web --channel pr")), Ok(()));
        assert_eq!(accepts(&words("prune --help")), Ok(()));
        assert_eq!(
            accepts(&words("build --chanel pr")).unwrap_err(),
            "unexpected argument '--chanel' found"
        );
        assert!(variables().contains("XTASK_DRY_RUN"));
    }
}

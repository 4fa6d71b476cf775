//! Rules about the build context: that there is an ignore file, and that it keeps out what no image
//! should have. They stand at the first instruction that takes files from the context.

use std::collections::BTreeSet;

use xtask_model::ignore_file::IgnoreFile;

use super::view::{Origin, Step, View};
use super::{Found, Rule};

pub const NO_IGNORE_FILE: Rule = Rule {
    name: "no-ignore-file",
    why: "without a .dockerignore every file of the folder can reach the builder, and change a layer",
    find: no_ignore_file,
};

fn no_ignore_file(view: &View<'_>) -> Vec<Found> {
    let line = line(view).filter(|_| view.context.ignore_file.is_none());
    let new = |line| {
        Found::new(
            line,
            "there is no .dockerignore beside the Dockerfile",
            "write a .dockerignore: `*`, then `!NAME` for each file and folder that is copied",
        )
    };
    line.map(new).into_iter().collect()
}

pub const PRIVATE_IN_CONTEXT: Rule = Rule {
    name: "private-in-context",
    why: "`.git`, `.env` and what builds leave behind are large, change all the time, or are secret",
    find: private_in_context,
};

fn private_in_context(view: &View<'_>) -> Vec<Found> {
    // Without an ignore file there is one finding, not two.
    let Some((line, text)) = line(view).zip(view.context.ignore_file.as_deref()) else {
        return Vec::new();
    };
    // A fresh checkout has no `.env`, and says nothing about those of others.
    let mut paths: BTreeSet<String> = view.context.paths.iter().cloned().collect();
    paths.insert(".env".to_owned());
    let names = let_in(text, &paths);
    if names.is_empty() {
        return Vec::new();
    }
    let remedy = format!("add to .dockerignore: {}", names.join(" "));
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    vec![Found::new(line, format!(".dockerignore lets {} in", names.join(", ")), remedy)]
}

/// Where files are taken from the context for the first time.
fn line(view: &View<'_>) -> Option<usize> {
    let takes = |step: &&Step<'_>| match step.copied_from() {
        Some(Origin::Context) => {
            let (sources, _) = step.copied();
            sources.iter().any(|source| !source.starts_with("<<") && !source.contains("://"))
        }
        Some(Origin::Other(_)) => false,
        None => {
            let mounts = step.instruction.mounts();
            mounts.iter().any(|mount| mount.kind == "bind" && mount.from.is_none())
        }
    };
    view.stages.iter().flat_map(|stage| &stage.steps).find(takes).map(Step::line)
}

/// Those of `paths` that no image should have, and that an ignore file of this text lets in.
fn let_in<'a>(text: &str, paths: &'a BTreeSet<String>) -> Vec<&'a str> {
    let file = IgnoreFile::parse(text);
    // `.git/*` keeps out all there is in it.
    let is_out = |path: &str| file.keeps_out(path) || file.keeps_out(&format!("{path}/anything"));
    let private = paths.iter().map(String::as_str).filter(|path| is_private(path));
    private.filter(|path| !is_out(path)).collect()
}

/// Whether a path of a context is one that no image should have.
pub fn is_private(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_example =
        ["example", "sample", "template", "dist"].iter().any(|end| name.ends_with(end));
    matches!(name, ".git" | "target" | ".env" | "node_modules")
        || (name.starts_with(".env.") && !is_example)
}

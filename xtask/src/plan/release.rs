//! Releases: what a version may be, which tags it gets, and which floating tags move to it.

use semver::Version;
use serde::Serialize;

use crate::model::failure::Failure;
use crate::model::reference::Tag;

use super::publish::Tags;

/// What becomes of one floating tag, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Floating {
    pub tag: Tag,
    pub moves: bool,
    pub reason: String,
}

/// Reads a version as a person types it, with or without `v`. What semantic versioning allows and a
/// tag cannot carry is refused, and so is what people type by mistake.
pub fn version(text: &str) -> Result<Version, Failure> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let wrong = |problem: String| {
        Failure::usage(format!("`{text}` is not a version: {problem}"))
            .hint("cargo xtask release v1.2.3")
    };
    if text.starts_with('V') {
        return Err(wrong(format!(
            "`V` is upper case; did you mean `v{}`?",
            bare.trim_start_matches('V')
        )));
    }
    let parsed = Version::parse(bare).map_err(|error| wrong(explained(bare, &error)))?;
    if !parsed.build.is_empty() {
        return Err(wrong(format!(
            "`+{}` is build metadata, which a tag cannot carry",
            parsed.build
        )));
    }
    if parsed.pre.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(wrong(format!("`{}` has upper-case letters", parsed.pre)));
    }
    Tag::new(format!("v{parsed}")).map_err(|error| wrong(error.problem))?;
    Ok(parsed)
}

/// What is wrong with a version, in words that show the mistake.
fn explained(text: &str, error: &semver::Error) -> String {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    if let Some(part) = parts.iter().find(|part| part.len() > 1 && part.starts_with('0')) {
        let number = part.trim_start_matches('0');
        let number = if number.is_empty() { "0" } else { number };
        return format!("`{part}` has a leading zero; write `{number}`");
    }
    match parts.len() {
        1 | 2 if parts.iter().all(|part| part.parse::<u64>().is_ok()) => {
            format!(
                "it has {} of three parts; write `v{core}{}`",
                parts.len(),
                ".0".repeat(3 - parts.len())
            )
        }
        4.. => format!("it has {} parts, not three", parts.len()),
        _ => error.to_string(),
    }
}

/// The stable versions and pre-releases among the tags of a repository.
pub fn published(tags: &[Tag]) -> Vec<Version> {
    tags.iter().filter_map(|tag| Version::parse(tag.as_str().strip_prefix('v')?).ok()).collect()
}

/// The exact tags of a version: itself and its commit.
pub fn exact(version: &Version, revision: &str) -> Result<Vec<Tag>, Failure> {
    let tag = |text: String| Tag::new(text).map_err(|error| Failure::usage(error.to_string()));
    Ok(vec![tag(format!("v{version}"))?, tag(revision.to_owned())?])
}

/// Which floating tags a version moves, when `published` are there already. A tag moves to the highest
/// stable version of its line, so that whatever order versions come in, it ends there.
pub fn floating(version: &Version, published: &[Version]) -> Vec<Floating> {
    if !version.pre.is_empty() {
        return Vec::new();
    }
    // How many leading numbers the versions of a line share.
    let (major, minor) = (version.major, version.minor);
    let lines = [(format!("{major}.{minor}"), 2), (major.to_string(), 1), ("latest".to_owned(), 0)];
    let decide = |(name, shared): (String, usize)| {
        let line = |version: &Version| {
            [version.major, version.minor].into_iter().take(shared).collect::<Vec<_>>()
        };
        let in_line = |other: &&Version| other.pre.is_empty() && line(other) == line(version);
        let stable = published.iter().filter(in_line);
        let highest = stable.max().filter(|highest| *highest > version);
        let (moves, reason) = match highest {
            Some(highest) => (false, format!("v{highest} is higher")),
            None => (true, format!("v{version} is the highest stable version of its line")),
        };
        Some(Floating { tag: Tag::new(name).ok()?, moves, reason })
    };
    lines.into_iter().filter_map(decide).collect()
}

/// All tags of a publication of `version`.
pub fn tags(version: &Version, revision: &str, published: &[Version]) -> Result<Tags, Failure> {
    let moving = floating(version, published).into_iter().filter(|floating| floating.moves);
    Ok(Tags {
        exact: exact(version, revision)?,
        floating: moving.map(|floating| floating.tag).collect(),
    })
}

/// The next version to release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Next {
    Major,
    Minor,
    Patch,
    /// What the commits since the last release ask for, by their Conventional Commits
    Auto,
}

/// The version after `last`, for `auto` by the messages of the commits since.
///
/// Source: conventionalcommits.org 1.0.0. Before 1.0.0 a breaking change raises the minor version, as
/// Cargo reads versions.
pub fn next(last: Option<&Version>, next: Next, messages: &[String]) -> Version {
    let Some(last) = last else { return Version::new(0, 1, 0) };
    let (major, minor, patch) = (last.major, last.minor, last.patch);
    // A pre-release is followed by what it prepares.
    if !last.pre.is_empty() && next != Next::Major {
        return Version::new(major, minor, patch);
    }
    let next = match next {
        Next::Auto => wanted(messages, major == 0),
        other => other,
    };
    match next {
        Next::Major => Version::new(major + 1, 0, 0),
        Next::Minor => Version::new(major, minor + 1, 0),
        Next::Patch | Next::Auto => Version::new(major, minor, patch + 1),
    }
}

fn wanted(messages: &[String], before_one: bool) -> Next {
    let kind = |message: &str| message.split(':').next().unwrap_or_default().trim().to_owned();
    let breaks = |message: &String| {
        kind(message).ends_with('!')
            || message.lines().any(|line| {
                line.starts_with("BREAKING CHANGE: ") || line.starts_with("BREAKING-CHANGE: ")
            })
    };
    let adds = |message: &String| kind(message) == "feat" || kind(message).starts_with("feat(");
    if messages.iter().any(breaks) {
        if before_one { Next::Minor } else { Next::Major }
    } else if messages.iter().any(adds) {
        Next::Minor
    } else {
        Next::Patch
    }
}

/// The section of a changelog that is about `version`: what stands below its heading, up to the next
/// heading of the same level.
pub fn changelog_section(text: &str, version: &Version) -> Option<String> {
    let names = [format!("v{version}"), version.to_string()];
    let heading = |line: &str| line.starts_with("## ");
    let is_ours = |line: &str| {
        let mut words = line.trim_start_matches('#').split([' ', '[', ']', '(', ')']);
        words.any(|word| names.iter().any(|name| name == word))
    };
    let mut lines = text.lines().skip_while(|line| !(heading(line) && is_ours(line)));
    lines.next()?;
    let body: Vec<&str> = lines.take_while(|line| !heading(line)).collect();
    let body = body.join("\n").trim().to_owned();
    (!body.is_empty()).then_some(body)
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;

//! Tags: those that are expected are there, those that must agree do, and nobody knows the rest.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use crate::release;
use crate::retention::classify::{Class, classify};
use xtask_model::reference::Tag;

use super::package::Subject;
use super::{Finding, Level};

/// The tag of the newest image of the dev branch.
pub(super) fn dev() -> Option<Tag> {
    Tag::new("dev").ok()
}

/// Tags to be looked up first: `dev`, `cache`, and each floating tag with the version that it belongs to.
pub fn wanted(tags: &[Tag]) -> Vec<Tag> {
    let mut names: BTreeSet<String> = ["dev", "cache", "latest"].map(str::to_owned).into();
    for (name, version) in floating(tags) {
        names.extend([name, format!("v{version}")]);
    }
    tags.iter().filter(|tag| names.contains(tag.as_str())).cloned().collect()
}

/// The tags below which everything is read: those that are judged, and the cache.
pub fn read(tags: &[Tag]) -> Vec<Tag> {
    let cache = tags.iter().filter(|tag| tag.as_str() == "cache").cloned();
    judged(tags).into_iter().chain(cache).collect()
}

/// The exact tags of a commit's images.
pub fn of_commit(revision: &str, tags: &[Tag]) -> Vec<Tag> {
    let names = [format!("dev-{revision}"), revision.to_owned()];
    tags.iter().filter(|tag| names.iter().any(|name| name == tag.as_str())).cloned().collect()
}

/// The tags whose images are judged: where several agree, one of them.
pub fn judged(tags: &[Tag]) -> Vec<Tag> {
    let highest = highest(tags).map(|version| format!("v{version}"));
    let is_judged = |tag: &&Tag| {
        tag.as_str() == "dev"
            || highest.as_deref().map_or(tag.as_str() == "latest", |name| tag.as_str() == name)
    };
    tags.iter().filter(is_judged).cloned().collect()
}

fn highest(tags: &[Tag]) -> Option<Version> {
    release::published(tags).into_iter().filter(|version| version.pre.is_empty()).max()
}

/// The floating tags that a version may have.
fn lines(version: &Version) -> [String; 3] {
    let Version { major, minor, .. } = version;
    [format!("{major}.{minor}"), major.to_string(), "latest".to_owned()]
}

/// Each floating tag that a published version asks for, with the highest stable version of its line.
fn floating(tags: &[Tag]) -> BTreeMap<String, Version> {
    let mut highest = BTreeMap::new();
    let stable = release::published(tags).into_iter().filter(|version| version.pre.is_empty());
    for version in stable {
        for name in lines(&version) {
            let known = highest.entry(name).or_insert_with(|| version.clone());
            *known = known.clone().max(version.clone());
        }
    }
    highest
}

pub(super) fn findings(subject: &Subject<'_>, tags: &[Tag]) -> Vec<Finding> {
    let mut findings = vec![expected(subject, tags)];
    findings.extend(unread(subject));
    findings.extend(dev_agrees(subject));
    findings.extend(released(subject, tags));
    findings.extend(unreleased(subject, tags));
    findings.extend(strays(subject, tags));
    findings
}

fn expected(subject: &Subject<'_>, tags: &[Tag]) -> Finding {
    if tags.iter().any(|tag| tag.as_str() == "dev") {
        return subject.finding("tags", Level::Pass, format!("`dev` among {}", tags.len()));
    }
    subject.finding("tags", Level::Fail, "`dev` is not published").remedy("cargo xtask push")
}

/// `dev` is the image of its own commit, and of the newest one that is published.
fn dev_agrees(subject: &Subject<'_>) -> Vec<Finding> {
    let package = subject.package;
    let (Some(tag), Some(there)) = (dev(), dev().and_then(|tag| package.points.get(&tag))) else {
        return Vec::new();
    };
    // An unchanged service keeps its image, and the newer commit's tag points at it too; one that
    // could not be looked up says nothing.
    let newer = package.newer.as_ref().and_then(|tag| Some((tag, package.points.get(tag)?)));
    if let Some((newer, _)) = newer.filter(|(_, theirs)| *theirs != there) {
        let detail = format!("`dev` is older than `{newer}`, which is published too");
        let commit = newer.as_str().trim_start_matches("dev-");
        return vec![
            subject
                .of(&tag, "tags agree", Level::Fail, detail)
                .remedy(format!("git checkout {commit} && cargo xtask push")),
        ];
    }
    let Some(revision) = super::image::revision(package, there) else { return Vec::new() };
    let exact = Tag::new(format!("dev-{revision}")).ok();
    let named = exact.as_ref().and_then(|exact| package.points.get(exact));
    vec![match (named, exact) {
        (Some(named), _) if named == there => {
            subject.of(&tag, "tags agree", Level::Pass, format!("it is `dev-{}`", short(&revision)))
        }
        (Some(_), Some(exact)) => subject
            .of(&tag, "tags agree", Level::Fail, format!("it is not the image of `{exact}`"))
            .remedy("git commit --allow-empty && cargo xtask push --rebuild"),
        // An unchanged service keeps the image of the commit that changed it last.
        _ => subject.of(&tag, "tags agree", Level::Skip, "its own commit's tag has been pruned"),
    }]
}

/// Tags that could not be looked up: of them nobody knows anything.
fn unread(subject: &Subject<'_>) -> Vec<Finding> {
    let unknown = |(tag, why): (&Tag, &String)| {
        subject.of(tag, "tags", Level::Unknown, why.clone()).remedy("cargo xtask doctor")
    };
    subject.package.unread.iter().map(unknown).collect()
}

/// Each floating tag is the highest stable version of its line, and the commit of the highest version
/// has its tag.
fn released(subject: &Subject<'_>, tags: &[Tag]) -> Vec<Finding> {
    let Some(highest) = highest(tags) else {
        return vec![subject.finding("release", Level::Skip, "no version is published")];
    };
    let mut pairs: Vec<(String, Version)> = floating(tags).into_iter().collect();
    let commit = Tag::new(format!("v{highest}")).ok();
    let releases = &subject.package.releases;
    let commit = commit.and_then(|tag| releases.get(&tag));
    // The commit's own tag is the first version's that was released from it, maybe a pre-release's.
    let only = |commit: &&String| releases.values().filter(|other| other == commit).count() == 1;
    pairs.extend(commit.filter(only).map(|commit| (commit.clone(), highest.clone())));
    let wrong: Vec<Finding> =
        pairs.iter().filter_map(|(name, version)| disagrees(subject, name, version)).collect();
    if !wrong.is_empty() {
        return wrong;
    }
    let names =
        pairs.iter().filter(|(_, version)| *version == highest).map(|(name, _)| short(name));
    let detail = format!("v{highest} is {}", names.collect::<Vec<_>>().join(", "));
    vec![subject.finding("tags agree", Level::Pass, detail)]
}

/// What is wrong with a tag that should be a version.
fn disagrees(subject: &Subject<'_>, name: &str, version: &Version) -> Option<Finding> {
    let package = subject.package;
    let tag = Tag::new(name).ok()?;
    let exact = Tag::new(format!("v{version}")).ok()?;
    if package.unread.contains_key(&tag) || package.unread.contains_key(&exact) {
        return None;
    }
    let shown = short(name);
    let detail = match package.points.get(&tag) {
        Some(there) if package.points.get(&exact) == Some(there) => return None,
        Some(there) => format!("`{shown}` is {}, and not v{version}", there.short()),
        None => format!("`{shown}` is missing, and should be v{version}"),
    };
    let remedy = format!("cargo xtask release v{version}");
    Some(subject.finding("tags agree", Level::Fail, detail).remedy(remedy))
}

/// Versions that git has and the registry has not, since the first one that was published.
fn unreleased(subject: &Subject<'_>, tags: &[Tag]) -> Option<Finding> {
    let published = release::published(tags);
    let first = published.iter().min()?;
    let in_git: Vec<Tag> = subject.package.releases.keys().cloned().collect();
    let mut missing = release::published(&in_git);
    missing.retain(|version| version > first && !published.contains(version));
    let highest = missing.iter().max()?;
    let detail = match missing.len() {
        1 => format!("v{highest} is tagged in git, and has no image"),
        count => {
            format!("{count} versions are tagged in git and have no image, such as v{highest}")
        }
    };
    Some(
        subject
            .finding("release", Level::Warn, detail)
            .remedy(format!("cargo xtask release v{highest}")),
    )
}

/// Tags that no rule of retention knows.
fn strays(subject: &Subject<'_>, tags: &[Tag]) -> Option<Finding> {
    let policy = subject.config().retention.policy();
    let is_stray = |tag: &&str| classify(tag, &policy) == Class::Unknown;
    let strays: Vec<&str> = tags.iter().map(Tag::as_str).filter(is_stray).collect();
    let (first, more) = (strays.first()?, strays.len() - 1);
    let detail = match more {
        0 => format!("nobody knows `{first}`; it is kept for ever"),
        more => format!("nobody knows `{first}` and {more} more; they are kept for ever"),
    };
    Some(
        subject
            .finding("stray tags", Level::Warn, detail)
            .hint("add it to `retention.keep`, or delete it by hand"),
    )
}

/// A commit's hash as people write it; any other text as it is.
fn short(text: &str) -> &str {
    let is_hash = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { text.get(..12).unwrap_or(text) } else { text }
}

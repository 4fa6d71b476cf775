//! Judges the tags of a package: expected tags exist, related tags agree, and the rest is unrecognized.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use crate::release;
use crate::retention::classify::{Class, classify};
use xtask_model::reference::Tag;

use super::image;
use super::review::Review;
use crate::finding::{Finding, Level};

/// The tags to look up first: `dev`, `cache`, and each floating tag with its version.
pub fn wanted(tags: &[Tag]) -> Vec<Tag> {
    let mut names: BTreeSet<String> =
        [Tag::dev(), Tag::cache(), Tag::latest()].map(String::from).into();
    for (name, version) in floating(tags) {
        names.extend([name, format!("v{version}")]);
    }
    tags.iter().filter(|tag| names.contains(tag.as_str())).cloned().collect()
}

/// The tags whose images are read completely: the judged ones and the cache.
pub fn read(tags: &[Tag]) -> Vec<Tag> {
    let cache = tags.iter().filter(|tag| **tag == Tag::cache()).cloned();
    judged(tags).into_iter().chain(cache).collect()
}

/// The exact tags of a commit's images.
pub fn of_commit(revision: &str, tags: &[Tag]) -> Vec<Tag> {
    let is_its = |tag: &&Tag| tag.as_str() == revision || tag.commit() == Some(revision);
    tags.iter().filter(is_its).cloned().collect()
}

/// The tags whose images are judged: `dev` and the highest release, or else `latest`.
pub fn judged(tags: &[Tag]) -> Vec<Tag> {
    let release = highest(tags).map_or(Tag::latest().to_string(), |version| format!("v{version}"));
    let is_judged = |tag: &&Tag| tag.is_dev() || tag.as_str() == release;
    tags.iter().filter(is_judged).cloned().collect()
}

fn highest(tags: &[Tag]) -> Option<Version> {
    release::published(tags).into_iter().filter(|version| version.pre.is_empty()).max()
}

/// The floating tags that a version may have.
fn lines(version: &Version) -> [String; 3] {
    let Version { major, minor, .. } = version;
    [format!("{major}.{minor}"), major.to_string(), Tag::latest().to_string()]
}

/// Each floating tag with the highest stable version that it should point to.
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

pub(super) fn findings(review: &Review<'_>, tags: &[Tag]) -> Vec<Finding> {
    let mut findings = vec![expected(review, tags)];
    findings.extend(unread(review));
    findings.extend(dev_agrees(review));
    findings.extend(released(review, tags));
    findings.extend(unreleased(review, tags));
    findings.extend(strays(review, tags));
    findings
}

fn expected(review: &Review<'_>, tags: &[Tag]) -> Finding {
    if tags.iter().any(Tag::is_dev) {
        return review.finding(
            "tags",
            Level::Pass,
            format!("{} tags, including `dev`", tags.len()),
        );
    }
    review.finding("tags", Level::Fail, "`dev` is not published").remedy("cargo xtask push")
}

/// `dev` must be the image of the commit it names, and no newer commit may be published.
fn dev_agrees(review: &Review<'_>) -> Vec<Finding> {
    let package = review.package;
    let tag = Tag::dev();
    let Some(there) = package.points.get(&tag) else { return Vec::new() };
    // The tag of a newer commit may point to the same image: the service did not change.
    let newer = package.newer.as_ref().and_then(|tag| Some((tag, package.points.get(tag)?)));
    if let Some((newer, _)) = newer.filter(|(_, theirs)| *theirs != there) {
        let detail = format!("`dev` is older than the published `{newer}`");
        let commit = newer.commit().unwrap_or(newer.as_str());
        return vec![
            review
                .of_tag(&tag, "tags agree", Level::Fail, detail)
                .remedy(format!("git checkout {commit} && cargo xtask push")),
        ];
    }
    let Some(revision) = image::revision(package, there) else { return Vec::new() };
    let exact = Tag::dev_commit(&revision).ok();
    let named = exact.as_ref().and_then(|exact| package.points.get(exact));
    vec![match (named, exact) {
        (Some(named), _) if named == there => review.of_tag(
            &tag,
            "tags agree",
            Level::Pass,
            format!("the same image as `dev-{}`", short(&revision)),
        ),
        (Some(_), Some(exact)) => review
            .of_tag(&tag, "tags agree", Level::Fail, format!("not the same image as `{exact}`"))
            .remedy("git commit --allow-empty && cargo xtask push --rebuild"),
        // An unchanged service keeps the image of an older commit, whose tag may have expired.
        _ => review.of_tag(&tag, "tags agree", Level::Skip, "the tag of its commit was pruned"),
    }]
}

/// Tags that could not be looked up.
fn unread(review: &Review<'_>) -> Vec<Finding> {
    let unknown = |(tag, why): (&Tag, &String)| {
        review.of_tag(tag, "tags", Level::Unknown, why.clone()).remedy("cargo xtask doctor")
    };
    review.package.unread.iter().map(unknown).collect()
}

/// Each floating tag must point to the highest stable version of its line, and the highest version must
/// also have the tag of its commit.
fn released(review: &Review<'_>, tags: &[Tag]) -> Vec<Finding> {
    let Some(highest) = highest(tags) else {
        return vec![review.finding("release", Level::Skip, "no release is published")];
    };
    let mut pairs: Vec<(String, Version)> = floating(tags).into_iter().collect();
    let commit = Tag::new(format!("v{highest}")).ok();
    let releases = &review.package.releases;
    let commit = commit.and_then(|tag| releases.get(&tag));
    // A commit with several versions has the tag of the first one, which may be a pre-release.
    let only = |commit: &&String| releases.values().filter(|other| other == commit).count() == 1;
    pairs.extend(commit.filter(only).map(|commit| (commit.clone(), highest.clone())));
    let wrong: Vec<Finding> =
        pairs.iter().filter_map(|(name, version)| disagrees(review, name, version)).collect();
    if !wrong.is_empty() {
        return wrong;
    }
    let names =
        pairs.iter().filter(|(_, version)| *version == highest).map(|(name, _)| short(name));
    let detail = format!("v{highest} has {}", names.collect::<Vec<_>>().join(", "));
    vec![review.finding("tags agree", Level::Pass, detail)]
}

/// The problem with a tag that should point to a version.
fn disagrees(review: &Review<'_>, name: &str, version: &Version) -> Option<Finding> {
    let package = review.package;
    let tag = Tag::new(name).ok()?;
    let exact = Tag::new(format!("v{version}")).ok()?;
    if package.unread.contains_key(&tag) || package.unread.contains_key(&exact) {
        return None;
    }
    let shown = short(name);
    let detail = match package.points.get(&tag) {
        Some(there) if package.points.get(&exact) == Some(there) => return None,
        Some(there) => format!("`{shown}` points to {}, not to v{version}", there.short()),
        None => format!("`{shown}` is missing and should point to v{version}"),
    };
    let remedy = format!("cargo xtask release v{version}");
    Some(review.finding("tags agree", Level::Fail, detail).remedy(remedy))
}

/// Versions that are tagged in git but not published, from the first published one on.
fn unreleased(review: &Review<'_>, tags: &[Tag]) -> Option<Finding> {
    let published = release::published(tags);
    let first = published.iter().min()?;
    let in_git: Vec<Tag> = review.package.releases.keys().cloned().collect();
    let mut missing = release::published(&in_git);
    missing.retain(|version| version > first && !published.contains(version));
    let highest = missing.iter().max()?;
    let detail = match missing.len() {
        1 => format!("v{highest} is tagged in git but has no image"),
        count => {
            format!("{count} versions are tagged in git but have no image, such as v{highest}")
        }
    };
    Some(
        review
            .finding("release", Level::Warn, detail)
            .remedy(format!("cargo xtask release v{highest}")),
    )
}

/// Tags that no retention rule recognizes.
fn strays(review: &Review<'_>, tags: &[Tag]) -> Option<Finding> {
    let policy = review.config().retention.policy();
    let is_stray = |tag: &&str| classify(tag, &policy) == Class::Unknown;
    let strays: Vec<&str> = tags.iter().map(Tag::as_str).filter(is_stray).collect();
    let (first, more) = (strays.first()?, strays.len() - 1);
    let detail = match more {
        0 => format!("unrecognized tag `{first}`, kept forever"),
        more => format!("unrecognized tags `{first}` and {more} more, kept forever"),
    };
    Some(
        review
            .finding("stray tags", Level::Warn, detail)
            .hint("add it to `retention.keep`, or delete it by hand"),
    )
}

/// A commit hash shortened to twelve digits; any other text unchanged.
fn short(text: &str) -> &str {
    let is_hash = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { text.get(..12).unwrap_or(text) } else { text }
}

//! Tags: those that are expected are there, those that must agree do, and nobody knows the rest.

use std::collections::BTreeMap;

use semver::Version;

use crate::model::reference::{Digest, Tag};
use crate::plan::release;
use crate::plan::retention::classify::{Class, classify};

use super::package::Subject;
use super::{Finding, Level};

/// The tag of the newest image of the dev branch.
pub(super) fn dev() -> Option<Tag> {
    Tag::new("dev").ok()
}

/// Tags to be looked up first: `dev`, `cache`, and the highest stable version with its floating tags.
pub fn wanted(tags: &[Tag]) -> Vec<Tag> {
    let mut names = vec!["dev".to_owned(), "cache".to_owned(), "latest".to_owned()];
    if let Some(highest) = highest(tags) {
        names.push(format!("v{highest}"));
        names.extend(lines(&highest));
    }
    tags.iter().filter(|tag| names.iter().any(|name| name == tag.as_str())).cloned().collect()
}

/// The exact tags of a commit's images.
pub fn of_commit(revision: &str, tags: &[Tag]) -> Vec<Tag> {
    let names = [format!("dev-{revision}"), revision.to_owned()];
    tags.iter().filter(|tag| names.iter().any(|name| name == tag.as_str())).cloned().collect()
}

/// The tags whose images are judged: where several agree, one of them.
pub(super) fn judged(tags: &[Tag]) -> Vec<Tag> {
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

/// The floating tags of the highest version.
fn lines(version: &Version) -> [String; 3] {
    let Version { major, minor, .. } = version;
    [format!("{major}.{minor}"), major.to_string(), "latest".to_owned()]
}

pub(super) fn findings(subject: &Subject<'_>, tags: &[Tag]) -> Vec<Finding> {
    let mut findings = vec![expected(subject, tags)];
    findings.extend(dev_agrees(subject));
    findings.extend(released(subject, tags));
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
    if let Some(newer) = &package.newer
        && package.points.get(newer) != Some(there)
    {
        let detail = format!("`dev` is older than `{newer}`, which is published too");
        let remedy = "cargo xtask push, from that commit";
        return vec![subject.of(&tag, "tags agree", Level::Fail, detail).remedy(remedy)];
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
            .remedy("cargo xtask push --rebuild, from a new commit"),
        // An unchanged service keeps the image of the commit that changed it last.
        _ => subject.of(&tag, "tags agree", Level::Skip, "its own commit's tag has been pruned"),
    }]
}

/// The highest version and what must agree with it.
fn released(subject: &Subject<'_>, tags: &[Tag]) -> Vec<Finding> {
    let Some(highest) = highest(tags) else {
        let detail = "no version is published";
        return vec![
            subject
                .finding("release", Level::Skip, detail)
                .remedy("cargo xtask release --next auto"),
        ];
    };
    let points: BTreeMap<&str, &Digest> =
        subject.package.points.iter().map(|(tag, digest)| (tag.as_str(), digest)).collect();
    let exact = points.get(format!("v{highest}").as_str()).copied();
    let remedy = format!("cargo xtask release v{highest}");
    let mut names: Vec<String> = lines(&highest).into();
    let revision = exact.and_then(|exact| super::image::revision(subject.package, exact));
    // The commit's own tag is the first version's that was released from it, maybe a pre-release's.
    let is_its = |revision: &String| points.get(revision.as_str()).copied() == exact;
    names.extend(revision.filter(is_its));
    let judge = |name: &String| match points.get(name.as_str()) {
        Some(there) if Some(*there) == exact => None,
        Some(there) => Some(format!("`{name}` is {}, and not v{highest}", there.short())),
        None => Some(format!("`{name}` is missing, and should be v{highest}")),
    };
    let wrong: Vec<String> = names.iter().filter_map(judge).collect();
    if wrong.is_empty() {
        let detail = format!(
            "v{highest} is {}",
            names.iter().map(|n| short(n)).collect::<Vec<_>>().join(", ")
        );
        return vec![subject.finding("tags agree", Level::Pass, detail)];
    }
    let finding =
        |detail: String| subject.finding("tags agree", Level::Fail, detail).remedy(remedy.clone());
    wrong.into_iter().map(finding).collect()
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
            .remedy("add it to `retention.keep`, or delete it by hand"),
    )
}

/// A commit's hash as people write it; any other text as it is.
fn short(text: &str) -> &str {
    let is_hash = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { text.get(..12).unwrap_or(text) } else { text }
}

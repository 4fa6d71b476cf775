//! One published image: whole, of the right platforms, labelled as git says, and not too large.

use crate::model::image_configuration::ImageConfiguration;
use crate::model::inputs::{INPUTS, Inputs};
use crate::model::inspection::Package;
use crate::model::lab::STAND_IN_LABEL;
use crate::model::manifest::{DescribedPlatform, ImageManifest, Manifest};
use crate::model::platform::Platform;
use crate::model::published::Relation;
use crate::model::quantity::bytes;
use crate::model::reference::{Digest, Reference, Tag};

use super::package::{REBUILD, Subject};
use super::{Finding, Level};

const REVISION: &str = "org.opencontainers.image.revision";
const SOURCE: &str = "org.opencontainers.image.source";
const VERSION: &str = "org.opencontainers.image.version";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// What an image says of itself under `key`: its index, else its first image.
fn said(package: &Package, digest: &Digest, key: &str) -> Option<String> {
    if let Some(Manifest::Index(index)) = package.manifest(digest)
        && let Some(text) = index.annotations.get(key)
    {
        return Some(text.clone());
    }
    let (.., image) = package.images(digest).into_iter().next()?;
    package.configuration(&image)?.config.labels.get(key).cloned()
}

/// The commit that an image names.
pub(super) fn revision(package: &Package, digest: &Digest) -> Option<String> {
    said(package, digest, REVISION)
}

pub(super) fn findings(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    match subject.package.manifest(digest) {
        Some(Manifest::Cache(_)) => {
            let detail = "a cache stands where the image should be";
            return vec![subject.of(tag, "kind", Level::Fail, detail).remedy(REBUILD)];
        }
        Some(Manifest::Other { media_type, .. }) => {
            let detail = format!("no image, but `{}`", media_type.escape_debug());
            return vec![subject.of(tag, "kind", Level::Fail, detail).remedy(REBUILD)];
        }
        _ => {}
    }
    let mut findings = closure(subject, tag, digest);
    let images = subject.package.images(digest);
    if images.is_empty() {
        return findings;
    }
    findings.extend(platforms(subject, tag, digest));
    findings.extend(labels(subject, tag, digest));
    findings.push(size(subject, tag, digest));
    findings
}

/// Everything it leads to is there.
fn closure(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let absent = subject.package.absent(digest);
    if absent.is_empty() {
        return vec![subject.of(tag, "closure", Level::Pass, "all it leads to is there")];
    }
    let finding = |absent: crate::model::inspection::Absent| {
        let digest = absent.digest.short().to_owned();
        match absent.unknown {
            None => {
                let detail = format!("the {} {digest} is gone", absent.what);
                subject.of(tag, "closure", Level::Fail, detail).remedy(REBUILD)
            }
            Some(why) => {
                let detail = format!("the {} {digest} cannot be looked at: {why}", absent.what);
                subject.of(tag, "closure", Level::Unknown, detail).remedy("cargo xtask doctor")
            }
        }
    };
    absent.into_iter().map(finding).collect()
}

/// The platforms that are configured, and each image is for the one that its index says.
fn platforms(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let own = subject.config().service(&subject.service.name);
    let configured = own.platforms.unwrap_or_else(|| subject.config().platforms.clone());
    let wanted: Vec<Platform> = if configured.is_empty() {
        subject.own_platform.cloned().into_iter().collect()
    } else {
        configured
    };
    let images = subject.package.images(digest);
    let platform = |entry: &Option<crate::model::manifest::Descriptor>, image: &ImageManifest| {
        let configuration = subject.package.configuration(image);
        let of_configuration = configuration.map(|found| described(&found));
        let of_entry = entry.as_ref().and_then(|entry| entry.platform.clone());
        (of_entry.or_else(|| of_configuration.clone()), of_configuration)
    };
    let mut findings = Vec::new();
    for (entry, _, image) in &images {
        if let (Some(said), Some(is)) = platform(entry, image)
            && (said.os != is.os || said.architecture != is.architecture)
        {
            let detail = format!("the index says {said}, and the image is for {is}");
            findings.push(subject.of(tag, "platform", Level::Fail, detail).remedy(REBUILD));
        }
    }
    for wanted in &wanted {
        let is_there = images.iter().any(|(entry, _, image)| {
            platform(entry, image).0.is_some_and(|found| found.is(wanted))
        });
        findings.push(if is_there {
            subject.of(tag, "platform", Level::Pass, wanted.to_string())
        } else {
            let detail = format!("there is no image for {wanted}");
            subject.of(tag, "platform", Level::Fail, detail).remedy(REBUILD)
        });
    }
    findings
}

fn described(configuration: &ImageConfiguration) -> DescribedPlatform {
    let ImageConfiguration { os, architecture, .. } = configuration.clone();
    DescribedPlatform { os, architecture, variant: None }
}

/// Labels agree with the index, with git, and with the tag.
fn labels(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let package = subject.package;
    let Some(revision) = revision(package, digest) else {
        let detail = "it does not tell its commit";
        return vec![subject.of(tag, "revision", Level::Fail, detail).remedy(REBUILD)];
    };
    let mut findings = vec![of_git(subject, tag, &revision)];
    for (.., image) in package.images(digest) {
        let Some(configuration) = package.configuration(&image) else { continue };
        let label = configuration.config.labels.get(REVISION);
        if let Some(label) = label.filter(|label| **label != revision) {
            let detail = format!("the label says {label}, and the index says {revision}");
            findings.push(subject.of(tag, "labels", Level::Fail, detail).remedy(REBUILD));
        }
    }
    if let (Some(source), Some((repository, _))) =
        (said(package, digest, SOURCE), subject.facts.repository())
        && !source.to_ascii_lowercase().ends_with(&format!("/{repository}"))
    {
        let detail = format!("its source is `{source}`, and this repository is `{repository}`");
        findings.push(subject.of(tag, "labels", Level::Fail, detail).remedy(REBUILD));
    }
    let version = tag.as_str().strip_prefix('v');
    if let (Some(version), Some(label)) = (version, said(package, digest, VERSION))
        // A promoted image was built before it had a version.
        && label != version
        && label != revision
    {
        let detail = format!("it says that it is version {label}");
        findings.push(subject.of(tag, "labels", Level::Fail, detail).remedy("cargo xtask release"));
    }
    if let (Some(base), None) = (said(package, digest, STAND_IN_LABEL), &subject.facts.lab) {
        let detail = format!("it is built on a stand-in for {base}");
        findings.push(subject.of(tag, "stand-in", Level::Fail, detail).remedy(REBUILD));
    }
    findings
}

fn of_git(subject: &Subject<'_>, tag: &Tag, revision: &str) -> Finding {
    let short = revision.get(..12).unwrap_or(revision);
    let Some(commit) = subject.package.commits.get(revision) else {
        return subject.of(tag, "revision", Level::Skip, format!("{short}; there is no git here"));
    };
    let finding = |level, detail: String| subject.of(tag, "revision", level, detail);
    match commit.relation {
        Relation::Same | Relation::Older => finding(Level::Pass, short.to_owned()),
        Relation::Newer => {
            finding(Level::Warn, format!("{short} is newer than this checkout")).remedy("git pull")
        }
        Relation::Apart => finding(Level::Warn, format!("{short} is on another branch"))
            .remedy("git log --graph --all"),
        Relation::Unknown => finding(Level::Fail, format!("this clone does not have {short}"))
            .remedy("git fetch --unshallow origin"),
    }
}

/// Whether the folder is still what `dev` was built from.
pub(super) fn freshness(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Option<Finding> {
    let inputs = said(subject.package, digest, INPUTS).and_then(|text| Inputs::parse(&text))?;
    let tree = subject.facts.git.as_ref()?.trees.get(&subject.service.folder)?;
    let finding = |level, detail: String| subject.of(tag, "freshness", level, detail);
    if inputs.tree == *tree {
        return Some(finding(Level::Pass, "built from the folder as it is here".to_owned()));
    }
    let revision = revision(subject.package, digest)?;
    let touched = subject.package.commits.get(&revision).map_or(0, |commit| commit.touched);
    let detail = match touched {
        0 => "the folder is another one here".to_owned(),
        1 => "1 commit since has changed the folder".to_owned(),
        more => format!("{more} commits since have changed the folder"),
    };
    Some(finding(Level::Warn, detail).remedy("cargo xtask push"))
}

/// The size against its limit, with the largest layer.
fn size(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Finding {
    let own = subject.config().service(&subject.service.name);
    let limit = own.size_limit.or(subject.config().size_limit).map(|limit| limit.0);
    let size = subject.package.size(digest);
    let largest = largest(subject.package, digest)
        .map(|(step, size)| format!("; {} are {step}", bytes(size)));
    let largest = largest.unwrap_or_default();
    match limit {
        Some(limit) if size > limit => {
            let detail = format!("{}, more than {}{largest}", bytes(size), bytes(limit));
            subject
                .of(tag, "size", Level::Fail, detail)
                .remedy("move build tools to another stage, or raise `size-limit`")
        }
        _ => subject.of(tag, "size", Level::Pass, format!("{}{largest}", bytes(size))),
    }
}

/// The largest layer that a step of a Dockerfile made, with that step.
fn largest(package: &Package, digest: &Digest) -> Option<(String, u64)> {
    let mut layers = Vec::new();
    for (.., image) in package.images(digest) {
        let configuration = package.configuration(&image)?;
        let steps = configuration.layer_steps().map(|entry| step(&entry.created_by));
        layers.extend(steps.zip(image.layers.iter().map(|layer| layer.size)));
    }
    layers.into_iter().max_by_key(|(_, size)| *size)
}

/// A step as the Dockerfile has it, without what the builder writes around it.
fn step(created_by: &str) -> String {
    if created_by.is_empty() {
        return "a layer whose step the base does not tell".to_owned();
    }
    let text = created_by.trim_end_matches(" # buildkit");
    let text =
        text.strip_prefix("RUN /bin/sh -c ").map_or(text.to_owned(), |run| format!("RUN {run}"));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("`{short}…`") } else { format!("`{short}`") }
}

/// How much larger `dev` is than the image before it.
pub(super) fn growth(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Option<Finding> {
    let previous = subject.package.previous.as_ref()?;
    let before = subject.package.size(subject.package.points.get(previous)?);
    let now = subject.package.size(digest);
    let change = match now.cmp(&before) {
        std::cmp::Ordering::Equal => "as large".to_owned(),
        std::cmp::Ordering::Less => format!("{} smaller", bytes(before - now)),
        std::cmp::Ordering::Greater => format!("{} larger", bytes(now - before)),
    };
    let detail = format!("{change} than the published commit before");
    // A tenth more at once is seldom meant.
    let level = if before > 0 && now > before + before / 10 { Level::Warn } else { Level::Pass };
    let finding = subject.of(tag, "growth", level, detail);
    Some(if level == Level::Warn {
        finding
            .remedy(format!("docker history {}", subject.package.repository.with_tag(tag.clone())))
    } else {
        finding
    })
}

/// The name of a base with its registry.
fn full(name: &str) -> String {
    Reference::normalized(name).map_or_else(|_| name.to_owned(), |full| full.to_string())
}

/// Whether the bases are still those that `dev` was built on.
pub(super) fn bases(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let inputs = said(subject.package, digest, INPUTS).and_then(|text| Inputs::parse(&text));
    let mut then = inputs.map(|inputs| inputs.bases).unwrap_or_default();
    if let (Some(name), Some(Ok(digest))) = (
        said(subject.package, digest, BASE_NAME),
        said(subject.package, digest, BASE_DIGEST).map(Digest::new),
    ) {
        // The label names it in full, and the Dockerfile may not.
        let mut known = then.keys().chain(subject.package.bases.keys());
        let known = known.find(|known| full(known) == full(&name)).cloned();
        then.entry(known.unwrap_or(name)).or_insert(digest);
    }
    let judge = |(name, then): (&String, &Digest)| match subject.package.bases.get(name) {
        Some(now) if now == then => {
            subject.of(tag, "base", Level::Pass, format!("{name} is the newest"))
        }
        Some(now) => {
            let detail = format!("{name} has become {}", now.short());
            subject.of(tag, "base", Level::Warn, detail).remedy("cargo xtask push")
        }
        None => subject
            .of(tag, "base", Level::Unknown, format!("{name} cannot be resolved"))
            .remedy("cargo xtask doctor"),
    };
    then.iter().map(judge).collect()
}

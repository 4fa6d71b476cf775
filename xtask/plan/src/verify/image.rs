//! Judges one published image: complete, for the right platforms, and labelled as git says.

use std::collections::BTreeMap;

use xtask_model::image_configuration::ImageConfiguration;
use xtask_model::inputs::{INPUTS, Inputs};
use xtask_model::inspection::{Absent, BASE_DIGEST, BASE_NAME, Commit, Package, Why};
use xtask_model::lab::STAND_IN_LABEL;
use xtask_model::manifest::{DescribedPlatform, ImageManifest, Manifest};
use xtask_model::platform::Platform;
use xtask_model::published::Relation;
use xtask_model::reference::{Digest, Reference, Tag};

use super::review::{REBUILD, Review};
use super::size;
use crate::finding::{Finding, Level};

const REVISION: &str = "org.opencontainers.image.revision";
const SOURCE: &str = "org.opencontainers.image.source";
const VERSION: &str = "org.opencontainers.image.version";

/// The commit that an image names.
pub(super) fn revision(package: &Package, digest: &Digest) -> Option<String> {
    package.label(digest, REVISION)
}

pub(super) fn findings(review: &Review<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    match review.package.manifest(digest) {
        Some(Manifest::Cache(_)) => {
            let detail = "the tag points to a cache instead of an image";
            return vec![review.of_tag(tag, "kind", Level::Fail, detail).remedy(REBUILD)];
        }
        Some(Manifest::Other { media_type, .. }) => {
            let detail = format!("not an image but `{}`", media_type.escape_debug());
            return vec![review.of_tag(tag, "kind", Level::Fail, detail).remedy(REBUILD)];
        }
        Some(Manifest::Index(index)) if index.images().next().is_none() => {
            return vec![
                review
                    .of_tag(tag, "kind", Level::Fail, "the index contains no image")
                    .remedy(REBUILD),
            ];
        }
        _ => {}
    }
    let mut findings = closure(review, tag, digest);
    let images = review.package.images(digest);
    // `closure` has reported why there is none.
    if images.is_empty() {
        return findings;
    }
    findings.extend(platforms(review, tag, digest));
    findings.extend(labels(review, tag, digest));
    findings.push(size::whole(review, tag, digest));
    findings.extend(size::own(review, tag, digest));
    findings
}

/// Everything the tag refers to must exist.
fn closure(review: &Review<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let absent = review.package.absent(digest);
    if absent.is_empty() {
        return vec![review.of_tag(tag, "closure", Level::Pass, "complete")];
    }
    let finding = |absent: &Absent| {
        let (level, remedy) = match absent.why {
            Why::Missing | Why::Damaged(_) => (Level::Fail, REBUILD),
            Why::Unknown(_) => (Level::Unknown, "cargo xtask doctor"),
        };
        review.of_tag(tag, "closure", level, absent.text()).remedy(remedy)
    };
    absent.iter().map(finding).collect()
}

/// There must be an image for each configured platform, and each must be for the platform that the
/// index says.
fn platforms(review: &Review<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let configured = review.config().platforms(&review.service.name);
    let wanted: Vec<Platform> = match configured {
        [] => review.own_platform.cloned().into_iter().collect(),
        platforms => platforms.to_vec(),
    };
    let images = review.package.images(digest);
    let platform = |entry: &Option<xtask_model::manifest::Descriptor>, image: &ImageManifest| {
        let configuration = review.package.configuration(image);
        let of_configuration = configuration.map(|found| described(&found));
        let of_entry = entry.as_ref().and_then(|entry| entry.platform.clone());
        (of_entry.or_else(|| of_configuration.clone()), of_configuration)
    };
    let mut findings = Vec::new();
    for (entry, _, image) in &images {
        if let (Some(listed), Some(actual)) = platform(entry, image)
            && (listed.os != actual.os || listed.architecture != actual.architecture)
        {
            let detail = format!("the index says {listed}, but the image is for {actual}");
            findings.push(review.of_tag(tag, "platform", Level::Fail, detail).remedy(REBUILD));
        }
    }
    for wanted in &wanted {
        let is_there = images.iter().any(|(entry, _, image)| {
            platform(entry, image).0.is_some_and(|found| found.is(wanted))
        });
        findings.push(if is_there {
            review.of_tag(tag, "platform", Level::Pass, wanted.to_string())
        } else {
            let detail = format!("no image for {wanted}");
            review.of_tag(tag, "platform", Level::Fail, detail).remedy(REBUILD)
        });
    }
    for (entry, _, image) in images.iter().filter(|_| !configured.is_empty()) {
        let found = platform(entry, image).0;
        if let Some(more) = found.filter(|found| !wanted.iter().any(|wanted| found.is(wanted))) {
            let detail = format!("extra image for {more}, which is not configured");
            findings.push(review.of_tag(tag, "platform", Level::Warn, detail).remedy(REBUILD));
        }
    }
    findings
}

fn described(configuration: &ImageConfiguration) -> DescribedPlatform {
    let ImageConfiguration { os, architecture, .. } = configuration.clone();
    DescribedPlatform { os, architecture, variant: None }
}

/// The labels of each image and the annotations of the index must agree with each other, with git and
/// with the tag.
fn labels(review: &Review<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let package = review.package;
    let fail =
        |check, detail: String| review.of_tag(tag, check, Level::Fail, detail).remedy(REBUILD);
    let Some(revision) = revision(package, digest) else {
        return vec![fail("revision", "no label names the commit".to_owned())];
    };
    let mut findings = vec![of_git(review, tag, &revision)];
    let mut wrong = Vec::new();
    for texts in all_labels(package, digest) {
        let problems = [
            wrong_revision(&texts, &revision),
            wrong_source(review, &texts),
            wrong_version(tag, &texts, &revision),
        ];
        for problem in problems.into_iter().flatten() {
            // The index and its images usually share a mistake.
            if !wrong.contains(&problem) {
                wrong.push(problem);
            }
        }
    }
    findings.extend(wrong.into_iter().map(|detail| fail("labels", detail)));
    if let (Some(base), None) = (package.label(digest, STAND_IN_LABEL), &review.facts.lab) {
        findings.push(fail("stand-in", format!("built on the lab's stand-in for {base}")));
    }
    findings
}

/// The labels of each image, and the annotations of an index that has any.
fn all_labels(package: &Package, digest: &Digest) -> Vec<BTreeMap<String, String>> {
    let mut all = Vec::new();
    if let Some(Manifest::Index(index)) = package.manifest(digest)
        && index.annotations.contains_key(REVISION)
    {
        all.push(index.annotations);
    }
    let images = package.images(digest);
    let labels = images.iter().filter_map(|(.., image)| package.configuration(image));
    all.extend(labels.map(|configuration| configuration.config.labels));
    all
}

fn wrong_revision(texts: &BTreeMap<String, String>, revision: &str) -> Option<String> {
    match texts.get(REVISION) {
        Some(label) if label == revision => None,
        Some(label) => Some(format!("revision labels disagree: {label} and {revision}")),
        None => Some("an image has no revision label".to_owned()),
    }
}

fn wrong_source(review: &Review<'_>, texts: &BTreeMap<String, String>) -> Option<String> {
    let (source, (repository, _)) = (texts.get(SOURCE)?, review.facts.repository()?);
    let is_ours = source.to_ascii_lowercase().ends_with(&format!("/{repository}"));
    (!is_ours)
        .then(|| format!("the source label is `{source}`, but this repository is `{repository}`"))
}

/// The version label is the commit or the version of a release. A promoted image was built before it
/// had a version.
fn wrong_version(tag: &Tag, texts: &BTreeMap<String, String>, revision: &str) -> Option<String> {
    let label = texts.get(VERSION).filter(|label| *label != revision)?;
    let fits = match tag.as_str().strip_prefix('v') {
        Some(version) => label == version,
        None => semver::Version::parse(label).is_ok(),
    };
    (!fits).then(|| format!("the version label `{label}` does not fit the tag"))
}

fn of_git(review: &Review<'_>, tag: &Tag, revision: &str) -> Finding {
    let short = revision.get(..12).unwrap_or(revision);
    let Some(commit) = review.package.commits.get(revision) else {
        return review.of_tag(
            tag,
            "revision",
            Level::Skip,
            format!("{short}; this is not a git repository"),
        );
    };
    let finding = |level, detail: String| review.of_tag(tag, "revision", level, detail);
    match commit.relation {
        Relation::Same | Relation::Older => finding(Level::Pass, short.to_owned()),
        Relation::Newer => {
            finding(Level::Warn, format!("{short} is newer than this checkout")).remedy("git pull")
        }
        Relation::Apart => finding(Level::Warn, format!("{short} is on another branch"))
            .remedy("git log --graph --all"),
        Relation::Unknown => finding(Level::Fail, format!("this clone does not contain {short}"))
            .remedy("git fetch --unshallow origin"),
    }
}

/// Whether `dev` was built from the current state of the service's folder.
pub(super) fn freshness(review: &Review<'_>, tag: &Tag, digest: &Digest) -> Finding {
    let finding = |level, detail: &str| review.of_tag(tag, "freshness", level, detail);
    let git = review.facts.git.as_ref();
    let Some(tree) = git.and_then(|git| git.trees.get(&review.service.folder)) else {
        return finding(Level::Skip, "the service's folder is not committed here");
    };
    let inputs = review.package.label(digest, INPUTS).and_then(|text| Inputs::parse(&text));
    if inputs.as_ref().is_some_and(|inputs| inputs.tree == *tree) {
        return finding(Level::Pass, "built from the current folder");
    }
    let revision = revision(review.package, digest);
    let commit = revision.and_then(|revision| review.package.commits.get(&revision).copied());
    let touched = match commit {
        Some(Commit { relation: Relation::Same, .. }) => Some(0),
        Some(commit) => commit.touched,
        None => None,
    };
    match (inputs, touched) {
        // An image without recorded inputs, such as a release, still names its commit.
        (None, Some(0)) => finding(Level::Pass, "no later commit changed the folder"),
        (None, None) => {
            let detail = "the image does not record its inputs, and git does not know its commit";
            finding(Level::Unknown, detail).remedy(REBUILD)
        }
        (Some(_), None | Some(0)) => {
            finding(Level::Warn, "built from a different state of the folder")
                .remedy("cargo xtask push")
        }
        (_, Some(1)) => {
            finding(Level::Warn, "1 later commit changed the folder").remedy("cargo xtask push")
        }
        (_, Some(more)) => {
            finding(Level::Warn, &format!("{more} later commits changed the folder"))
                .remedy("cargo xtask push")
        }
    }
}

/// The full name of a base, with its registry.
fn full(name: &str) -> String {
    Reference::normalized(name).map_or_else(|_| name.to_owned(), |full| full.to_string())
}

/// Whether the bases are still the ones that `dev` was built on.
pub(super) fn bases(review: &Review<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let inputs = review.package.label(digest, INPUTS).and_then(|text| Inputs::parse(&text));
    let mut then = inputs.map(|inputs| inputs.bases).unwrap_or_default();
    if let (Some(name), Some(Ok(digest))) = (
        review.package.label(digest, BASE_NAME),
        review.package.label(digest, BASE_DIGEST).map(Digest::new),
    ) {
        // The label has the full name, the Dockerfile may have a short one.
        let mut known = then.keys().chain(review.package.bases.keys());
        let known = known.find(|known| full(known) == full(&name)).cloned();
        then.entry(known.unwrap_or(name)).or_insert(digest);
    }
    let judge = |(name, then): (&String, &Digest)| match review.package.bases.get(name) {
        Some(now) if now == then => {
            review.of_tag(tag, "base", Level::Pass, format!("{name} is up to date"))
        }
        Some(now) => {
            let detail = format!("{name} now points to {}", now.short());
            review.of_tag(tag, "base", Level::Warn, detail).remedy("cargo xtask push")
        }
        None => review
            .of_tag(tag, "base", Level::Unknown, format!("cannot resolve {name}"))
            .remedy("cargo xtask doctor"),
    };
    then.iter().map(judge).collect()
}

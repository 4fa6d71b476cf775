//! One published image: whole, of the right platforms, labelled as git says, and not too large.

use std::collections::BTreeMap;

use xtask_model::image_configuration::ImageConfiguration;
use xtask_model::inputs::{INPUTS, Inputs};
use xtask_model::inspection::{Absent, BASE_DIGEST, BASE_NAME, Commit, Package, Why};
use xtask_model::lab::STAND_IN_LABEL;
use xtask_model::manifest::{DescribedPlatform, ImageManifest, Manifest};
use xtask_model::platform::Platform;
use xtask_model::published::Relation;
use xtask_model::reference::{Digest, Reference, Tag};

use super::package::{REBUILD, Subject};
use super::{Finding, Level, size};

const REVISION: &str = "org.opencontainers.image.revision";
const SOURCE: &str = "org.opencontainers.image.source";
const VERSION: &str = "org.opencontainers.image.version";

/// The commit that an image names.
pub(super) fn revision(package: &Package, digest: &Digest) -> Option<String> {
    package.said(digest, REVISION)
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
        Some(Manifest::Index(index)) if index.images().next().is_none() => {
            return vec![subject.of(tag, "kind", Level::Fail, "it has no image").remedy(REBUILD)];
        }
        _ => {}
    }
    let mut findings = closure(subject, tag, digest);
    let images = subject.package.images(digest);
    // What is gone, damaged or unknown was told.
    if images.is_empty() {
        return findings;
    }
    findings.extend(platforms(subject, tag, digest));
    findings.extend(labels(subject, tag, digest));
    findings.push(size::whole(subject, tag, digest));
    findings.extend(size::own(subject, tag, digest));
    findings
}

/// Everything it leads to is there.
fn closure(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let absent = subject.package.absent(digest);
    if absent.is_empty() {
        return vec![subject.of(tag, "closure", Level::Pass, "all it leads to is there")];
    }
    let finding = |absent: &Absent| {
        let (level, remedy) = match absent.why {
            Why::Gone | Why::Damaged(_) => (Level::Fail, REBUILD),
            Why::Unknown(_) => (Level::Unknown, "cargo xtask doctor"),
        };
        subject.of(tag, "closure", level, absent.text()).remedy(remedy)
    };
    absent.iter().map(finding).collect()
}

/// The platforms that are configured, and each image is for the one that its index says.
fn platforms(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let configured = subject.config().platforms(&subject.service.name);
    let wanted: Vec<Platform> = match configured {
        [] => subject.own_platform.cloned().into_iter().collect(),
        platforms => platforms.to_vec(),
    };
    let images = subject.package.images(digest);
    let platform = |entry: &Option<xtask_model::manifest::Descriptor>, image: &ImageManifest| {
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
    for (entry, _, image) in images.iter().filter(|_| !configured.is_empty()) {
        let found = platform(entry, image).0;
        if let Some(more) = found.filter(|found| !wanted.iter().any(|wanted| found.is(wanted))) {
            let detail = format!("there is an image for {more} too, which is not configured");
            findings.push(subject.of(tag, "platform", Level::Warn, detail).remedy(REBUILD));
        }
    }
    findings
}

fn described(configuration: &ImageConfiguration) -> DescribedPlatform {
    let ImageConfiguration { os, architecture, .. } = configuration.clone();
    DescribedPlatform { os, architecture, variant: None }
}

/// Labels agree with the index, with git, and with the tag, in each place where an image tells of itself.
fn labels(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let package = subject.package;
    let fail = |check, detail: String| subject.of(tag, check, Level::Fail, detail).remedy(REBUILD);
    let Some(revision) = revision(package, digest) else {
        return vec![fail("revision", "it does not tell its commit".to_owned())];
    };
    let mut findings = vec![of_git(subject, tag, &revision)];
    let mut wrong = Vec::new();
    for texts in told(package, digest) {
        let problems = [
            wrong_revision(&texts, &revision),
            wrong_source(subject, &texts),
            wrong_version(tag, &texts, &revision),
        ];
        for problem in problems.into_iter().flatten() {
            // The index and its images have one mistake more often than several.
            if !wrong.contains(&problem) {
                wrong.push(problem);
            }
        }
    }
    findings.extend(wrong.into_iter().map(|detail| fail("labels", detail)));
    if let (Some(base), None) = (package.said(digest, STAND_IN_LABEL), &subject.facts.lab) {
        findings.push(fail("stand-in", format!("it is built on a stand-in for {base}")));
    }
    findings
}

/// What each image says of itself in its labels, and the index in its annotations, where it has any.
fn told(package: &Package, digest: &Digest) -> Vec<BTreeMap<String, String>> {
    let mut told = Vec::new();
    if let Some(Manifest::Index(index)) = package.manifest(digest)
        && index.annotations.contains_key(REVISION)
    {
        told.push(index.annotations);
    }
    let images = package.images(digest);
    let labels = images.iter().filter_map(|(.., image)| package.configuration(image));
    told.extend(labels.map(|configuration| configuration.config.labels));
    told
}

fn wrong_revision(texts: &BTreeMap<String, String>, revision: &str) -> Option<String> {
    match texts.get(REVISION) {
        Some(label) if label == revision => None,
        Some(label) => Some(format!("the label says {label}, and the index says {revision}")),
        None => Some("an image has no label for its commit".to_owned()),
    }
}

fn wrong_source(subject: &Subject<'_>, texts: &BTreeMap<String, String>) -> Option<String> {
    let (source, (repository, _)) = (texts.get(SOURCE)?, subject.facts.repository()?);
    let is_ours = source.to_ascii_lowercase().ends_with(&format!("/{repository}"));
    (!is_ours).then(|| format!("its source is `{source}`, and this repository is `{repository}`"))
}

/// An image has its commit for a version, or the version of a release. One that was promoted was built
/// before it had a version.
fn wrong_version(tag: &Tag, texts: &BTreeMap<String, String>, revision: &str) -> Option<String> {
    let label = texts.get(VERSION).filter(|label| *label != revision)?;
    let fits = match tag.as_str().strip_prefix('v') {
        Some(version) => label == version,
        None => semver::Version::parse(label).is_ok(),
    };
    (!fits).then(|| format!("it says that it is version {label}"))
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
pub(super) fn freshness(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Finding {
    let finding = |level, detail: &str| subject.of(tag, "freshness", level, detail);
    let git = subject.facts.git.as_ref();
    let Some(tree) = git.and_then(|git| git.trees.get(&subject.service.folder)) else {
        return finding(Level::Skip, "the folder is in no commit here");
    };
    let inputs = subject.package.said(digest, INPUTS).and_then(|text| Inputs::parse(&text));
    if inputs.as_ref().is_some_and(|inputs| inputs.tree == *tree) {
        return finding(Level::Pass, "built from the folder as it is here");
    }
    let revision = revision(subject.package, digest);
    let commit = revision.and_then(|revision| subject.package.commits.get(&revision).copied());
    let touched = match commit {
        Some(Commit { relation: Relation::Same, .. }) => Some(0),
        Some(commit) => commit.touched,
        None => None,
    };
    match (inputs, touched) {
        // An image that does not tell its inputs, such as a release's, tells its commit.
        (None, Some(0)) => finding(Level::Pass, "no commit since has changed the folder"),
        (None, None) => {
            let detail =
                "it does not tell what it was built from, and git does not know its commit";
            finding(Level::Unknown, detail).remedy(REBUILD)
        }
        (Some(_), None | Some(0)) => {
            finding(Level::Warn, "the folder is another one here").remedy("cargo xtask push")
        }
        (_, Some(1)) => {
            finding(Level::Warn, "1 commit since has changed the folder").remedy("cargo xtask push")
        }
        (_, Some(more)) => {
            finding(Level::Warn, &format!("{more} commits since have changed the folder"))
                .remedy("cargo xtask push")
        }
    }
}

/// The name of a base with its registry.
fn full(name: &str) -> String {
    Reference::normalized(name).map_or_else(|_| name.to_owned(), |full| full.to_string())
}

/// Whether the bases are still those that `dev` was built on.
pub(super) fn bases(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let inputs = subject.package.said(digest, INPUTS).and_then(|text| Inputs::parse(&text));
    let mut then = inputs.map(|inputs| inputs.bases).unwrap_or_default();
    if let (Some(name), Some(Ok(digest))) = (
        subject.package.said(digest, BASE_NAME),
        subject.package.said(digest, BASE_DIGEST).map(Digest::new),
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

//! What a package contains, read for `plan::retention`: from GitHub, which lists every version, or from any
//! registry, which lists only tags; everything else is found below them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use xtask_model::image_configuration::ImageConfiguration;
use xtask_model::inventory::{PackageVersion, Readable};
use xtask_model::invocation::Invocation;
use xtask_model::manifest::{Manifest, media_type};
use xtask_model::reference::{Digest, Reference, Tag};
use xtask_model::remote::{self, RemoteError, if_found};

use super::github::Packages;
use super::parallel;
use super::process::Runner;
use super::registry::{CONFIGURATION_LIMIT, Client};
use super::retry::retry;

/// The versions that were found in a package.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundVersions {
    pub versions: Vec<PackageVersion>,
    /// Whether all versions were listed.
    pub complete: bool,
}

/// The versions of a package on GitHub, each manifest read once; `None` if there is no package.
pub fn of_github(
    client: &Client,
    repository: &Reference,
    packages: &Packages<'_>,
    package: &str,
) -> Result<Option<FoundVersions>> {
    let Some(list) = packages.versions(package)? else { return Ok(None) };
    let reader = ManifestReader { client, repository };
    let read = parallel::each(&list.versions, |version| {
        readable(reader.manifest(&version.name).map(|manifest| Content::of(&manifest)))
    });
    let versions = list.versions.into_iter().zip(read).map(|(listed, read)| {
        let version = read?.version(listed.name, listed.metadata.container.tags);
        Ok(PackageVersion {
            created: seconds(&listed.created_at),
            updated: seconds(&listed.updated_at),
            id: Some(listed.id),
            ..version
        })
    });
    Ok(Some(FoundVersions { versions: versions.collect::<Result<_>>()?, complete: list.complete }))
}

/// The versions of a repository in any registry: its tags, and the manifests below them. `unlisted` adds
/// earlier digests with their times, if they still exist.
pub fn of_registry(
    client: &Client,
    repository: &Reference,
    unlisted: &BTreeMap<Digest, Option<f64>>,
) -> Result<Vec<PackageVersion>> {
    let reader = ManifestReader { client, repository };
    let mut versions = Vec::new();
    let mut seen: BTreeSet<Digest> = BTreeSet::new();
    let mut open: Vec<(Digest, Vec<String>, Option<f64>)> =
        reader.tagged()?.into_iter().map(|(digest, tags)| (digest, tags, None)).collect();
    for (digest, created) in unlisted {
        if reader.digest_at(&repository.at(digest.clone()))?.is_some() {
            open.push((digest.clone(), Vec::new(), *created));
        }
    }
    while !open.is_empty() {
        open.retain(|(digest, ..)| seen.insert(digest.clone()));
        let read = parallel::each(&open, |(digest, ..)| readable(reader.dated(digest)));
        let mut next = Vec::new();
        for ((digest, tags, parent), read) in open.into_iter().zip(read) {
            let read = read?;
            // An attestation has no time; it was made with its image.
            let created = read.created.or(parent);
            next.extend(read.nested.iter().map(|child| (child.clone(), Vec::new(), created)));
            versions.push(PackageVersion { created, ..read.version(digest, tags) });
        }
        open = next;
    }
    Ok(versions)
}

/// What a manifest says about itself.
#[derive(Debug, Clone, Default)]
struct Content {
    readable: Readable,
    children: Vec<Digest>,
    /// Those of its children that are manifests.
    nested: Vec<Digest>,
    subject: Option<Digest>,
    blobs: Vec<(Digest, u64)>,
    created: Option<f64>,
}

impl Content {
    fn of(manifest: &Manifest) -> Self {
        let subject = manifest.subject().map(|subject| subject.digest.clone());
        let Manifest::Index(index) = manifest else {
            return Self { subject, blobs: blobs(manifest), ..Self::default() };
        };
        let is_manifest = |media: &str| media_type::MANIFESTS.contains(&media);
        let nested = index.manifests.iter().filter(|entry| is_manifest(&entry.media_type));
        Self {
            children: index.manifests.iter().map(|entry| entry.digest.clone()).collect(),
            nested: nested.map(|entry| entry.digest.clone()).collect(),
            subject,
            ..Self::default()
        }
    }

    fn version(self, digest: Digest, tags: Vec<String>) -> PackageVersion {
        PackageVersion {
            digest,
            tags,
            created: self.created,
            updated: None,
            manifests: self.children,
            subject: self.subject,
            manifest: self.readable,
            id: None,
            blobs: self.blobs,
        }
    }
}

fn blobs(manifest: &Manifest) -> Vec<(Digest, u64)> {
    // An image may have one layer twice.
    let blobs = manifest.children().into_iter().map(|blob| (blob.digest.clone(), blob.size));
    blobs.collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// Marks a manifest that cannot be read; an interrupt ends the run.
fn readable(read: remote::Result<Content>) -> remote::Result<Content> {
    let unread = |readable| Ok(Content { readable, ..Content::default() });
    match read {
        Err(RemoteError::NotFound) => unread(Readable::Missing),
        Err(error) if error != RemoteError::Interrupted => unread(Readable::Error),
        read => read,
    }
}

/// Reads one repository.
struct ManifestReader<'r> {
    client: &'r Client,
    repository: &'r Reference,
}

impl ManifestReader<'_> {
    fn manifest(&self, digest: &Digest) -> remote::Result<Manifest> {
        let reference = self.repository.at(digest.clone());
        retry(|| self.client.manifest(&reference))?.parse()
    }

    fn digest_at(&self, reference: &Reference) -> remote::Result<Option<Digest>> {
        retry(|| self.client.digest_at(reference))
    }

    /// A manifest with the time its image was made.
    fn dated(&self, digest: &Digest) -> remote::Result<Content> {
        let manifest = self.manifest(digest)?;
        let created = match &manifest {
            Manifest::Image(image) if !image.is_attestation() => {
                let blob = &image.config.digest;
                let bytes = retry(|| self.client.blob(self.repository, blob, CONFIGURATION_LIMIT))?;
                ImageConfiguration::parse(&bytes).ok().and_then(|found| seconds(&found.created?))
            }
            Manifest::Index(index) => {
                let created = index.annotations.get("org.opencontainers.image.created");
                created.and_then(|text| seconds(text))
            }
            _ => None,
        };
        Ok(Content { created, ..Content::of(&manifest) })
    }

    /// The digests that tags point to.
    fn tagged(&self) -> remote::Result<BTreeMap<Digest, Vec<String>>> {
        let tags = retry(|| if_found(self.client.tags(self.repository)))?.unwrap_or_default();
        let digests = parallel::each(&tags, |tag: &Tag| {
            self.digest_at(&self.repository.with_tag(tag.clone()))
        });
        let mut by_digest: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        for (tag, digest) in tags.iter().zip(digests) {
            if let Some(digest) = digest? {
                by_digest.entry(digest).or_default().push(tag.to_string());
            }
        }
        Ok(by_digest)
    }
}

/// Seconds since 1970 of an RFC 3339 time.
fn seconds(text: &str) -> Option<f64> {
    let time = humantime::parse_rfc3339_weak(text.trim_end_matches('Z')).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
}

/// Digests that files of the repository pin.
pub fn pinned(runner: &Runner) -> Result<Vec<Digest>> {
    let pattern = "sha256:[0-9a-f]{64}";
    let call = Invocation::new("git", ["grep", "-hoIE", pattern]);
    let found = runner.finish(&call)?;
    // 1 means that there is none. Any other code is an error, because no pin must be overlooked.
    if !matches!(found.code, Some(0 | 1)) {
        bail!("`{call}` failed: {}", found.stderr.trim());
    }
    let lines = found.stdout.lines();
    let digests: BTreeSet<Digest> = lines.filter_map(|line| Digest::new(line).ok()).collect();
    Ok(digests.into_iter().collect())
}

/// When each commit of this clone was made.
pub fn commits(runner: &Runner) -> Result<BTreeMap<String, f64>> {
    let listed = runner.output(&Invocation::new("git", ["log", "--all", "--format=%H %ct"]))?;
    let pair = |line: &str| {
        let (hash, time) = line.split_once(' ')?;
        Some((hash.to_owned(), time.parse().ok()?))
    };
    Ok(listed.lines().filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_answer_from_git_nothing_is_unpinned() {
        let folder = tempfile::tempdir().unwrap();
        let runner = Runner::new(folder.path(), false).with_variable("GIT_DIR", "nowhere");
        assert!(pinned(&runner).is_err());
        assert!(commits(&runner).is_err());
    }

    #[test]
    fn pinned_digests_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let runner = Runner::new(folder.path(), false);
        runner.output(&Invocation::new("git", ["init", "--quiet"])).unwrap();
        assert_eq!(pinned(&runner).unwrap(), []);
        let digest = format!("sha256:{}", "a".repeat(64));
        let text = format!("image: y@{digest}\n");
        crate::files::write_atomically(&folder.path().join("x"), text.as_bytes()).unwrap();
        runner.output(&Invocation::new("git", ["add", "x"])).unwrap();
        assert_eq!(pinned(&runner).unwrap(), [Digest::new(digest).unwrap()]);
    }
}

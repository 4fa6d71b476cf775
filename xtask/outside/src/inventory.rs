//! What a package holds, read for `plan::retention`: from GitHub, which lists every version, or from any
//! registry, which lists tags only, so that all else is found below them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use xtask_model::image_configuration::ImageConfiguration;
use xtask_model::inventory::{Readable, Version};
use xtask_model::invocation::Invocation;
use xtask_model::manifest::{Manifest, media_type};
use xtask_model::reference::{Digest, Reference, Tag};

use super::packages::{PackageVersion, Packages};
use super::parallel;
use super::patience::Patience;
use super::process::Runner;
use super::registry::{self, CONFIGURATION_LIMIT, Client, ManifestHead, RegistryError, exists};

/// Where manifests are read, and how often that is tried.
#[derive(Debug, Clone, Copy)]
pub struct Source<'s> {
    pub client: &'s Client,
    pub repository: &'s Reference,
    pub patience: Patience,
}

/// What a package was found to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub versions: Vec<Version>,
    /// Whether nothing else can be there.
    pub complete: bool,
}

/// The versions of a package on GitHub, each manifest read once; `None` where there is no package.
pub fn of_github(
    source: Source<'_>,
    packages: &Packages<'_>,
    package: &str,
) -> Result<Option<Found>> {
    let Some(listing) = packages.versions(package)? else { return Ok(None) };
    let listed = listing.versions;
    let read = parallel::each(&listed, |version| or_unreadable(source.described(&version.name)));
    let versions = listed.into_iter().zip(read).map(|(listed, read)| Ok(version(listed, read?)));
    Ok(Some(Found { versions: versions.collect::<Result<_>>()?, complete: listing.complete }))
}

fn version(listed: PackageVersion, read: Read) -> Version {
    Version {
        created: seconds(&listed.created_at),
        updated: seconds(&listed.updated_at),
        digest: listed.name,
        tags: listed.metadata.container.tags,
        id: Some(listed.id),
        ..read.into()
    }
}

/// What a manifest says of itself.
#[derive(Debug, Clone, Default)]
struct Read {
    readable: Readable,
    children: Vec<Digest>,
    subject: Option<Digest>,
    blobs: Vec<(Digest, u64)>,
    created: Option<f64>,
}

impl From<Read> for (Read, Vec<Digest>) {
    fn from(read: Read) -> Self {
        (read, Vec::new())
    }
}

impl From<Read> for Version {
    fn from(read: Read) -> Self {
        Self {
            // Replaced by the caller, who knows it.
            digest: Digest::nil(),
            tags: Vec::new(),
            created: read.created,
            updated: None,
            manifests: read.children,
            subject: read.subject,
            manifest: read.readable,
            id: None,
            blobs: read.blobs,
        }
    }
}

impl Source<'_> {
    fn manifest(&self, digest: &Digest) -> registry::Result<Manifest> {
        let reference = self.repository.at(digest.clone());
        self.patience.with(|| self.client.manifest(&reference))?.parse()
    }

    fn described(&self, digest: &Digest) -> registry::Result<Read> {
        self.manifest(digest).map(|manifest| described(&manifest))
    }

    /// A manifest with the time its image was made, and the manifests below it.
    fn dated(&self, digest: &Digest) -> registry::Result<(Read, Vec<Digest>)> {
        let manifest = self.manifest(digest)?;
        let mut read = described(&manifest);
        let mut below = Vec::new();
        match &manifest {
            Manifest::Image(image) if !image.is_attestation() => {
                let blob = &image.config.digest;
                let read_blob = || self.client.blob(self.repository, blob, CONFIGURATION_LIMIT);
                let bytes = self.patience.with(read_blob)?;
                let configuration = ImageConfiguration::parse(&bytes).ok();
                read.created = configuration.and_then(|found| seconds(&found.created?));
            }
            Manifest::Index(index) => {
                let nested = |media: &str| media_type::MANIFESTS.contains(&media);
                let entries = index.manifests.iter().filter(|entry| nested(&entry.media_type));
                below = entries.map(|entry| entry.digest.clone()).collect();
                let created = index.annotations.get("org.opencontainers.image.created");
                read.created = created.and_then(|text| seconds(text));
            }
            _ => {}
        }
        Ok((read, below))
    }

    /// What the tags lead to.
    fn tagged(&self) -> registry::Result<BTreeMap<Digest, Vec<String>>> {
        let mut by_digest: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        let tags = match self.patience.with(|| self.client.tags(self.repository)) {
            Err(RegistryError::NotFound) => return Ok(by_digest),
            tags => tags?,
        };
        let heads =
            parallel::each(&tags, |tag: &Tag| self.head(&self.repository.with_tag(tag.clone())));
        for (tag, head) in tags.iter().zip(heads) {
            match head {
                Ok(head) => by_digest.entry(head.digest).or_default().push(tag.to_string()),
                Err(RegistryError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(by_digest)
    }

    fn head(&self, reference: &Reference) -> registry::Result<ManifestHead> {
        self.patience.with(|| self.client.head_manifest(reference))
    }
}

/// What cannot be read is told as that; an interrupt ends the run.
fn or_unreadable<T: From<Read>>(read: registry::Result<T>) -> registry::Result<T> {
    let unread = |readable| Ok(Read { readable, ..Read::default() }.into());
    match read {
        Err(RegistryError::NotFound) => unread(Readable::Missing),
        Err(error) if error != RegistryError::Interrupted => unread(Readable::Error),
        read => read,
    }
}

fn described(manifest: &Manifest) -> Read {
    let subject = manifest.subject().map(|subject| subject.digest.clone());
    match manifest {
        Manifest::Index(index) => Read {
            children: index.manifests.iter().map(|entry| entry.digest.clone()).collect(),
            subject,
            ..Read::default()
        },
        _ => Read { subject, blobs: blobs(manifest), ..Read::default() },
    }
}

fn blobs(manifest: &Manifest) -> Vec<(Digest, u64)> {
    // An image may have one layer twice.
    let blobs = manifest.children().into_iter().map(|blob| (blob.digest.clone(), blob.size));
    blobs.collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// The versions of a repository in any registry: its tags, and the manifests below them. Of those that
/// are `unlisted`, with the times they were made, the ones that are still there.
pub fn of_registry(
    source: Source<'_>,
    unlisted: &BTreeMap<Digest, Option<f64>>,
) -> Result<Vec<Version>> {
    let mut versions = Vec::new();
    let mut seen: BTreeSet<Digest> = BTreeSet::new();
    let mut open: Vec<(Digest, Vec<String>, Option<f64>)> =
        source.tagged()?.into_iter().map(|(digest, tags)| (digest, tags, None)).collect();
    for (digest, created) in unlisted {
        if exists(source.head(&source.repository.at(digest.clone())))? {
            open.push((digest.clone(), Vec::new(), *created));
        }
    }
    while !open.is_empty() {
        open.retain(|(digest, ..)| seen.insert(digest.clone()));
        let read = parallel::each(&open, |(digest, ..)| or_unreadable(source.dated(digest)));
        let mut next = Vec::new();
        for ((digest, tags, parent), read) in open.into_iter().zip(read) {
            let (read, manifests) = read?;
            // An attestation does not tell its time; it was made with its image.
            let created = read.created.or(parent);
            next.extend(manifests.into_iter().map(|child| (child, Vec::new(), created)));
            versions.push(Version { digest, tags, ..Version::from(Read { created, ..read }) });
        }
        open = next;
    }
    Ok(versions)
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
    // 1 is the answer that there is none; anything else is no answer, and no pin must be overlooked.
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
    fn where_git_gives_no_answer_nothing_is_taken_for_unpinned() {
        let folder = tempfile::tempdir().unwrap();
        let runner = Runner::new(folder.path(), false).with_variable("GIT_DIR", "nowhere");
        assert!(pinned(&runner).is_err());
        assert!(commits(&runner).is_err());
    }

    #[test]
    fn a_repository_that_pins_nothing_is_an_answer() {
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

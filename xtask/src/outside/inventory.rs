//! What a package holds, read for `plan::retention`: from GitHub, which lists every version, or from any
//! registry, which lists tags only, so that all else is found below them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::model::image_configuration::ImageConfiguration;
use crate::model::inventory::{Readable, Version};
use crate::model::invocation::Invocation;
use crate::model::manifest::{Manifest, media_type};
use crate::model::reference::{Digest, Reference, Tag};

use super::packages::{PackageVersion, Packages};
use super::parallel;
use super::process::Runner;
use super::registry::{CONFIGURATION_LIMIT, Client, RegistryError, exists};

/// The versions of a package on GitHub, each manifest read once.
pub fn of_github(
    packages: &Packages<'_>,
    client: &Client,
    repository: &Reference,
    package: &str,
) -> Result<Vec<Version>> {
    let listed = packages.versions(package)?;
    let read = parallel::each(&listed, |version| manifest(client, repository, &version.name));
    Ok(listed.into_iter().zip(read).map(|(listed, read)| version(listed, read)).collect())
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

fn manifest(client: &Client, repository: &Reference, digest: &Digest) -> Read {
    let read = || -> super::registry::Result<Read> {
        let manifest = client.manifest(&repository.at(digest.clone()))?.parse()?;
        Ok(described(&manifest))
    };
    read().unwrap_or_else(|error| Read {
        readable: match error {
            RegistryError::NotFound => Readable::Missing,
            _ => Readable::Error,
        },
        ..Read::default()
    })
}

fn described(manifest: &Manifest) -> Read {
    match manifest {
        Manifest::Index(index) => Read {
            children: index.manifests.iter().map(|entry| entry.digest.clone()).collect(),
            ..Read::default()
        },
        Manifest::Image(image) => Read {
            subject: image.subject.as_ref().map(|subject| subject.digest.clone()),
            blobs: blobs(manifest),
            ..Read::default()
        },
        Manifest::Cache(_) => Read { blobs: blobs(manifest), ..Read::default() },
        Manifest::Other { .. } => Read::default(),
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
    client: &Client,
    repository: &Reference,
    unlisted: &BTreeMap<Digest, Option<f64>>,
) -> Result<Vec<Version>> {
    let tags = match client.tags(repository) {
        Ok(tags) => tags,
        Err(RegistryError::NotFound) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let heads =
        parallel::each(&tags, |tag: &Tag| client.head_manifest(&repository.with_tag(tag.clone())));
    let mut by_digest: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    for (tag, head) in tags.iter().zip(heads) {
        match head {
            Ok(head) => by_digest.entry(head.digest).or_default().push(tag.to_string()),
            Err(RegistryError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut versions = Vec::new();
    let mut seen: BTreeSet<Digest> = BTreeSet::new();
    let mut open: Vec<(Digest, Vec<String>, Option<f64>)> =
        by_digest.into_iter().map(|(digest, tags)| (digest, tags, None)).collect();
    for (digest, created) in unlisted {
        if exists(client.head_manifest(&repository.at(digest.clone())))? {
            open.push((digest.clone(), Vec::new(), *created));
        }
    }
    while !open.is_empty() {
        open.retain(|(digest, ..)| seen.insert(digest.clone()));
        let read = parallel::each(&open, |(digest, ..)| dated(client, repository, digest));
        let mut next = Vec::new();
        for ((digest, tags, parent), (read, manifests)) in open.into_iter().zip(read) {
            // An attestation does not tell its time; it was made with its image.
            let created = read.created.or(parent);
            next.extend(manifests.into_iter().map(|child| (child, Vec::new(), created)));
            versions.push(Version { digest, tags, ..Version::from(Read { created, ..read }) });
        }
        open = next;
    }
    Ok(versions)
}

/// A manifest with the time its image was made, and the manifests below it.
fn dated(client: &Client, repository: &Reference, digest: &Digest) -> (Read, Vec<Digest>) {
    let read = || -> super::registry::Result<(Read, Vec<Digest>)> {
        let manifest = client.manifest(&repository.at(digest.clone()))?.parse()?;
        let mut read = described(&manifest);
        let mut below = Vec::new();
        match &manifest {
            Manifest::Image(image) if !image.is_attestation() => {
                let bytes = client.blob(repository, &image.config.digest, CONFIGURATION_LIMIT)?;
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
    };
    read().unwrap_or_else(|error| {
        let readable =
            if error == RegistryError::NotFound { Readable::Missing } else { Readable::Error };
        (Read { readable, ..Read::default() }, Vec::new())
    })
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
    let found = runner.finish(&call)?.stdout;
    let digests: BTreeSet<Digest> =
        found.lines().filter_map(|line| Digest::new(line).ok()).collect();
    Ok(digests.into_iter().collect())
}

/// When each commit of this clone was made.
pub fn commits(runner: &Runner) -> Result<BTreeMap<String, f64>> {
    let listed =
        runner.finish(&Invocation::new("git", ["log", "--all", "--format=%H %ct"]))?.stdout;
    let pair = |line: &str| {
        let (hash, time) = line.split_once(' ')?;
        Some((hash.to_owned(), time.parse().ok()?))
    };
    Ok(listed.lines().filter_map(pair).collect())
}

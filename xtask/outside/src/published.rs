//! Reads the published images of a service for `plan::publish`, and whether they are complete.

use std::collections::BTreeMap;

use anyhow::Result;

use xtask_model::facts::LabFacts;
use xtask_model::image_configuration::ImageConfiguration;
use xtask_model::inputs::{INPUTS, Inputs};
use xtask_model::lab::STAND_IN_LABEL;
use xtask_model::manifest::{Descriptor, Manifest, media_type};
use xtask_model::published::{PublishedImage, PublishedState};
use xtask_model::reference::{Digest, Reference, Tag};
use xtask_model::remote::{self, RemoteError, if_found};

use super::process::Runner;
use super::registry::{CONFIGURATION_LIMIT, Client};
use super::retry::retry;
use super::{git, parallel};

const REVISION: &str = "org.opencontainers.image.revision";
const CREATED: &str = "org.opencontainers.image.created";

/// The state of a repository.
#[derive(Debug)]
pub struct Read {
    pub state: PublishedState,
    /// Tags of published commits that this clone does not have.
    pub unknown: Vec<Tag>,
}

/// Reads the tags of a repository, the images under those `wanted`, and how their commits relate to
/// `revision`.
pub fn read(
    client: &Client,
    runner: &Runner,
    repository: &Reference,
    wanted: &[Tag],
    revision: &str,
) -> Result<Read> {
    let tags = retry(|| if_found(client.tags_as_seen(repository)))?.unwrap_or_default();
    let there: Vec<&Tag> = wanted.iter().filter(|tag| tags.contains(tag)).collect();
    let looked = parallel::each(&there, |tag| {
        let reference = repository.with_tag((*tag).clone());
        retry(|| if_found(image(client, &reference)))
    });
    let mut images = BTreeMap::new();
    for (tag, looked) in there.into_iter().zip(looked) {
        // A missing image was deleted since the tags were listed.
        images.extend(looked?.map(|image| (tag.clone(), image)));
    }
    let state = PublishedState { tags, images, ..PublishedState::default() };
    let mut read = Read { state, unknown: Vec::new() };
    relate(runner, &mut read, revision)?;
    Ok(read)
}

/// How the commits that are published relate to `revision`, as far as this clone has them.
pub fn relate(runner: &Runner, read: &mut Read, revision: &str) -> Result<()> {
    for (tag, image) in &read.state.images {
        if let Some(theirs) = &image.revision {
            let relation = git::relation(runner, theirs, revision)?;
            read.state.relations.insert(tag.clone(), relation);
        }
    }
    let newer = newer(runner, &read.state.tags, revision)?;
    (read.state.newer, read.unknown) = (newer.newest, newer.unknown);
    Ok(())
}

/// How the published commits relate to ours, by their tags.
#[derive(Debug)]
pub struct Newer {
    /// The newest one made on top of ours.
    pub newest: Option<Tag>,
    /// Tags of commits that this clone does not have.
    pub unknown: Vec<Tag>,
}

/// The published images of commits that are newer than `revision` or unknown.
pub fn newer(runner: &Runner, tags: &[Tag], revision: &str) -> Result<Newer> {
    let commit = |tag: &Tag| tag.commit().map(str::to_owned);
    let commits: Vec<String> = tags.iter().filter_map(commit).collect();
    let found = git::successors(runner, revision, &commits)?;
    let tag = |commit: &String| Tag::dev_commit(commit).ok();
    let newest = found.newer.first().and_then(tag);
    Ok(Newer { newest, unknown: found.unknown.iter().filter_map(tag).collect() })
}

/// The image at `reference`, by the annotations of its index, or else by its labels.
pub fn image(client: &Client, reference: &Reference) -> remote::Result<PublishedImage> {
    let stored = client.manifest(reference)?;
    let digest = stored.digest.clone();
    let texts = match stored.parse()? {
        Manifest::Index(index) if index.annotations.contains_key(REVISION) => index.annotations,
        Manifest::Index(index) => match index.images().next() {
            Some(entry) => {
                let child = client.manifest(&reference.at(entry.digest.clone()))?;
                labels(client, reference, &child.parse()?)?
            }
            None => BTreeMap::new(),
        },
        manifest => labels(client, reference, &manifest)?,
    };
    Ok(PublishedImage {
        digest,
        revision: texts.get(REVISION).cloned(),
        created: texts.get(CREATED).cloned(),
        inputs: texts.get(INPUTS).and_then(|text| Inputs::parse(text)),
        stand_in: texts.get(STAND_IN_LABEL).cloned(),
    })
}

fn labels(
    client: &Client,
    reference: &Reference,
    manifest: &Manifest,
) -> remote::Result<BTreeMap<String, String>> {
    let Manifest::Image(image) = manifest else { return Ok(BTreeMap::new()) };
    let bytes = client.blob(reference, &image.config.digest, CONFIGURATION_LIMIT)?;
    let configuration = ImageConfiguration::parse(&bytes).map_err(RemoteError::malformed)?;
    Ok(configuration.config.labels)
}

/// The digests of bases, by their names in a Dockerfile. One that cannot be resolved is left out.
pub fn bases(
    client: &Client,
    names: &[String],
    lab: Option<&LabFacts>,
) -> BTreeMap<String, Digest> {
    let resolved = parallel::each(names, |name| {
        let reference = base(name, lab)?;
        match reference.digest {
            Some(digest) => Some(digest),
            None => Some(client.head_manifest(&reference).ok()?.digest),
        }
    });
    let pairs = names.iter().zip(resolved);
    pairs.filter_map(|(name, digest)| Some((name.clone(), digest?))).collect()
}

/// The reference that a base is really pulled from.
pub(super) fn base(name: &str, lab: Option<&LabFacts>) -> Option<Reference> {
    let mut reference = Reference::normalized(name).ok()?;
    if reference.tag.is_none() && reference.digest.is_none() {
        reference = reference.with_tag(Tag::latest());
    }
    match lab.and_then(|lab| Some((lab, lab.stand_ins.get(name)?))) {
        Some((_, Some(stand_in))) => Some(stand_in.clone()),
        Some((lab, None)) => Some(Reference { registry: lab.registry.clone(), ..reference }),
        None => Some(reference),
    }
}

/// The size of an image, and what is missing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closure {
    /// Compressed bytes of all layers of all platforms.
    pub size: u64,
    /// Digests that the image refers to and that do not exist.
    pub missing: Vec<Digest>,
}

/// Reads `reference` by digest and follows all that it refers to, down to the last layer.
pub fn closure(client: &Client, reference: &Reference, digest: &Digest) -> remote::Result<Closure> {
    let (mut closure, blobs) = manifests(client, reference, digest)?;
    let looked = parallel::each(&blobs, |blob| client.head_blob(reference, &blob.digest));
    for (blob, looked) in blobs.into_iter().zip(looked) {
        match looked {
            Ok(_) => {}
            Err(RemoteError::NotFound) => closure.missing.push(blob.digest),
            Err(error) => return Err(error),
        }
    }
    Ok(closure)
}

/// Reads the manifests of a closure and lists their blobs, without looking for these.
pub fn manifests(
    client: &Client,
    reference: &Reference,
    digest: &Digest,
) -> remote::Result<(Closure, Vec<Descriptor>)> {
    let mut closure = Closure::default();
    let mut blobs: Vec<Descriptor> = Vec::new();
    let mut open = vec![digest.clone()];
    while let Some(next) = open.pop() {
        let stored = match client.manifest(&reference.at(next.clone())) {
            Ok(stored) => stored,
            Err(RemoteError::NotFound) => {
                closure.missing.push(next);
                continue;
            }
            Err(error) => return Err(error),
        };
        let manifest = stored.parse()?;
        if let Manifest::Image(image) = &manifest
            && !image.is_attestation()
        {
            closure.size += image.compressed_size();
        }
        for child in manifest.children() {
            if media_type::MANIFESTS.contains(&child.media_type.as_str()) {
                open.push(child.digest.clone());
            } else if !blobs.iter().any(|blob| blob.digest == child.digest) {
                blobs.push(child.clone());
            }
        }
    }
    Ok((closure, blobs))
}

/// The lab's stand-in base of an image, by the labels of its configurations. An image inherits the label from
/// its base.
pub fn stand_in(
    client: &Client,
    reference: &Reference,
    digest: &Digest,
) -> remote::Result<Option<String>> {
    let manifest = client.manifest(&reference.at(digest.clone()))?.parse()?;
    let images = match &manifest {
        Manifest::Index(index) => index.images().map(|entry| entry.digest.clone()).collect(),
        _ => vec![digest.clone()],
    };
    for image in images {
        let manifest = client.manifest(&reference.at(image))?.parse()?;
        if let Some(base) = labels(client, reference, &manifest)?.remove(STAND_IN_LABEL) {
            return Ok(Some(base));
        }
    }
    Ok(None)
}

/// The compressed size of the image at `reference`, without a look at its layers.
pub fn size(client: &Client, reference: &Reference) -> remote::Result<u64> {
    let mut size = 0;
    let mut open = vec![reference.clone()];
    while let Some(next) = open.pop() {
        match client.manifest(&next)?.parse()? {
            Manifest::Index(index) => {
                open.extend(index.images().map(|entry| reference.at(entry.digest.clone())));
            }
            Manifest::Image(image) => size += image.compressed_size(),
            _ => {}
        }
    }
    Ok(size)
}

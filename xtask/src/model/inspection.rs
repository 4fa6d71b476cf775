//! What was seen of one published package: where its tags point, and each object below them, read once.
//! What to make of it is decided in `plan::verify`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::image_configuration::ImageConfiguration;
use super::manifest::{Descriptor, ImageManifest, Manifest, media_type};
use super::published::Relation;
use super::reference::{Digest, Reference, Tag};

/// Everything that was read of one package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Package {
    pub repository: Reference,
    pub listing: Listing,
    /// Where tags point; one that was looked up and is not there is missing.
    pub points: BTreeMap<Tag, Digest>,
    pub objects: BTreeMap<Digest, Object>,
    /// Digests that the bases have now, by their names in the Dockerfile.
    pub bases: BTreeMap<String, Digest>,
    /// By the commits that images name.
    pub commits: BTreeMap<String, Commit>,
    /// The tag of the published commit before that of `dev`.
    pub previous: Option<Tag>,
    /// The tag of a published commit that is newer than that of `dev`.
    pub newer: Option<Tag>,
    /// Whether everybody may read it; `None` when that was not asked.
    pub public: Option<bool>,
}

/// The list of a package's tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    Tags(Vec<Tag>),
    NotThere,
    Denied { message: String },
    Unknown { message: String },
}

impl Listing {
    pub fn tags(&self) -> &[Tag] {
        match self {
            Self::Tags(tags) => tags,
            _ => &[],
        }
    }
}

/// A manifest or a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Object {
    Manifest {
        media_type: String,
        text: String,
    },
    /// A configuration or a statement, which was read.
    Document {
        text: String,
    },
    /// It is there; its bytes were not read.
    There,
    Missing,
    Unknown {
        message: String,
    },
}

/// What git knows of a commit that an image names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// How it relates to the one that is checked out.
    pub relation: Relation,
    /// Commits since then that touch the service's folder.
    pub touched: u64,
}

/// Something that a tag leads to and that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// `configuration`, `layer` and so on.
    pub what: &'static str,
    pub digest: Digest,
    /// `None` when it is not there; otherwise why nobody knows.
    pub unknown: Option<String>,
}

impl Package {
    /// The parsed manifest at a digest.
    pub fn manifest(&self, digest: &Digest) -> Option<Manifest> {
        match self.objects.get(digest)? {
            Object::Manifest { media_type, text } => {
                Manifest::parse(media_type, text.as_bytes()).ok()
            }
            _ => None,
        }
    }

    /// The configuration of an image that is at a digest.
    pub fn configuration(&self, image: &ImageManifest) -> Option<ImageConfiguration> {
        ImageConfiguration::parse(self.document(&image.config.digest)?.as_bytes()).ok()
    }

    /// A configuration or a statement.
    pub fn document(&self, digest: &Digest) -> Option<&str> {
        match self.objects.get(digest)? {
            Object::Document { text } => Some(text),
            _ => None,
        }
    }

    /// The images at a digest: itself, or those of an index.
    pub fn images(&self, digest: &Digest) -> Vec<(Option<Descriptor>, Digest, ImageManifest)> {
        match self.manifest(digest) {
            Some(Manifest::Image(image)) => vec![(None, digest.clone(), image)],
            Some(Manifest::Index(index)) => index
                .images()
                .filter_map(|entry| match self.manifest(&entry.digest)? {
                    Manifest::Image(image) => {
                        Some((Some(entry.clone()), entry.digest.clone(), image))
                    }
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Compressed bytes of all images at a digest.
    pub fn size(&self, digest: &Digest) -> u64 {
        let images = self.images(digest);
        images.iter().fold(0, |sum, (.., image)| sum.saturating_add(image.compressed_size()))
    }

    /// Everything below a digest, itself included, that is not there or not known.
    pub fn absent(&self, digest: &Digest) -> Vec<Absent> {
        let mut absent = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![("manifest", digest.clone())];
        while let Some((what, next)) = open.pop() {
            if !seen.insert(next.clone()) {
                continue;
            }
            let unknown = |message: &str| Some(message.to_owned());
            match self.objects.get(&next) {
                Some(Object::Missing) => absent.push(Absent { what, digest: next, unknown: None }),
                Some(Object::Unknown { message }) => {
                    absent.push(Absent { what, digest: next, unknown: unknown(message) });
                }
                None => {
                    absent.push(Absent { what, digest: next, unknown: unknown("it was not read") });
                }
                Some(_) => open.extend(self.manifest(&next).iter().flat_map(below)),
            }
        }
        absent
    }
}

/// What a manifest leads to, each with what it is.
pub fn below(manifest: &Manifest) -> Vec<(&'static str, Digest)> {
    let named = |what: &'static str, entry: &Descriptor| (what, entry.digest.clone());
    match manifest {
        Manifest::Index(index) => index
            .manifests
            .iter()
            .map(|entry| {
                named(
                    if entry.is_attestation() { "attestation" } else { "platform's manifest" },
                    entry,
                )
            })
            .collect(),
        Manifest::Image(image) => {
            let layer = if image.is_attestation() { "attestation's statement" } else { "layer" };
            let layers = image.layers.iter().map(|entry| named(layer, entry));
            std::iter::once(named("configuration", &image.config)).chain(layers).collect()
        }
        Manifest::Cache(cache) => {
            let layers = cache.layers.iter().map(|entry| named("cache layer", entry));
            std::iter::once(named("cache configuration", &cache.config)).chain(layers).collect()
        }
        Manifest::Other { .. } => Vec::new(),
    }
}

/// Whether what a manifest leads to is read whole, and not only looked for: manifests, configurations,
/// and provenance, which is small. An SBOM may be large.
pub fn is_read(entry: &Descriptor) -> bool {
    const PREDICATE: &str = "in-toto.io/predicate-type";
    let provenance = entry
        .annotations
        .get(PREDICATE)
        .is_some_and(|kind| kind.starts_with("https://slsa.dev/provenance/"));
    provenance
        || matches!(
            entry.media_type.as_str(),
            media_type::OCI_CONFIGURATION
                | media_type::DOCKER_CONFIGURATION
                | media_type::CACHE_CONFIGURATION
        )
}

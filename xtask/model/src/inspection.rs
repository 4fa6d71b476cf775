//! The contents of one published package as they were read: where its tags point, and the objects they
//! refer to. `plan::verify` judges them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::image_configuration::ImageConfiguration;
use super::manifest::{Descriptor, ImageManifest, Manifest, media_type};
use super::published::Relation;
use super::reference::{Digest, Reference, Tag};

/// The annotations that name the base of an image.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Everything that was read from one package.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Package {
    pub repository: Reference,
    pub listing: Listing,
    /// Where tags point. A tag that does not exist is left out.
    pub points: BTreeMap<Tag, Digest>,
    /// Tags that could not be looked up, and why.
    pub unread: BTreeMap<Tag, String>,
    pub objects: BTreeMap<Digest, Object>,
    /// The current digests of the base images, by their names in the Dockerfile.
    pub bases: BTreeMap<String, Digest>,
    /// The commits that images name, by their hashes.
    pub commits: BTreeMap<String, Commit>,
    /// The tag of the last published commit before the one of `dev`.
    pub previous: Option<Tag>,
    /// The tag of the newest published commit that descends from the one of `dev`.
    pub newer: Option<Tag>,
    /// The commits of git's version tags.
    pub releases: BTreeMap<Tag, String>,
    /// Whether anyone may read the package; `None` if that is unknown.
    pub public: Option<bool>,
    /// The layers of each image's base, by the image's digest; read only if a limit needs them.
    pub base_layers: BTreeMap<Digest, BTreeSet<Digest>>,
    /// The verified signatures, by the image's digest; read only if images must be signed.
    pub signatures: BTreeMap<Digest, Signature>,
    /// Untagged versions that `prune` would delete.
    pub untagged: Untagged,
}

/// The result of verifying a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    Verified,
    Refused {
        /// The last line that the program printed.
        message: String,
    },
    /// The program that verifies signatures is not installed.
    NoProgram,
}

/// The number of untagged versions that `prune` would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Untagged {
    Count(usize),
    /// The registry does not list them.
    #[default]
    Unlisted,
    Unknown {
        message: String,
    },
}

/// The list of a package's tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Object {
    Manifest {
        media_type: String,
        text: String,
    },
    /// A configuration or an attestation statement.
    Document {
        text: String,
    },
    /// It exists; its content was not read.
    There,
    Missing,
    /// Its content does not match its digest, size or media type.
    Corrupt {
        detail: String,
    },
    Unknown {
        message: String,
    },
}

/// What git knows about a commit that an image names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// Its relation to the commit that is checked out.
    pub relation: Relation,
    /// The number of later commits that touch the service's folder; `None` if git cannot say.
    pub touched: Option<u64>,
}

/// An object that a tag refers to and that is not available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// `configuration`, `layer` and so on.
    pub what: &'static str,
    pub digest: Digest,
    pub why: Why,
}

/// Why an object is not available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    Missing,
    /// It exists with the wrong content.
    Damaged(String),
    /// It could not be read.
    Unknown(String),
}

impl Absent {
    /// As a sentence.
    pub fn text(&self) -> String {
        let (what, digest) = (self.what, self.digest.short());
        match &self.why {
            Why::Missing => format!("the {what} {digest} is missing"),
            Why::Damaged(detail) => format!("the {what} {digest} is damaged: {detail}"),
            Why::Unknown(message) => format!("the {what} {digest} cannot be read: {message}"),
        }
    }
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

    /// The configuration of an image.
    pub fn configuration(&self, image: &ImageManifest) -> Option<ImageConfiguration> {
        ImageConfiguration::parse(self.document(&image.config.digest)?.as_bytes()).ok()
    }

    /// The text of a configuration or a statement.
    pub fn document(&self, digest: &Digest) -> Option<&str> {
        match self.objects.get(digest)? {
            Object::Document { text } => Some(text),
            _ => None,
        }
    }

    /// The annotation `key` of an index, or else the label `key` of its first image.
    pub fn label(&self, digest: &Digest, key: &str) -> Option<String> {
        if let Some(Manifest::Index(index)) = self.manifest(digest)
            && let Some(text) = index.annotations.get(key)
        {
            return Some(text.clone());
        }
        let (.., image) = self.images(digest).into_iter().next()?;
        self.configuration(&image)?.config.labels.get(key).cloned()
    }

    /// The images at a digest: the image itself, or the images of an index.
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

    /// The compressed size of all images at a digest, in bytes.
    pub fn size(&self, digest: &Digest) -> u64 {
        let images = self.images(digest);
        images.iter().fold(0, |sum, (.., image)| sum.saturating_add(image.compressed_size()))
    }

    /// Every object that a digest refers to, including itself, that is not available.
    pub fn absent(&self, digest: &Digest) -> Vec<Absent> {
        let mut absent = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![("manifest", digest.clone())];
        while let Some((what, next)) = open.pop() {
            if !seen.insert(next.clone()) {
                continue;
            }
            let why = match self.objects.get(&next) {
                Some(Object::Missing) => Why::Missing,
                Some(Object::Corrupt { detail }) => Why::Damaged(detail.clone()),
                Some(Object::Unknown { message }) => Why::Unknown(message.clone()),
                None => Why::Unknown("it was not read".to_owned()),
                Some(Object::Manifest { media_type, text }) => {
                    match Manifest::parse(media_type, text.as_bytes()) {
                        Ok(manifest) => {
                            open.extend(below(&manifest));
                            continue;
                        }
                        Err(error) => Why::Damaged(error.to_string()),
                    }
                }
                Some(Object::Document { .. } | Object::There) => continue,
            };
            absent.push(Absent { what, digest: next, why });
        }
        absent
    }
}

/// The objects that a manifest refers to, each with its kind.
pub fn below(manifest: &Manifest) -> Vec<(&'static str, Digest)> {
    let named = |what: &'static str, entry: &Descriptor| (what, entry.digest.clone());
    match manifest {
        Manifest::Index(index) => index
            .manifests
            .iter()
            .map(|entry| {
                named(
                    if entry.is_attestation() { "attestation" } else { "platform manifest" },
                    entry,
                )
            })
            .collect(),
        Manifest::Image(image) => {
            let layer = if image.is_attestation() { "attestation statement" } else { "layer" };
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

/// Whether the content of an object is read: configurations and provenance, which are small. Of anything
/// else, such as an SBOM, only the presence is checked.
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

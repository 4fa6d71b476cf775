//! What was seen of one published package: where its tags point, and each object below them, read once.
//! What to make of it is decided in `plan::verify`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::image_configuration::ImageConfiguration;
use super::manifest::{Descriptor, ImageManifest, Manifest, media_type};
use super::published::Relation;
use super::reference::{Digest, Reference, Tag};

/// The annotations by which an image tells its base.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Everything that was read of one package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Package {
    pub repository: Reference,
    pub listing: Listing,
    /// Where tags point; one that was looked up and is not there is missing.
    pub points: BTreeMap<Tag, Digest>,
    /// Tags that could not be looked up, and why.
    pub unread: BTreeMap<Tag, String>,
    pub objects: BTreeMap<Digest, Object>,
    /// Digests that the bases have now, by their names in the Dockerfile.
    pub bases: BTreeMap<String, Digest>,
    /// By the commits that images name.
    pub commits: BTreeMap<String, Commit>,
    /// The tag of the published commit before that of `dev`.
    pub previous: Option<Tag>,
    /// The tag of the newest published commit that was made on top of that of `dev`.
    pub newer: Option<Tag>,
    /// The commits of git's version tags.
    pub releases: BTreeMap<Tag, String>,
    /// Whether everybody may read it; `None` when that was not asked.
    pub public: Option<bool>,
    /// The layers of an image's base, by the image's digest; read only where they have a limit.
    pub base_layers: BTreeMap<Digest, BTreeSet<Digest>>,
    /// What a program said of the signatures of images, where they must be signed.
    pub signatures: BTreeMap<Digest, Signature>,
    /// What stands in the package under no tag and is needed by nothing.
    pub untagged: Untagged,
}

/// What came of looking for a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    Verified,
    Refused {
        /// The program's last words.
        said: String,
    },
    /// The program that can tell is not installed.
    NoProgram,
}

/// Versions of a package that have no tag and would be deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Untagged {
    Count(usize),
    /// Nobody lists them here.
    #[default]
    Unlisted,
    Unknown {
        message: String,
    },
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
    /// Its bytes are not those that its digest, its size or its kind promises.
    Corrupt {
        detail: String,
    },
    Unknown {
        message: String,
    },
}

/// What git knows of a commit that an image names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// How it relates to the one that is checked out.
    pub relation: Relation,
    /// Commits since then that touch the service's folder; `None` where git cannot tell.
    pub touched: Option<u64>,
}

/// Something that a tag leads to and that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// `configuration`, `layer` and so on.
    pub what: &'static str,
    pub digest: Digest,
    pub why: Why,
}

/// Why something cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    Gone,
    /// It is there, and is not what it should be.
    Damaged(String),
    /// Nobody could look.
    Unknown(String),
}

impl Absent {
    /// As a sentence.
    pub fn text(&self) -> String {
        let (what, digest) = (self.what, self.digest.short());
        match &self.why {
            Why::Gone => format!("the {what} {digest} is gone"),
            Why::Damaged(detail) => format!("the {what} {digest} is damaged: {detail}"),
            Why::Unknown(message) => format!("the {what} {digest} cannot be looked at: {message}"),
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

    /// What an image says of itself under `key`: its index, else its first image.
    pub fn said(&self, digest: &Digest, key: &str) -> Option<String> {
        if let Some(Manifest::Index(index)) = self.manifest(digest)
            && let Some(text) = index.annotations.get(key)
        {
            return Some(text.clone());
        }
        let (.., image) = self.images(digest).into_iter().next()?;
        self.configuration(&image)?.config.labels.get(key).cloned()
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
            let why = match self.objects.get(&next) {
                Some(Object::Missing) => Why::Gone,
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

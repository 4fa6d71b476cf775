//! Manifests of a registry: index, image, BuildKit cache, or something else. It parses their bytes; it must
//! not fetch any. The formats are those of the OCI image specification 1.1 and of Docker's schema 2. Only the
//! fields used here are read.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::platform::Platform;
use super::reference::Digest;

/// Media types as registries, engines and BuildKit write them.
pub mod media_type {
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const OCI_CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_CONFIGURATION: &str = "application/vnd.docker.container.image.v1+json";
    /// The configuration of a cache that BuildKit exported to a registry.
    pub const CACHE_CONFIGURATION: &str = "application/vnd.buildkit.cacheconfig.v0";
    /// A layer of an attestation manifest: provenance or SBOM.
    pub const IN_TOTO: &str = "application/vnd.in-toto+json";

    /// What a reader of manifests accepts.
    pub const MANIFESTS: [&str; 4] = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];
}

/// Annotation of an index entry that is not an image: its value is `attestation-manifest`.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// Annotation of an attestation's entry: the digest of the manifest that it describes.
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// A pointer to content: what it is, which bytes, how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<DescribedPlatform>,
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Whether this entry of an index is a provenance or SBOM attestation, not an image.
    pub fn is_attestation(&self) -> bool {
        self.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == "attestation-manifest")
    }

    /// The digest of the manifest that this attestation describes.
    pub fn attests(&self) -> Option<&str> {
        self.annotations.get(REFERENCE_DIGEST).map(String::as_str)
    }
}

/// The platform of an index entry as written, including `unknown/unknown`, which no image has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedPlatform {
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl DescribedPlatform {
    /// Whether this is `wanted`. A variant that is missing on one side is not compared: `linux/arm64`
    /// and `linux/arm64/v8` are the same platform.
    pub fn is(&self, wanted: &Platform) -> bool {
        let (os, architecture, variant) = wanted.parts();
        let same_variant = match (self.variant.as_deref(), variant) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        };
        self.os == os && self.architecture == architecture && same_variant
    }
}

impl fmt::Display for DescribedPlatform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(formatter, "/{variant}"))
    }
}

/// What a tag or a digest points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// Several manifests: platforms and attestations.
    Index(Index),
    /// One image, or one attestation in the format of an image.
    Image(ImageManifest),
    /// A cache exported by BuildKit. No engine can pull or run it.
    Cache(CacheManifest),
    /// Another artifact, such as a signature or a chart, by its configuration's media type.
    Other { media_type: String, blobs: Vec<Descriptor>, subject: Option<Descriptor> },
}

/// The entries of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub manifests: Vec<Descriptor>,
    /// The manifest that this index is attached to, if it is a referrer.
    pub subject: Option<Descriptor>,
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// The entries that are images.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|entry| !entry.is_attestation())
    }

    /// The entries that are attestations.
    pub fn attestations(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|entry| entry.is_attestation())
    }

    /// The image for `platform`.
    pub fn image_for(&self, platform: &Platform) -> Option<&Descriptor> {
        self.images().find(|entry| entry.platform.as_ref().is_some_and(|found| found.is(platform)))
    }
}

/// The configuration and layers of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is attached to, if it is a referrer.
    pub subject: Option<Descriptor>,
}

impl ImageManifest {
    /// Compressed bytes of all layers: the one size that is the same everywhere.
    pub fn compressed_size(&self) -> u64 {
        total(&self.layers)
    }

    /// Whether it is an attestation: its layers are statements about an image.
    pub fn is_attestation(&self) -> bool {
        !self.layers.is_empty()
            && self.layers.iter().all(|layer| layer.media_type == media_type::IN_TOTO)
    }
}

/// The configuration and layers of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheManifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    pub annotations: BTreeMap<String, String>,
}

impl CacheManifest {
    /// Compressed bytes of all cached layers.
    pub fn compressed_size(&self) -> u64 {
        total(&self.layers)
    }
}

/// Why bytes are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError(pub String);

impl fmt::Display for ManifestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not a manifest: {}", self.0)
    }
}

impl std::error::Error for ManifestError {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_is_default")]
    annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads the bytes that a registry served as `content_type`.
    ///
    /// A document that could be read as two kinds is refused: a registry and an engine that disagree
    /// about it would check one image and run a different one (OCI distribution advisory GHSA-mc8v-mgrf-8f4m).
    pub fn parse(content_type: &str, bytes: &[u8]) -> Result<Self, ManifestError> {
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| ManifestError(error.to_string()))?;
        if document.schema_version != 2 {
            let version = document.schema_version;
            return Err(ManifestError(format!("its schema version is {version}; expected 2")));
        }
        let served = content_type.split(';').next().unwrap_or_default().trim();
        if let Some(stated) = &document.media_type
            && media_type::MANIFESTS.contains(&served)
            && stated != served
        {
            return Err(ManifestError(format!(
                "its media type is `{stated}`, but it was served as `{served}`"
            )));
        }
        match (document.manifests, document.config, document.layers) {
            (Some(manifests), None, None) => {
                Ok(Self::of_entries(manifests, document.subject, document.annotations))
            }
            (None, Some(config), layers) => {
                let layers = layers.unwrap_or_default();
                Ok(Self::of_layers(config, layers, document.subject, document.annotations))
            }
            (Some(_), ..) => Err(ManifestError("it is both an index and an image".to_owned())),
            (None, None, _) => {
                Err(ManifestError("it has neither `manifests` nor `config`".to_owned()))
            }
        }
    }

    /// Without `image-manifest=true`, BuildKit writes a cache as an index whose entries are layers
    /// and one cache configuration.
    fn of_entries(
        manifests: Vec<Descriptor>,
        subject: Option<Descriptor>,
        annotations: BTreeMap<String, String>,
    ) -> Self {
        let (mut configs, layers): (Vec<_>, Vec<_>) = manifests
            .into_iter()
            .partition(|entry| entry.media_type == media_type::CACHE_CONFIGURATION);
        match configs.pop() {
            Some(config) => Self::Cache(CacheManifest { config, layers, annotations }),
            None => Self::Index(Index { manifests: layers, subject, annotations }),
        }
    }

    fn of_layers(
        config: Descriptor,
        layers: Vec<Descriptor>,
        subject: Option<Descriptor>,
        annotations: BTreeMap<String, String>,
    ) -> Self {
        match config.media_type.as_str() {
            media_type::CACHE_CONFIGURATION => {
                Self::Cache(CacheManifest { config, layers, annotations })
            }
            media_type::OCI_CONFIGURATION | media_type::DOCKER_CONFIGURATION => {
                Self::Image(ImageManifest { config, layers, subject })
            }
            _ => Self::Other {
                media_type: config.media_type.clone(),
                blobs: std::iter::once(config).chain(layers).collect(),
                subject,
            },
        }
    }

    /// Every descriptor that this manifest lists: it is complete when all of them exist.
    pub fn children(&self) -> Vec<&Descriptor> {
        match self {
            Self::Index(index) => index.manifests.iter().collect(),
            Self::Image(ImageManifest { config, layers, .. })
            | Self::Cache(CacheManifest { config, layers, .. }) => {
                std::iter::once(config).chain(layers).collect()
            }
            Self::Other { blobs, .. } => blobs.iter().collect(),
        }
    }

    /// The manifest that this one is attached to, if it is a referrer.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Index(Index { subject, .. })
            | Self::Image(ImageManifest { subject, .. })
            | Self::Other { subject, .. } => subject.as_ref(),
            Self::Cache(_) => None,
        }
    }
}

/// Sizes come from outside, so their sum may overflow.
fn total(layers: &[Descriptor]) -> u64 {
    layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
}

/// Go programs write `null` for an empty map or list.
pub fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;

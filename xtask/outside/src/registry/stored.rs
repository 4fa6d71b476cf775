//! Manifests as a registry stores them.

use xtask_model::manifest::Manifest;
use xtask_model::reference::Digest;
use xtask_model::remote::Result;

/// The largest manifest that is read, in bytes: the limit that the distribution specification asks
/// registries to accept.
pub const MANIFEST_LIMIT: u64 = 4 << 20;
/// The largest configuration that is read, in bytes.
pub const CONFIGURATION_LIMIT: u64 = 8 << 20;

/// A manifest as it is stored: exactly the bytes of its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl StoredManifest {
    pub fn parse(&self) -> Result<Manifest> {
        Ok(Manifest::parse(&self.media_type, &self.bytes)?)
    }
}

/// What a registry reports about a manifest without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    pub digest: Digest,
    pub media_type: String,
    /// Bytes, if the registry reports them.
    pub size: Option<u64>,
}

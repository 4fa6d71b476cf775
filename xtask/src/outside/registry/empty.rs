//! The empty cache: what `cache invalidate` lets `:cache` point at. It is the same bytes everywhere, so
//! that its digest alone tells it.

use super::read::StoredManifest;
use super::{Result, digest};
use crate::model::manifest::media_type::{CACHE_CONFIGURATION, OCI_MANIFEST};

const CONFIGURATION: &str = r#"{"layers":[],"records":[]}"#;

/// Its configuration and its manifest.
pub fn empty_cache() -> Result<(&'static [u8], StoredManifest)> {
    let configuration = CONFIGURATION.as_bytes();
    let (digest, size) = (digest::sha256(configuration)?, configuration.len());
    let bytes = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"{CACHE_CONFIGURATION}","digest":"{digest}","size":{size}}},"layers":[],"annotations":{{"io.autogit.cache":"invalidated"}}}}"#
    )
    .into_bytes();
    let digest = digest::sha256(&bytes)?;
    Ok((configuration, StoredManifest { digest, media_type: OCI_MANIFEST.to_owned(), bytes }))
}

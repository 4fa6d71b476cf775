//! The empty cache that `cache invalidate` points `:cache` to. It contains the time, so that builds can leave
//! out what is older in the other tiers.

use std::time::{Duration, UNIX_EPOCH};

use super::digest;
use super::stored::StoredManifest;
use xtask_model::manifest::CacheManifest;
use xtask_model::manifest::media_type::{CACHE_CONFIGURATION, OCI_MANIFEST};
use xtask_model::remote::Result;

/// The annotation with the time of the invalidation, RFC 3339.
const INVALIDATED: &str = "io.autogit.cache.invalidated";

/// The largest manifest of an empty cache, in bytes; one with a few layers is larger.
pub const LARGEST_EMPTY: u64 = 1024;

const CONFIGURATION: &str = r#"{"layers":[],"records":[]}"#;

/// The configuration and the manifest of a cache that is invalidated `now`, in seconds since 1970.
pub fn empty_cache(now: u64) -> Result<(&'static [u8], StoredManifest)> {
    let configuration = CONFIGURATION.as_bytes();
    let (digest, size) = (digest::sha256(configuration)?, configuration.len());
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(now));
    let bytes = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"{CACHE_CONFIGURATION}","digest":"{digest}","size":{size}}},"layers":[],"annotations":{{"{INVALIDATED}":"{time}"}}}}"#
    )
    .into_bytes();
    let digest = digest::sha256(&bytes)?;
    Ok((configuration, StoredManifest { digest, media_type: OCI_MANIFEST.to_owned(), bytes }))
}

/// When a cache was invalidated, in seconds since 1970; `None` for any other cache.
pub fn invalidated(cache: &CacheManifest) -> Option<u64> {
    let time = humantime::parse_rfc3339(cache.annotations.get(INVALIDATED)?).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_model::manifest::Manifest;

    #[test]
    fn an_empty_cache_contains_its_time() {
        let (_, stored) = empty_cache(1_767_323_045).unwrap();
        assert!(u64::try_from(stored.bytes.len()).unwrap() <= LARGEST_EMPTY);
        let Manifest::Cache(cache) = stored.parse().unwrap() else { unreachable!() };
        assert_eq!(invalidated(&cache), Some(1_767_323_045));
        let other = CacheManifest { annotations: [].into(), ..cache };
        assert_eq!(invalidated(&other), None);
    }
}

//! Content that is read once: whoever asks for the same digest again, also at the same time from
//! another thread, gets what the first one got.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Client, Result, StoredManifest};
use xtask_model::reference::{Digest, Reference, Repository};

/// The place of one read, empty until the first reader is back.
type Slots<T> = Mutex<BTreeMap<(Repository, Digest), Arc<OnceLock<Result<Arc<T>>>>>>;

/// Manifests and blobs by digest. Content of a digest never changes, so that nothing goes stale.
#[derive(Debug, Default)]
pub struct Once {
    manifests: Slots<StoredManifest>,
    blobs: Slots<Vec<u8>>,
}

impl Once {
    /// The manifest `digest` in the repository of `reference`.
    pub fn manifest(
        &self,
        client: &Client,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<Arc<StoredManifest>> {
        once(&self.manifests, reference, digest, || client.manifest(&reference.at(digest.clone())))
    }

    /// The blob `digest` in the repository of `reference`, of at most `limit` bytes.
    pub fn blob(
        &self,
        client: &Client,
        reference: &Reference,
        digest: &Digest,
        limit: u64,
    ) -> Result<Arc<Vec<u8>>> {
        once(&self.blobs, reference, digest, || client.blob(reference, digest, limit))
    }
}

fn once<T>(
    slots: &Slots<T>,
    reference: &Reference,
    digest: &Digest,
    read: impl FnOnce() -> Result<T>,
) -> Result<Arc<T>> {
    let slot = {
        let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry((reference.repository.clone(), digest.clone())).or_default())
    };
    slot.get_or_init(|| read().map(Arc::new)).clone()
}

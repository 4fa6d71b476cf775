//! Registries: the reads and the few writes of the OCI distribution specification that plans need. Bodies are
//! limited, digests are checked, and nothing is retried here. GHCR's `/referrers` is never read because it
//! redirects to a broken address.

mod access;
mod challenge;
mod client;
mod credentials;
pub mod digest;
mod empty;
mod memory;
mod read;
mod stored;
mod write;

pub use client::Client;
pub use credentials::CredentialSource;
pub use empty::{LARGEST_EMPTY, empty_cache, invalidated};
pub use stored::{CONFIGURATION_LIMIT, ManifestHead, StoredManifest};

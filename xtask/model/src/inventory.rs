//! The versions of a package, and the policy that says which of them are kept. The format is the same from
//! GitHub, from any registry and from a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reference::{Digest, Tag};

/// One version of a package: a manifest, with its tags if it has any. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageVersion {
    pub digest: Digest,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub created: Option<f64>,
    #[serde(default)]
    pub updated: Option<f64>,
    /// The digests that an index lists, including those that are not versions, such as layers of a cache.
    #[serde(default)]
    pub manifests: Vec<Digest>,
    /// The manifest that a referrer is attached to.
    #[serde(default)]
    pub subject: Option<Digest>,
    #[serde(default)]
    pub manifest: Readable,
    /// GitHub's number of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Its configuration and layers with their compressed bytes, if known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<(Digest, u64)>,
}

/// Whether the manifest of a version could be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Readable {
    #[default]
    Ok,
    /// It is listed, but the registry does not have it.
    Missing,
    Error,
}

/// Which versions are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Tags that are kept forever.
    pub keep: Vec<String>,
    /// Seconds after which a commit's image expires.
    pub max_age_s: f64,
    /// Seconds for which an untagged version is kept.
    pub grace_s: f64,
    /// How many images of the newest commits are kept for a rollback.
    pub keep_last: usize,
    /// Digests that files of the repository pin.
    pub in_use: Vec<Digest>,
    /// The largest share of versions that one run may delete.
    pub max_fraction: f64,
    /// The largest number of versions that one run may delete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_deletions: Option<usize>,
    /// What happens to signatures and attestations of deleted images.
    pub orphan_referrers: Orphans,
    /// Times of commits, by their hash or its beginning.
    pub commits: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Orphans {
    #[default]
    Delete,
    Keep,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            keep: [Tag::cache(), Tag::dev(), Tag::latest()].map(String::from).to_vec(),
            max_age_s: 30.0 * 86_400.0,
            grace_s: 72.0 * 3_600.0,
            keep_last: 5,
            in_use: Vec::new(),
            max_fraction: 0.9,
            max_deletions: None,
            orphan_referrers: Orphans::Delete,
            commits: BTreeMap::new(),
        }
    }
}

/// A package to plan for: what `--inventory FILE` reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Seconds since 1970.
    pub now: f64,
    #[serde(default)]
    pub policy: Policy,
    #[serde(rename = "inventory")]
    pub versions: Vec<PackageVersion>,
    /// Whether the list is complete. An incomplete list cannot prove that a version is unneeded.
    #[serde(default = "yes")]
    pub complete: bool,
}

fn yes() -> bool {
    true
}

//! What a run of `prune` agreed on and did: its plan file and its report, as they are stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::inventory::Version;
use super::reference::{Digest, Reference};

/// Raised when a reader of the old shape would misread the new one.
pub const SCHEMA: u32 = 1;

/// What two looks must agree on before something is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    pub schema: u32,
    pub delete: Vec<Digest>,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: u32,
    /// Seconds since 1970.
    pub started: u64,
    pub finished: bool,
    pub packages: Vec<PackageReport>,
    pub requests: u64,
}

impl Report {
    /// The report of a run that has done nothing yet.
    pub fn new(started: u64) -> Self {
        Self { schema: SCHEMA, started, finished: false, packages: Vec::new(), requests: 0 }
    }

    /// Whether a deletion was refused.
    pub fn has_refusals(&self) -> bool {
        self.packages.iter().any(|package| !package.refused.is_empty())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageReport {
    pub repository: Reference,
    pub package: String,
    pub deleted: Vec<Gone>,
    pub refused: Vec<Refused>,
    /// What was to go and did not: the budget ended, or it is needed by what was refused.
    pub left_over: Vec<Digest>,
    /// What still has to go and no tag leads to, with the times it was made: a registry that lists tags
    /// only does not know of it once its index is gone, and the next run learns of it here.
    #[serde(default)]
    pub unlisted: BTreeMap<Digest, Option<f64>>,
    /// Compressed bytes that no version of the package has any more: what the registry's garbage
    /// collection frees.
    pub bytes: u64,
}

impl PackageReport {
    /// The report of a package of which nothing is deleted yet. `going` is all that is to go.
    pub fn new<'v>(
        repository: Reference,
        package: String,
        going: impl Iterator<Item = &'v Version>,
    ) -> Self {
        let unlisted = going.filter(|version| version.tags.is_empty());
        Self {
            repository,
            package,
            deleted: Vec::new(),
            refused: Vec::new(),
            left_over: Vec::new(),
            unlisted: unlisted.map(|v| (v.digest.clone(), v.created)).collect(),
            bytes: 0,
        }
    }

    /// Notes that a version is gone, and with it the bytes that only it had.
    pub fn gone(&mut self, version: &Version, bytes: u64) {
        self.bytes += bytes;
        self.unlisted.remove(&version.digest);
        let Version { digest, id, tags, .. } = version.clone();
        self.deleted.push(Gone { digest, id, tags });
    }

    /// Notes that a version which was gone is back.
    pub fn restored(&mut self, gone: Gone, reason: String) {
        self.deleted.retain(|other| *other != gone);
        self.refused.push(Refused { digest: gone.digest, reason });
    }
}

/// A version that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    pub digest: Digest,
    /// GitHub's number of it, by which it can be restored.
    pub id: Option<u64>,
    pub tags: Vec<String>,
}

/// A version whose deletion was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub digest: Digest,
    pub reason: String,
}

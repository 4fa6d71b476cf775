//! What a run of `prune` agreed on and did: its plan file and its report, as they are stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::inventory::Version;
use super::reference::{Digest, Reference, Tag};

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

    /// What is needed to restore what was deleted, and nothing else.
    #[must_use]
    pub fn for_undo(&self) -> Self {
        let mut report = self.clone();
        report.packages.retain(|package| !package.deleted.is_empty());
        for package in &mut report.packages {
            let deleted = std::mem::take(&mut package.deleted);
            let bare = PackageReport::new(package.repository.clone(), package.package.clone());
            *package = PackageReport { deleted, ..bare };
        }
        report
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
    /// Why nothing of it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuse: Option<String>,
    /// What was to stay, and why.
    #[serde(default)]
    pub kept: Vec<Stays>,
    pub deleted: Vec<Gone>,
    pub refused: Vec<Refused>,
    /// What was to go and did not: the budget ended, or it is needed by what was refused.
    pub left_over: Vec<Digest>,
    /// What still has to go and no tag leads to, with the times it was made: a registry that lists tags
    /// only does not know of it once its index is gone, and the next run learns of it here.
    #[serde(default)]
    pub unlisted: BTreeMap<Digest, Option<f64>>,
    /// What a tag leads to and is not there after the run, though the run did not take it.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// Compressed bytes that no version of the package would have any more if all went as planned.
    #[serde(default)]
    pub reclaimable: u64,
    /// Those that no version has any more: what the registry's garbage collection frees.
    pub bytes: u64,
}

impl PackageReport {
    /// The report of a package of which nothing is deleted.
    pub fn new(repository: Reference, package: String) -> Self {
        Self {
            repository,
            package,
            refuse: None,
            kept: Vec::new(),
            deleted: Vec::new(),
            refused: Vec::new(),
            left_over: Vec::new(),
            unlisted: BTreeMap::new(),
            missing: Vec::new(),
            reclaimable: 0,
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

/// A version that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stays {
    pub digest: Digest,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    pub reason: String,
}

/// A manifest that is not there, and the tag that leads to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub digest: Digest,
    pub tag: Tag,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_before_is_read_and_what_undo_needs_is_a_report() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let old = serde_json::json!({
            "schema": 1, "started": 1, "finished": true, "requests": 2,
            "packages": [
                {
                    "repository": "ghcr.io/o/r/web", "package": "r/web", "left_over": [digest],
                    "deleted": [{ "digest": digest, "id": 7, "tags": ["dev-1234567"] }],
                    "refused": [], "bytes": 3,
                },
                {
                    "repository": "ghcr.io/o/r/other", "package": "r/other", "left_over": [],
                    "deleted": [], "refused": [], "bytes": 0,
                },
            ],
        });
        let report: Report = serde_json::from_value(old).unwrap();
        let undo = report.for_undo();
        assert_eq!(undo.packages.len(), 1);
        assert_eq!(undo.packages[0].deleted, report.packages[0].deleted);
        assert_eq!(undo.packages[0].left_over, []);
    }
}

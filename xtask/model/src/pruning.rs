//! The plan file and the report of `prune`, as they are stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::inventory::PackageVersion;
use super::reference::{Digest, Reference, Tag};

/// Raised when a reader of the old format would misread the new one.
pub const SCHEMA: u32 = 1;

/// What two looks at the registry must agree on before anything is deleted.
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
    /// The report of a run that has not started.
    pub fn new(started: u64) -> Self {
        Self { schema: SCHEMA, started, finished: false, packages: Vec::new(), requests: 0 }
    }

    /// Only the data that restoring the deleted versions needs.
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
    /// Why nothing in the package is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuse: Option<String>,
    /// The versions that stay, and why.
    #[serde(default)]
    pub kept: Vec<Stays>,
    pub deleted: Vec<Gone>,
    pub refused: Vec<Refused>,
    /// Expired versions that are not deleted: the budget ended, or a refused version needs them.
    pub left_over: Vec<Digest>,
    /// Untagged versions that still have to be deleted, with their times. A registry that lists only tags
    /// does not list them once their index is deleted, so the next run reads them here.
    #[serde(default)]
    pub unlisted: BTreeMap<Digest, Option<f64>>,
    /// Manifests that a tag needs and that are missing, although this run did not delete them.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// Compressed bytes that the whole plan would free.
    #[serde(default)]
    pub reclaimable: u64,
    /// Compressed bytes that no version uses any longer: the registry's garbage collection frees them.
    pub bytes: u64,
}

impl PackageReport {
    /// The report of a package without a deletion.
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

    /// Records a deleted version, and the bytes that only it used.
    pub fn gone(&mut self, version: &PackageVersion, bytes: u64) {
        self.bytes += bytes;
        self.unlisted.remove(&version.digest);
        let PackageVersion { digest, id, tags, .. } = version.clone();
        self.deleted.push(Gone { digest, id, tags });
    }

    /// Records that a deleted version was restored.
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

/// A missing manifest, and the tag that needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub digest: Digest,
    pub tag: Tag,
}

/// A version that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    pub digest: Digest,
    /// GitHub's number of the version, which restoring needs.
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
    fn an_old_report_can_be_undone() {
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

//! The facts that only a release needs, and the GitHub release that it creates.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::service::ServiceName;

/// Gathered once; `--record-facts` saves it with the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReleaseFacts {
    /// The commit that each git tag `v…` of this clone points to.
    pub tags: BTreeMap<Version, String>,
    /// The same at `origin`; `None` if there is no such remote or it does not answer.
    pub origin: Option<BTreeMap<Version, String>>,
    /// Whether this clone has a remote `origin`.
    pub has_origin: bool,
    /// Whether the commit is on a branch that releases are made from.
    pub on_branch: bool,
    /// The messages of the commits since the previous release, newest first.
    pub messages: Vec<String>,
    /// The text of `CHANGELOG.md`.
    pub changelog: Option<String>,
    /// The versions that each service is published under.
    pub published: BTreeMap<ServiceName, Vec<Version>>,
}

impl ReleaseFacts {
    /// All git tags, here or at `origin`.
    pub fn known(&self) -> BTreeMap<Version, String> {
        let mut known = self.origin.clone().unwrap_or_default();
        known.extend(self.tags.clone());
        known
    }

    /// The versions that any service is published under, in their order.
    pub fn versions(&self) -> Vec<Version> {
        let mut versions: Vec<Version> = self.published.values().flatten().cloned().collect();
        versions.sort();
        versions.dedup();
        versions
    }
}

/// A GitHub release, with the names of the REST API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GitHubRelease {
    pub tag_name: String,
    pub target_commitish: String,
    pub name: String,
    pub body: String,
    pub draft: bool,
    pub prerelease: bool,
    /// `true` or `false`, as text.
    pub make_latest: &'static str,
}

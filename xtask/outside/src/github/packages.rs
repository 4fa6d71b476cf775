//! Package versions on GitHub: listed, deleted and restored.
//!
//! Source: "REST API endpoints for packages", version 2022-11-28.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Deserialize;
use ureq::http::Method;

use xtask_model::pagination;
use xtask_model::reference::{Digest, Repository};

use super::client::{Answered, ApiRequest, GitHub, Problem, read, unexpected};
use crate::clock;

/// The least time between two changes, as GitHub asks.
pub const PACE: Duration = Duration::from_secs(1);
/// How often a list is read that shifts while it is read.
const LISTINGS: usize = 3;
const PERMISSION: &str =
    "give the job `permissions: packages: write`, or the token `delete:packages`";

/// The packages of one owner.
pub struct Packages<'a> {
    github: &'a GitHub,
    /// `users/NAME` or `orgs/NAME`.
    owner: String,
    /// When something was changed last.
    changed: Cell<Option<Instant>>,
}

/// The versions of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionList {
    pub versions: Vec<ListedVersion>,
    /// Whether none can have slipped through between two pages.
    pub complete: bool,
}

/// One version, as GitHub lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ListedVersion {
    pub id: u64,
    /// The digest.
    pub name: Digest,
    pub created_at: String,
    pub updated_at: String,
    #[serde(default)]
    pub metadata: VersionMetadata,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct VersionMetadata {
    #[serde(default)]
    pub container: ContainerMetadata,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ContainerMetadata {
    #[serde(default)]
    pub tags: Vec<String>,
}

/// How a deletion or a restoration ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Done,
    /// It does not exist, or the token is no admin of the package: GitHub gives the same answer.
    NotFound,
    Refused(String),
}

#[derive(Deserialize)]
struct Owner {
    #[serde(rename = "type")]
    kind: String,
}

impl<'a> Packages<'a> {
    /// The packages of the owner of `repository`, a user or an organisation.
    pub fn of(github: &'a GitHub, repository: &Repository) -> Result<Self> {
        let owner = repository.as_str().split('/').next().unwrap_or_default();
        let found: Owner = read(&github.get(&format!("/users/{owner}"))?, 200, PERMISSION)?;
        let kind = if found.kind == "Organization" { "orgs" } else { "users" };
        Ok(Self { github, owner: format!("{kind}/{owner}"), changed: Cell::new(None) })
    }

    /// How many requests may still be sent.
    pub fn left(&self) -> u64 {
        self.github.left()
    }

    /// Every version of a package, each once; `None` if there is none for this token.
    pub fn versions(&self, package: &str) -> Result<Option<VersionList>> {
        let mut list = self.list(package)?;
        for _ in 1..LISTINGS {
            if list.as_ref().is_none_or(|list| list.complete) {
                break;
            }
            list = self.list(package)?;
        }
        Ok(list)
    }

    /// Lists once. Pages shift while others push or delete, and a version that shifts to a page that was
    /// read already is never seen: so all are counted first.
    fn list(&self, package: &str) -> Result<Option<VersionList>> {
        let path = self.path(package);
        let first = self.github.get(&format!("{path}?per_page=1"))?;
        if first.status == 404 {
            return Ok(None);
        }
        let one: Vec<ListedVersion> = read(&first, 200, PERMISSION)?;
        let count = pagination::count(first.header("link"), one.len());
        let mut page = Some(format!("{path}?per_page=100"));
        let mut versions: BTreeMap<u64, ListedVersion> = BTreeMap::new();
        let mut shown = 0;
        while let Some(path) = page {
            let answer = self.github.get(&path)?;
            let listed: Vec<ListedVersion> = read(&answer, 200, PERMISSION)?;
            shown += listed.len();
            versions.extend(listed.into_iter().map(|version| (version.id, version)));
            page = self.github.next_page(&answer)?;
        }
        let complete = count == Some(shown) && shown == versions.len();
        Ok(Some(VersionList { versions: versions.into_values().collect(), complete }))
    }

    /// The tags that a version has now; `None` if there is no such version.
    pub fn tags(&self, package: &str, id: u64) -> Result<Option<Vec<String>>> {
        let answer = self.github.get(&format!("{}/{id}", self.path(package)))?;
        if answer.status == 404 {
            return Ok(None);
        }
        let version: ListedVersion = read(&answer, 200, PERMISSION)?;
        Ok(Some(version.metadata.container.tags))
    }

    pub fn delete(&self, package: &str, id: u64) -> Result<Change> {
        let path = format!("{}/{id}", self.path(package));
        self.change(&ApiRequest::new(Method::DELETE, &path))
    }

    /// Restores a version that was deleted within the last 30 days. The budget does not count for it:
    /// what a run took by mistake comes back.
    pub fn restore(&self, package: &str, id: u64) -> Result<Change> {
        let path = format!("{}/{id}/restore", self.path(package));
        let (body, budgeted) = (Some(Vec::new()), false);
        self.change(&ApiRequest { body, budgeted, ..ApiRequest::new(Method::POST, &path) })
    }

    /// Changes something, not too soon after the change before.
    fn change(&self, request: &ApiRequest<'_>) -> Result<Change> {
        if let Some(last) = self.changed.get() {
            clock::sleep(PACE.saturating_sub(last.elapsed()))?;
        }
        let answered = self.github.send(request);
        self.changed.set(Some(Instant::now()));
        outcome(&answered?)
    }

    fn path(&self, package: &str) -> String {
        let name = package.replace('/', "%2F");
        format!("/{}/packages/container/{name}/versions", self.owner)
    }
}

fn outcome(Answered { answer, attempts }: &Answered) -> Result<Change> {
    Ok(match answer.status {
        204 => Change::Done,
        // An attempt before this one did it, and its answer got lost.
        404 if *attempts > 1 => Change::Done,
        404 => Change::NotFound,
        400 | 403 | 409 | 422 => Change::Refused(Problem::of(answer).message),
        _ => return Err(unexpected(answer, PERMISSION).into()),
    })
}

//! GitHub releases: found, created, or published from a draft.
//!
//! Source: "REST API endpoints for releases", version 2022-11-28.

use anyhow::Result;
use serde::Deserialize;
use ureq::http::Method;

use xtask_model::reference::Repository;
use xtask_model::release::GitHubRelease;

use super::client::{ApiRequest, GitHub, Problem, read};

const PERMISSION: &str =
    "give the job `permissions: contents: write`, or the token the scope `repo`";

/// The releases of a repository.
pub struct Releases<'a> {
    pub github: &'a GitHub,
    pub repository: &'a Repository,
}

/// The part of a release that is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ApiRelease {
    pub id: u64,
    pub html_url: String,
    pub tag_name: String,
    #[serde(default)]
    pub draft: bool,
    /// Null where nothing was written.
    pub body: Option<String>,
}

impl Releases<'_> {
    /// The release of a tag. A draft cannot be found by its tag, so all releases are searched for it.
    pub fn find(&self, tag: &str) -> Result<Option<ApiRelease>> {
        let answer = self.github.get(&self.path(&format!("/tags/{tag}")))?;
        if answer.status != 404 {
            return read(&answer, 200, PERMISSION).map(Some);
        }
        let mut next = Some(self.path("?per_page=100"));
        while let Some(path) = next {
            let answer = self.github.get(&path)?;
            let page: Vec<ApiRelease> = read(&answer, 200, PERMISSION)?;
            let found = page.into_iter().find(|release| release.tag_name == tag);
            if found.is_some() {
                return Ok(found);
            }
            next = self.github.next_page(&answer)?;
        }
        Ok(None)
    }

    /// Creates the release, or publishes the draft; `None` if another run published one for its tag.
    pub fn put(
        &self,
        wanted: &GitHubRelease,
        draft: Option<&ApiRelease>,
    ) -> Result<Option<ApiRelease>> {
        let (method, path, status) = match draft {
            Some(draft) => (Method::PATCH, self.path(&format!("/{}", draft.id)), 200),
            None => (Method::POST, self.path(""), 201),
        };
        let body = Some(serde_json::to_vec(wanted)?);
        let answer =
            self.github.send(&ApiRequest { body, ..ApiRequest::new(method, &path) })?.answer;
        if answer.status == 422 && Problem::of(&answer).has("tag_name", "already_exists") {
            return Ok(None);
        }
        read(&answer, status, PERMISSION).map(Some)
    }

    fn path(&self, rest: &str) -> String {
        format!("/repos/{}/releases{rest}", self.repository)
    }
}

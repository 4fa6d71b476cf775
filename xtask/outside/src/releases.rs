//! GitHub releases, over the REST API: found, created, or brought to what they should be.
//!
//! Source: "REST API endpoints for releases", version 2022-11-28.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::Method;

use xtask_model::failure::Failure;
use xtask_model::reference::Repository;
use xtask_model::release::GitHubRelease;

use super::github_api::{GitHubApi, Problem, next_page};
use super::registry::{Answer, Client};

/// The releases of a repository.
pub struct Releases<'a> {
    pub api: &'a GitHubApi,
    pub client: &'a Client,
    pub repository: &'a Repository,
}

/// The part of a release that is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    pub id: u64,
    pub html_url: String,
    pub tag_name: String,
    #[serde(default)]
    pub draft: bool,
    /// Null where nothing was written.
    pub body: Option<String>,
}

impl Releases<'_> {
    /// The release of a tag. A draft has no tag to be found by, so all releases are searched for it.
    pub fn find(&self, tag: &str) -> Result<Option<Release>> {
        let answer = self.ask(&Method::GET, &self.path(&format!("/tags/{tag}")), None)?;
        if answer.status != 404 {
            return read(&answer, 200).map(Some);
        }
        let mut next = Some(self.path("?per_page=100"));
        while let Some(path) = next {
            let answer = self.ask(&Method::GET, &path, None)?;
            let page: Vec<Release> = read(&answer, 200)?;
            let found = page.into_iter().find(|release| release.tag_name == tag);
            if found.is_some() {
                return Ok(found);
            }
            next = next_page(&answer).map(str::to_owned);
        }
        Ok(None)
    }

    /// Creates the release, or publishes the draft; `None` where one of its tag was published meanwhile.
    pub fn put(&self, wanted: &GitHubRelease, draft: Option<&Release>) -> Result<Option<Release>> {
        let body = serde_json::to_vec(wanted)?;
        let (method, path, status) = match draft {
            Some(draft) => (Method::PATCH, self.path(&format!("/{}", draft.id)), 200),
            None => (Method::POST, self.path(""), 201),
        };
        let answer = self.ask(&method, &path, Some(&body))?;
        if answer.status == 422 && Problem::of(&answer).has("tag_name", "already_exists") {
            return Ok(None);
        }
        read(&answer, status).map(Some)
    }

    fn path(&self, rest: &str) -> String {
        format!("/repos/{}/releases{rest}", self.repository)
    }

    fn ask(&self, method: &Method, path: &str, body: Option<&[u8]>) -> Result<Answer> {
        self.api.ask(self.client, method, path, body, || Ok(()))
    }
}

fn read<T: DeserializeOwned>(answer: &Answer, expected: u16) -> Result<T> {
    if answer.status == expected {
        return serde_json::from_slice(&answer.body).context("GitHub answered in an unknown form");
    }
    Err(unexpected(answer).into())
}

/// The error of an answer, with the next thing to type.
fn unexpected(answer: &Answer) -> Failure {
    let problem = Problem::of(answer);
    let failure = Failure::failed(format!("GitHub answered with {}: {problem}", answer.status));
    match answer.status {
        401 => {
            failure.hint("the token is not valid: gh auth login, or `github-token: …` in the job")
        }
        403 | 404 => failure
            .hint("give the job `permissions: contents: write`, or the token the scope `repo`"),
        422 if problem.has("target_commitish", "invalid") => {
            failure.hint("GitHub does not have the commit: git push origin HEAD")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github_api::tests::answer;

    fn check(status: u16, body: &str, message: &str, hint: Option<&str>) {
        let failure = unexpected(&answer(status, &[], body));
        assert_eq!(failure.message, format!("GitHub answered with {status}: {message}"));
        let starts = |hint: &str| failure.hint.as_ref().is_some_and(|told| told.contains(hint));
        assert!(hint.map_or(failure.hint.is_none(), starts), "{:?}", failure.hint);
    }

    #[test]
    fn each_refusal_has_the_remedy_of_its_own() {
        check(401, r#"{"message":"Bad credentials"}"#, "Bad credentials", Some("gh auth login"));
        check(403, r#"{"message":"Resource not"}"#, "Resource not", Some("contents: write"));
        check(
            422,
            r#"{"message":"Validation Failed","errors":[{"field":"target_commitish","code":"invalid"}]}"#,
            "Validation Failed; target_commitish invalid",
            Some("git push origin HEAD"),
        );
        check(
            422,
            r#"{"message":"Validation Failed","errors":[{"field":"tag_name","code":"custom","message":"is not a valid tag"}]}"#,
            "Validation Failed; tag_name is not a valid tag",
            None,
        );
        check(500, "oops", "", None);
    }
}

//! GitHub releases, over the REST API. Nothing is retried, and no error carries the token.
//!
//! Source: "REST API endpoints for releases", version 2022-11-28.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use ureq::http::Method;

use crate::model::failure::Failure;
use crate::model::reference::Repository;
use crate::model::token::Secret;

use super::registry::{Answer, Call, Client};

/// Where the API is and who asks.
#[derive(Debug, Clone)]
pub struct GitHubApi {
    /// `https://api.github.com`, without a slash at its end.
    pub url: String,
    pub token: Option<Secret>,
}

/// The part of a release that is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    pub id: u64,
    pub html_url: String,
    pub tag_name: String,
    #[serde(default)]
    pub draft: bool,
}

/// A release as it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wanted {
    pub tag_name: String,
    pub target_commitish: String,
    pub name: String,
    pub body: String,
    pub draft: bool,
    pub prerelease: bool,
    /// `true` or `false`, as text.
    pub make_latest: &'static str,
}

impl GitHubApi {
    /// The release of a tag, a draft among the newest hundred too, which has no tag to be found by.
    pub fn release(
        &self,
        client: &Client,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Release>> {
        let path = format!("/repos/{repository}/releases/tags/{tag}");
        let answer = self.ask(client, Method::GET, &path, None)?;
        if answer.status != 404 {
            return Ok(Some(read(&answer, &[200])?));
        }
        let path = format!("/repos/{repository}/releases?per_page=100");
        let answer = self.ask(client, Method::GET, &path, None)?;
        let releases: Vec<Release> = read(&answer, &[200])?;
        Ok(releases.into_iter().find(|release| release.tag_name == tag))
    }

    /// Creates the release, or brings the one that is there to what it should be.
    pub fn put(
        &self,
        client: &Client,
        repository: &Repository,
        wanted: &Wanted,
        existing: Option<&Release>,
    ) -> Result<Release> {
        let body = serde_json::to_vec(wanted)?;
        let (method, path, status) = match existing {
            Some(release) => {
                (Method::PATCH, format!("/repos/{repository}/releases/{}", release.id), 200)
            }
            None => (Method::POST, format!("/repos/{repository}/releases"), 201),
        };
        let answer = self.ask(client, method, &path, Some(body))?;
        read(&answer, &[status])
    }

    fn ask(
        &self,
        client: &Client,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer> {
        let mut call = Call::new(method, format!("{}{path}", self.url))
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header("user-agent", "autogit-xtask")
            .limit(8 << 20)
            .authorization(
                self.token.as_ref().map(|token| Secret::new(format!("Bearer {}", token.reveal()))),
            );
        if let Some(body) = body {
            call = call.header("content-type", "application/json").body(body);
        }
        client.plain(call).with_context(|| format!("cannot ask GitHub for `{path}`"))
    }
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    field: String,
    #[serde(default)]
    code: String,
}

fn read<T: serde::de::DeserializeOwned>(answer: &Answer, expected: &[u16]) -> Result<T> {
    if expected.contains(&answer.status) {
        return serde_json::from_slice(&answer.body).context("GitHub answered in an unknown form");
    }
    let problem: Option<Problem> = serde_json::from_slice(&answer.body).ok();
    let message = problem.map_or_else(String::new, |problem| {
        let details =
            problem.errors.iter().map(|detail| format!("; {} {}", detail.field, detail.code));
        problem.message.clone() + &details.collect::<String>()
    });
    let failure = Failure::failed(format!("GitHub answered with {}: {message}", answer.status));
    Err(match answer.status {
        401 => {
            failure.hint("the token is not valid: gh auth login, or `github-token: …` in the job")
        }
        403 | 404 => failure
            .hint("give the job `permissions: contents: write`, or the token the scope `repo`"),
        422 => failure.hint("git push origin TAG, if GitHub does not have the commit yet"),
        _ => failure,
    }
    .into())
}

//! Package versions on GitHub, over the REST API: list, delete, restore. It asks for nothing twice, waits
//! as the answers demand, and stops when its budget is used up.
//!
//! Source: "REST API endpoints for packages" and "Rate limits for the REST API", version 2022-11-28.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use ureq::http::Method;

use crate::model::failure::Failure;
use crate::model::reference::{Digest, Repository};
use crate::model::token::Secret;

use super::clock;
use super::github_api::GitHubApi;
use super::registry::{Answer, Call, Client};

/// The least time between two deletions, as GitHub asks of requests that change something.
pub const PACE: Duration = Duration::from_secs(1);
/// The longest wait for a limit to end that is sat out.
const PATIENCE: Duration = Duration::from_secs(120);

/// The packages of one owner.
pub struct Packages<'a> {
    pub api: &'a GitHubApi,
    pub client: &'a Client,
    /// `users/NAME` or `orgs/NAME`.
    owner: String,
    requests: AtomicU64,
    /// The most requests that may be sent.
    budget: u64,
}

/// One version, as GitHub lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PackageVersion {
    pub id: u64,
    /// The digest.
    pub name: Digest,
    pub created_at: String,
    pub updated_at: String,
    #[serde(default)]
    pub metadata: Metadata,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    #[serde(default)]
    pub container: Container,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Container {
    #[serde(default)]
    pub tags: Vec<String>,
}

/// What became of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    Done,
    /// It is not there, or the token is no admin of the package: GitHub does not tell them apart.
    NotFound,
    Refused(String),
}

#[derive(Deserialize)]
struct Owner {
    #[serde(rename = "type")]
    kind: String,
}

impl<'a> Packages<'a> {
    /// Finds out whether the owner is a user or an organisation.
    pub fn of(
        api: &'a GitHubApi,
        client: &'a Client,
        repository: &Repository,
        budget: u64,
    ) -> Result<Self> {
        let owner = repository.as_str().split('/').next().unwrap_or_default();
        let mut packages =
            Self { api, client, owner: String::new(), requests: AtomicU64::new(0), budget };
        let answer = packages.ask(&Method::GET, &format!("{}/users/{owner}", api.url))?;
        let found: Owner = read(&answer)?;
        let kind = if found.kind == "Organization" { "orgs" } else { "users" };
        packages.owner = format!("{kind}/{owner}");
        Ok(packages)
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Every version of a package, each once: pages shift while something is pushed or deleted.
    pub fn versions(&self, package: &str) -> Result<Vec<PackageVersion>> {
        let mut url = Some(format!("{}?per_page=100", self.url(package)));
        let mut versions: BTreeMap<u64, PackageVersion> = BTreeMap::new();
        while let Some(next) = url {
            let answer = self.ask(&Method::GET, &next)?;
            if answer.status == 404 {
                return Err(Failure::failed(format!(
                    "GitHub has no package `{package}` for this token"
                ))
                .hint("give the token `read:packages`, or the job `permissions: packages: write`")
                .into());
            }
            let page: Vec<PackageVersion> = read(&answer)?;
            versions.extend(page.into_iter().map(|version| (version.id, version)));
            url = answer.header("link").and_then(next_page).map(str::to_owned);
        }
        Ok(versions.into_values().collect())
    }

    /// The tags that a version has now; `None` where there is no such version.
    pub fn tags(&self, package: &str, id: u64) -> Result<Option<Vec<String>>> {
        let answer = self.ask(&Method::GET, &format!("{}/{id}", self.url(package)))?;
        if answer.status == 404 {
            return Ok(None);
        }
        read::<PackageVersion>(&answer).map(|version| Some(version.metadata.container.tags))
    }

    pub fn delete(&self, package: &str, id: u64) -> Result<Deletion> {
        let answer = self.ask(&Method::DELETE, &format!("{}/{id}", self.url(package)))?;
        Ok(match answer.status {
            204 => Deletion::Done,
            404 => Deletion::NotFound,
            400 | 403 | 422 => Deletion::Refused(message(&answer)),
            _ => return Err(unexpected(&answer)),
        })
    }

    /// Restores a version that was deleted within the last 30 days.
    pub fn restore(&self, package: &str, id: u64) -> Result<Deletion> {
        let answer = self.ask(&Method::POST, &format!("{}/{id}/restore", self.url(package)))?;
        Ok(match answer.status {
            204 => Deletion::Done,
            404 => Deletion::NotFound,
            400 | 403 | 409 | 422 => Deletion::Refused(message(&answer)),
            _ => return Err(unexpected(&answer)),
        })
    }

    fn url(&self, package: &str) -> String {
        let name = package.replace('/', "%2F");
        format!("{}/{}/packages/container/{name}/versions", self.api.url, self.owner)
    }

    /// One request, and those that follow when a limit ends soon.
    fn ask(&self, method: &Method, url: &str) -> Result<Answer> {
        let begun = Instant::now();
        loop {
            if self.requests.fetch_add(1, Ordering::SeqCst) >= self.budget {
                return Err(ended(&format!("the budget of {} requests is used up", self.budget)));
            }
            let mut call = Call::new(method.clone(), url)
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28")
                .header("user-agent", "autogit-xtask")
                .limit(8 << 20)
                .authorization(self.authorization());
            if *method == Method::POST {
                call = call.body(Vec::new());
            }
            let answer = self.client.plain(call).context("cannot ask GitHub")?;
            let Some(wait) = limited(&answer, clock::now()) else { return Ok(answer) };
            if begun.elapsed() + wait > PATIENCE {
                let seconds = wait.as_secs();
                return Err(ended(&format!("GitHub asks to wait for {seconds} s")));
            }
            clock::sleep(wait)?;
        }
    }

    fn authorization(&self) -> Option<Secret> {
        self.api.token.as_ref().map(|token| Secret::new(format!("Bearer {}", token.reveal())))
    }
}

/// The budget or a rate limit ended before the work did.
fn ended(reason: &str) -> anyhow::Error {
    Failure::unfinished(reason).hint("run it again later, it goes on where it stopped").into()
}

/// How long GitHub asks to wait, in any of the forms in which it does.
fn limited(answer: &Answer, now: u64) -> Option<Duration> {
    if !matches!(answer.status, 403 | 429) {
        return None;
    }
    let number = |name: &str| answer.header(name).and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs(seconds));
    }
    if number("x-ratelimit-remaining") == Some(0) {
        let reset = number("x-ratelimit-reset").unwrap_or(now + 60);
        return Some(Duration::from_secs(reset.saturating_sub(now) + 1));
    }
    // The secondary limit without a header: at least a minute.
    let secondary = answer.status == 429 || message(answer).contains("secondary rate limit");
    secondary.then(|| Duration::from_secs(60))
}

fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T> {
    if answer.status != 200 {
        return Err(unexpected(answer));
    }
    serde_json::from_slice(&answer.body).context("GitHub answered in an unknown form")
}

fn unexpected(answer: &Answer) -> anyhow::Error {
    let failure =
        Failure::failed(format!("GitHub answered with {}: {}", answer.status, message(answer)));
    match answer.status {
        401 | 403 => failure
            .hint("give the job `permissions: packages: write`, or the token `delete:packages`"),
        _ => failure,
    }
    .into()
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    message: String,
}

fn message(answer: &Answer) -> String {
    let problem: Option<Problem> = serde_json::from_slice(&answer.body).ok();
    problem.map_or_else(String::new, |problem| problem.message)
}

/// The address of `rel="next"` in a `Link` header (RFC 8288).
fn next_page(link: &str) -> Option<&str> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    next.split_once('<')?.1.split_once('>').map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDARY: &str = r#"{"message":"You have exceeded a secondary rate limit."}"#;

    fn wait(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Option<u64> {
        let headers = headers.iter().map(|(name, value)| {
            (ureq::http::HeaderName::from_static(name), value.parse().unwrap())
        });
        let (headers, body) = (headers.collect(), body.as_bytes().to_vec());
        let answer = Answer { status, headers, body, url: String::new() };
        limited(&answer, 1000).map(|wait| wait.as_secs())
    }

    #[test]
    fn every_form_of_a_limit_says_how_long_to_wait() {
        for (status, headers, body, expected) in [
            (403, &[("retry-after", "7")][..], SECONDARY, Some(7)),
            (429, &[("retry-after", "7")], "", Some(7)),
            (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")], "", Some(31)),
            (429, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "900")], "", Some(1)),
            (403, &[("x-ratelimit-remaining", "0")], "", Some(61)),
            (403, &[("x-ratelimit-remaining", "12")], SECONDARY, Some(60)),
            (429, &[], "", Some(60)),
            (403, &[("x-ratelimit-remaining", "12")], r#"{"message":"Forbidden"}"#, None),
            (200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")], "", None),
            (503, &[("retry-after", "7")], "", None),
        ] {
            assert_eq!(wait(status, headers, body), expected, "{status} {headers:?} {body}");
        }
    }

    #[test]
    fn the_next_page_is_found_among_the_others() {
        let link = "<http://a/x?page=1>; rel=\"prev\", <http://a/x?page=3>; rel=\"next\"";
        assert_eq!(next_page(link), Some("http://a/x?page=3"));
        assert_eq!(next_page("<http://a/x?page=1>; rel=\"prev\""), None);
    }
}

//! Package versions on GitHub, over the REST API: list, delete, restore. It waits as the answers demand,
//! tries again what may pass, and stops when its budget is used up.
//!
//! Source: "REST API endpoints for packages" and "Rate limits for the REST API", version 2022-11-28.

mod limits;
mod pages;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use ureq::http::Method;

use xtask_model::failure::Failure;
use xtask_model::reference::{Digest, Repository};
use xtask_model::token::Secret;

use super::clock;
use super::github_api::GitHubApi;
use super::patience::Patience;
use super::registry::{Answer, Call, Client, same_authority};
use limits::limited;

/// The least time between two deletions, as GitHub asks of requests that change something.
pub const PACE: Duration = Duration::from_secs(1);
/// The longest wait for a limit to end that is sat out.
const LONGEST: Duration = Duration::from_secs(120);
/// How often a list is read that shifts while it is read.
const LISTINGS: usize = 3;

/// How a run asks.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The most requests that may be sent.
    pub budget: u64,
    pub patience: Patience,
}

/// The packages of one owner.
pub struct Packages<'a> {
    pub api: &'a GitHubApi,
    pub client: &'a Client,
    /// `users/NAME` or `orgs/NAME`.
    owner: String,
    requests: AtomicU64,
    terms: Terms,
}

/// The versions of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub versions: Vec<PackageVersion>,
    /// Whether none can have slipped through between two pages.
    pub complete: bool,
}

/// An answer, and how often it was asked for.
struct Answered {
    answer: Answer,
    attempts: u32,
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
        terms: Terms,
    ) -> Result<Self> {
        let owner = repository.as_str().split('/').next().unwrap_or_default();
        let mut packages =
            Self { api, client, owner: String::new(), requests: AtomicU64::new(0), terms };
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

    /// How many requests may still be sent.
    pub fn left(&self) -> u64 {
        self.terms.budget.saturating_sub(self.requests())
    }

    /// Every version of a package, each once; `None` where there is none for this token.
    pub fn versions(&self, package: &str) -> Result<Option<Listing>> {
        let mut listing = self.listing(package)?;
        for _ in 1..LISTINGS {
            if listing.as_ref().is_none_or(|listing| listing.complete) {
                break;
            }
            listing = self.listing(package)?;
        }
        Ok(listing)
    }

    /// Lists once. Pages shift while something is pushed or deleted, and one that shifts to a page that
    /// was read already is never seen: so all are counted first.
    fn listing(&self, package: &str) -> Result<Option<Listing>> {
        let address = self.url(package);
        let first = self.ask(&Method::GET, &format!("{address}?per_page=1"))?;
        if first.status == 404 {
            return Ok(None);
        }
        let one: Vec<PackageVersion> = read(&first)?;
        let count = pages::count(first.header("link"), one.len());
        let mut url = Some(format!("{address}?per_page=100"));
        let mut versions: BTreeMap<u64, PackageVersion> = BTreeMap::new();
        let mut shown = 0;
        while let Some(next) = url {
            let answer = self.ask(&Method::GET, &next)?;
            let page: Vec<PackageVersion> = read(&answer)?;
            shown += page.len();
            versions.extend(page.into_iter().map(|version| (version.id, version)));
            url = self.next(&answer)?;
        }
        let complete = count == Some(shown) && shown == versions.len();
        Ok(Some(Listing { versions: versions.into_values().collect(), complete }))
    }

    /// The address of the next page; the token goes nowhere else.
    fn next(&self, answer: &Answer) -> Result<Option<String>> {
        let Some(next) = answer.header("link").and_then(pages::next) else { return Ok(None) };
        if !same_authority(&self.api.url, next) {
            return Err(Failure::failed("the next page of versions is on another host").into());
        }
        Ok(Some(next.to_owned()))
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
        let url = format!("{}/{id}", self.url(package));
        outcome(&self.send(&Method::DELETE, &url, self.terms.budget)?)
    }

    /// Restores a version that was deleted within the last 30 days. No budget keeps it from that: what
    /// a run took by mistake comes back.
    pub fn restore(&self, package: &str, id: u64) -> Result<Deletion> {
        let url = format!("{}/{id}/restore", self.url(package));
        outcome(&self.send(&Method::POST, &url, u64::MAX)?)
    }

    fn url(&self, package: &str) -> String {
        let name = package.replace('/', "%2F");
        format!("{}/{}/packages/container/{name}/versions", self.api.url, self.owner)
    }

    fn ask(&self, method: &Method, url: &str) -> Result<Answer> {
        Ok(self.send(method, url, self.terms.budget)?.answer)
    }

    /// One request, and those that follow when a limit ends soon or GitHub stumbles, `most` in all.
    fn send(&self, method: &Method, url: &str, most: u64) -> Result<Answered> {
        let begun = Instant::now();
        let mut attempts = 0;
        loop {
            if self.requests() >= most {
                return Err(ended(&format!("the budget of {most} requests is used up")));
            }
            self.requests.fetch_add(1, Ordering::SeqCst);
            attempts += 1;
            let answered = self.client.plain(self.call(method, url));
            let may_pass = match &answered {
                Ok(answer) => answer.status >= 500,
                Err(error) => error.may_pass(),
            };
            let again = Some(attempts).filter(|_| may_pass);
            if let Some(wait) = again.and_then(|done| self.terms.patience.after(done, None)) {
                clock::sleep(wait)?;
                continue;
            }
            let answer = answered.context("cannot ask GitHub")?;
            let Some(wait) = limited(&answer, clock::now()) else {
                return Ok(Answered { answer, attempts });
            };
            if begun.elapsed() + wait > LONGEST {
                let seconds = wait.as_secs();
                return Err(ended(&format!("GitHub asks to wait for {seconds} s")));
            }
            clock::sleep(wait)?;
        }
    }

    fn call(&self, method: &Method, url: &str) -> Call {
        let call = Call::new(method.clone(), url)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header("user-agent", "autogit-xtask")
            .limit(8 << 20)
            .authorization(self.authorization());
        if *method == Method::POST { call.body(Vec::new()) } else { call }
    }

    fn authorization(&self) -> Option<Secret> {
        self.api.token.as_ref().map(|token| Secret::new(format!("Bearer {}", token.reveal())))
    }
}

/// What became of a deletion or a restoration.
fn outcome(answered: &Answered) -> Result<Deletion> {
    let answer = &answered.answer;
    Ok(match answer.status {
        204 => Deletion::Done,
        // An attempt before this one did it, and its answer got lost.
        404 if answered.attempts > 1 => Deletion::Done,
        404 => Deletion::NotFound,
        400 | 403 | 409 | 422 => Deletion::Refused(message(answer)),
        _ => return Err(unexpected(answer)),
    })
}

/// The budget or a rate limit ended before the work did.
fn ended(reason: &str) -> anyhow::Error {
    Failure::unfinished(reason).hint("run it again later, it goes on where it stopped").into()
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

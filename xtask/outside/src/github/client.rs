//! GitHub's REST API: one request as it wants to be asked, tried again as it allows, its pages and its
//! errors. No error contains the token.
//!
//! Source: "Rate limits for the REST API" and "Best practices for using the REST API", version 2022-11-28.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::Method;

use xtask_model::failure::Failure;
use xtask_model::pagination::link;
use xtask_model::remote::RemoteError;
use xtask_model::token::Secret;

use crate::clock;
use crate::http::{Answer, Call, Http, RateLimit, of_status, rate_limit, same_authority};
use crate::retry::retry;

/// The least wait after a limit that names none.
const MINUTE: Duration = Duration::from_secs(60);

/// The API and who asks it.
#[derive(Debug)]
pub struct GitHub {
    http: Http,
    /// `https://api.github.com`, without a slash at its end.
    url: String,
    token: Option<Secret>,
    /// The most requests that may be sent.
    budget: u64,
    sent: AtomicU64,
}

/// A request to send.
#[derive(Debug)]
pub(super) struct ApiRequest<'r> {
    pub method: Method,
    /// A path of the API, or a whole address that an answer gave.
    pub path: &'r str,
    pub body: Option<Vec<u8>>,
    /// Whether the budget counts for it.
    pub budgeted: bool,
}

impl<'r> ApiRequest<'r> {
    pub fn new(method: Method, path: &'r str) -> Self {
        Self { method, path, body: None, budgeted: true }
    }
}

/// An answer, and how often it was asked for.
pub(super) struct Answered {
    pub answer: Answer,
    pub attempts: u32,
}

impl GitHub {
    pub fn new(http: Http, url: &str, token: Option<Secret>) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self { http, url, token, budget: u64::MAX, sent: AtomicU64::new(0) }
    }

    /// The same, which sends at most this many requests.
    #[must_use]
    pub fn with_budget(self, budget: u64) -> Self {
        Self { budget, ..self }
    }

    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// How many requests may still be sent.
    pub fn left(&self) -> u64 {
        self.budget.saturating_sub(self.sent.load(Ordering::SeqCst))
    }

    pub(super) fn get(&self, path: &str) -> Result<Answer> {
        Ok(self.send(&ApiRequest::new(Method::GET, path))?.answer)
    }

    /// Sends a request, and again what may pass; returns any answer that is no outage and no limit.
    pub(super) fn send(&self, request: &ApiRequest<'_>) -> Result<Answered> {
        let mut attempts = 0;
        let answer = retry(|| {
            if request.budgeted && self.left() == 0 {
                return Err(RemoteError::OverBudget { requests: self.budget });
            }
            self.sent.fetch_add(1, Ordering::SeqCst);
            attempts += 1;
            let answer = self.http.send(self.call(request))?;
            match rate_limit(&answer, clock::now()) {
                Some(RateLimit { retry_after }) => {
                    Err(RemoteError::RateLimited { retry_after: retry_after.or(Some(MINUTE)) })
                }
                None if answer.status >= 500 => Err(of_status(&answer)),
                None => Ok(answer),
            }
        });
        let answer = answer.with_context(|| format!("cannot ask GitHub for `{}`", request.path))?;
        Ok(Answered { answer, attempts })
    }

    fn call(&self, request: &ApiRequest<'_>) -> Call {
        let path = request.path;
        let url =
            if path.starts_with('/') { format!("{}{path}", self.url) } else { path.to_owned() };
        let bearer = |token: &Secret| Secret::new(format!("Bearer {}", token.reveal()));
        let call = Call::new(request.method.clone(), url)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header("user-agent", "autogit-xtask")
            .limit(8 << 20)
            .authorization(self.token.as_ref().map(bearer));
        match &request.body {
            Some(body) if body.is_empty() => call.body(Vec::new()),
            Some(body) => call.header("content-type", "application/json").body(&**body),
            None => call,
        }
    }

    /// The address of the next page. The token goes to no other host.
    pub(super) fn next_page(&self, answer: &Answer) -> Result<Option<String>> {
        let next = answer.header("link").and_then(|header| link(header, "next"));
        match next {
            Some(next) if !same_authority(&self.url, next) => {
                Err(Failure::failed("GitHub's next page is on another host").into())
            }
            next => Ok(next.map(str::to_owned)),
        }
    }
}

/// The content of an answer with the status `expected`; `permission` is what to give a token that lacks it.
pub(super) fn read<T: DeserializeOwned>(
    answer: &Answer,
    expected: u16,
    permission: &str,
) -> Result<T> {
    if answer.status != expected {
        return Err(unexpected(answer, permission).into());
    }
    let read = serde_json::from_slice(&answer.body).map_err(RemoteError::malformed);
    read.context("GitHub answered in an unknown form")
}

/// The error of an answer, with the next command to type.
pub(super) fn unexpected(answer: &Answer, permission: &str) -> Failure {
    let problem = Problem::of(answer);
    let failure = Failure::failed(format!("GitHub answered with {}: {problem}", answer.status));
    match answer.status {
        401 => {
            failure.hint("the token is not valid: gh auth login, or `github-token: …` in the job")
        }
        403 | 404 => failure.hint(permission),
        422 if problem.has("target_commitish", "invalid") => {
            failure.hint("GitHub does not have the commit: git push origin HEAD")
        }
        _ => failure,
    }
}

/// What an answer says is wrong.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Debug, Deserialize)]
struct Detail {
    #[serde(default)]
    field: String,
    /// `missing_field`, `invalid`, `already_exists`, or `custom`, which a message explains.
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Problem {
    pub fn of(answer: &Answer) -> Self {
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// Whether a field was refused for this reason.
    pub fn has(&self, field: &str, code: &str) -> bool {
        self.errors.iter().any(|detail| detail.field == field && detail.code == code)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)?;
        for Detail { field, code, message } in &self.errors {
            let text = if message.is_empty() { code } else { message };
            write!(formatter, "; {}", format!("{field} {text}").trim())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, message: &str, hint: Option<&str>) {
        let failure = unexpected(&Answer::of(status, &[], body), "give `contents: write`");
        assert_eq!(failure.message, format!("GitHub answered with {status}: {message}"));
        let has = |hint: &str| failure.hint.as_ref().is_some_and(|text| text.contains(hint));
        assert!(hint.map_or(failure.hint.is_none(), has), "{:?}", failure.hint);
    }

    #[test]
    fn each_refusal_has_its_own_hint() {
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
        check(400, "oops", "", None);
    }

    #[test]
    fn the_token_stays_with_its_host() {
        let github = GitHub::new(Http::default(), "http://a/", None);
        let next = |link| github.next_page(&Answer::of(200, &[("link", link)], ""));
        assert_eq!(next(r#"<http://a/x>; rel="next""#).unwrap().as_deref(), Some("http://a/x"));
        assert_eq!(next(r#"<http://b/x>; rel="prev""#).unwrap(), None);
        assert!(next(r#"<http://b/x>; rel="next""#).is_err());
    }
}

//! Which error an answer means, and how long it asks to wait.

use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;

use xtask_model::remote::{RemoteError, Result};

use super::call::Answer;
use crate::clock;

/// The answer, if its status is one of `expected`.
pub(crate) fn expect(answer: Answer, expected: &[u16]) -> Result<Answer> {
    if expected.contains(&answer.status) { Ok(answer) } else { Err(of_status(&answer)) }
}

/// The error that an unexpected status means.
pub(crate) fn of_status(answer: &Answer) -> RemoteError {
    let message = message_in(&answer.body).unwrap_or_else(|| "no reason given".to_owned());
    if let Some(RateLimit { retry_after }) = rate_limit(answer, clock::now()) {
        return RemoteError::RateLimited { retry_after };
    }
    match answer.status {
        401 => RemoteError::Unauthorized { message },
        403 => RemoteError::Denied { message },
        404 => RemoteError::NotFound,
        status @ 500.. => RemoteError::Server { status, message },
        status => RemoteError::Refused { status, message },
    }
}

/// An answer to too many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimit {
    /// The wait that it asks for, if it does.
    pub retry_after: Option<Duration>,
}

/// Recognizes an answer to too many requests.
///
/// Sources: RFC 9110, 10.2.3; "Rate limits for the REST API", version 2022-11-28. GHCR, too, answers with
/// 403 to a secondary limit.
pub(crate) fn rate_limit(answer: &Answer, now: u64) -> Option<RateLimit> {
    if !matches!(answer.status, 403 | 429) {
        return None;
    }
    let number = |name: &str| answer.header(name)?.trim().parse::<u64>().ok();
    let asked = answer.header("retry-after").and_then(|text| retry_after(text.trim(), now));
    let until_reset = || {
        let reset = number("x-ratelimit-reset").unwrap_or(now + 60);
        Duration::from_secs(reset.saturating_sub(now) + 1)
    };
    let used_up = number("x-ratelimit-remaining") == Some(0);
    let retry_after = asked.or_else(|| used_up.then(until_reset));
    let is_secondary =
        || message_in(&answer.body).is_some_and(|m| m.contains("secondary rate limit"));
    let is_limit = retry_after.is_some() || answer.status == 429 || is_secondary();
    is_limit.then_some(RateLimit { retry_after })
}

/// Both forms of the header: seconds, or a date.
fn retry_after(text: &str, now: u64) -> Option<Duration> {
    let until = || {
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs().saturating_sub(now))
    };
    text.parse().ok().or_else(until).map(Duration::from_secs)
}

/// The error bodies of registries, with a list of errors, and of GitHub, with one message.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The codes and messages of an error body, in one line of printable text and no longer than a person
/// reads. `detail` is left out: registries put requests into it.
fn message_in(body: &[u8]) -> Option<String> {
    let read: ErrorBody = serde_json::from_slice(body).ok()?;
    let lines = read.errors.iter().map(|entry| match (&*entry.code, &*entry.message) {
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    });
    let lines: Vec<String> = std::iter::once(read.message).chain(lines).collect();
    let text = lines.iter().filter(|line| !line.is_empty()).map(String::as_str);
    let text = text.collect::<Vec<_>>().join("; ");
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDARY: &str = r#"{"message":"You have exceeded a secondary rate limit."}"#;
    const FORBIDDEN: &str = r#"{"message":"Resource not accessible by integration"}"#;

    #[test]
    fn every_form_of_a_limit_is_known() {
        let none = ("x-ratelimit-remaining", "0");
        let some = ("x-ratelimit-remaining", "12");
        for (status, headers, body, expected) in [
            (403, &[("retry-after", "7")][..], SECONDARY, Some(Some(7))),
            (429, &[("retry-after", "7")], "", Some(Some(7))),
            (429, &[("retry-after", "Thu, 01 Jan 1970 00:17:10 GMT")], "", Some(Some(30))),
            (403, &[("retry-after", "Thu, 01 Jan 1970 00:00:10 GMT")], "", Some(Some(0))),
            (403, &[none, ("x-ratelimit-reset", "1030")], "", Some(Some(31))),
            (429, &[none, ("x-ratelimit-reset", "900")], "", Some(Some(1))),
            (403, &[none], "", Some(Some(61))),
            (403, &[some], SECONDARY, Some(None)),
            (429, &[], "", Some(None)),
            (403, &[some], FORBIDDEN, None),
            (200, &[none, ("x-ratelimit-reset", "1030")], "", None),
            (503, &[("retry-after", "7")], "", None),
        ] {
            let limit = rate_limit(&Answer::of(status, headers, body), 1000);
            let wait = limit.map(|limit| limit.retry_after.map(|wait| wait.as_secs()));
            assert_eq!(wait, expected, "{status} {headers:?} {body}");
        }
    }

    #[test]
    fn an_error_says_what_the_body_says() {
        let registry = r#"{"errors":[{"code":"DENIED","message":"no\n access","detail":"x"}]}"#;
        for (body, expected) in [
            (registry, "denied: DENIED: no access"),
            (FORBIDDEN, "denied: Resource not accessible by integration"),
            ("<html>", "denied: no reason given"),
        ] {
            assert_eq!(of_status(&Answer::of(403, &[], body)).to_string(), expected);
        }
    }
}

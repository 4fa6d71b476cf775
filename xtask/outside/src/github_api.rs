//! GitHub's REST API: one call as it wants to be asked, its limits, its pages and its errors. No error
//! carries the token.
//!
//! Source: "Rate limits for the REST API" and "Best practices for using the REST API", version 2022-11-28.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use ureq::http::Method;

use xtask_model::failure::Failure;
use xtask_model::token::Secret;

use super::clock;
use super::registry::{Answer, Call, Client};

/// The longest wait for a limit to end that is sat out.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the API is and who asks.
#[derive(Debug, Clone)]
pub struct GitHubApi {
    /// `https://api.github.com`, without a slash at its end.
    pub url: String,
    pub token: Option<Secret>,
}

impl GitHubApi {
    /// Asks for `path`, or for a whole address that an answer gave. A limit that ends soon is sat out; `admit`
    /// is asked before each request.
    pub(super) fn ask(
        &self,
        client: &Client,
        method: &Method,
        path: &str,
        body: Option<&[u8]>,
        mut admit: impl FnMut() -> Result<()>,
    ) -> Result<Answer> {
        let begun = Instant::now();
        loop {
            admit()?;
            let call = self.call(method.clone(), path, body);
            let answer =
                client.plain(call).with_context(|| format!("cannot ask GitHub for `{path}`"))?;
            let Some(wait) = limited(&answer, clock::now()) else { return Ok(answer) };
            if begun.elapsed() + wait > PATIENCE {
                let message = format!("GitHub asks to wait for {} s", wait.as_secs());
                return Err(Failure::unfinished(message)
                    .hint("run it again then, it goes on where it stopped")
                    .into());
            }
            clock::sleep(wait)?;
        }
    }

    fn call(&self, method: Method, path: &str, body: Option<&[u8]>) -> Call {
        let url =
            if path.starts_with('/') { format!("{}{path}", self.url) } else { path.to_owned() };
        let bearer = |token: &Secret| Secret::new(format!("Bearer {}", token.reveal()));
        let call = Call::new(method, url)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .header("user-agent", "autogit-xtask")
            .limit(8 << 20)
            .authorization(self.token.as_ref().map(bearer));
        match body {
            Some(body) => call.header("content-type", "application/json").body(body),
            None => call,
        }
    }
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
    let secondary =
        answer.status == 429 || Problem::of(answer).message.contains("secondary rate limit");
    secondary.then(|| Duration::from_secs(60))
}

/// The address of `rel="next"` in a `Link` header (RFC 8288).
pub(super) fn next_page(answer: &Answer) -> Option<&str> {
    let next = answer.header("link")?.split(',').find(|part| part.contains("rel=\"next\""))?;
    next.split_once('<')?.1.split_once('>').map(|(address, _)| address)
}

/// What an answer says is wrong.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub errors: Vec<Detail>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Detail {
    #[serde(default)]
    pub field: String,
    /// `missing_field`, `invalid`, `already_exists`, or `custom`, which a message explains.
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub message: String,
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
pub(super) mod tests {
    use super::*;

    pub fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            (ureq::http::HeaderName::from_static(name), value.parse().unwrap())
        });
        let (headers, body) = (headers.collect(), body.as_bytes().to_vec());
        Answer { status, headers, body, url: String::new() }
    }

    #[test]
    fn every_form_of_a_limit_says_how_long_to_wait() {
        let secondary = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        let ends = ("x-ratelimit-reset", "1030");
        let none = ("x-ratelimit-remaining", "0");
        let some = ("x-ratelimit-remaining", "12");
        for (status, headers, body, expected) in [
            (403, &[("retry-after", "7")][..], secondary, Some(7)),
            (429, &[("retry-after", "7")], "", Some(7)),
            (403, &[none, ends], "", Some(31)),
            (403, &[none], "", Some(61)),
            (403, &[some], secondary, Some(60)),
            (429, &[], "", Some(60)),
            (403, &[some], r#"{"message":"Resource not accessible by integration"}"#, None),
            (200, &[none, ends], "", None),
            (503, &[("retry-after", "7")], "", None),
        ] {
            let wait = limited(&answer(status, headers, body), 1000).map(|wait| wait.as_secs());
            assert_eq!(wait, expected, "{status} {headers:?} {body}");
        }
    }

    #[test]
    fn the_next_page_is_found_among_the_others() {
        let next = |link| next_page(&answer(200, &[("link", link)], "")).map(str::to_owned);
        let link = "<http://a/x?page=1>; rel=\"prev\", <http://a/x?page=3>; rel=\"next\"";
        assert_eq!(next(link).as_deref(), Some("http://a/x?page=3"));
        assert_eq!(next("<http://a/x?page=1>; rel=\"prev\""), None);
    }
}

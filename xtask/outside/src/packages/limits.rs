//! How long GitHub asks to wait.

use std::time::Duration;

use super::message;
use crate::registry::Answer;

/// How long GitHub asks to wait, in any of the forms in which it does.
pub fn limited(answer: &Answer, now: u64) -> Option<Duration> {
    if !matches!(answer.status, 403 | 429) {
        return None;
    }
    let number = |name: &str| answer.header(name).and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(wait) = answer.header("retry-after").and_then(|text| retry_after(text.trim(), now))
    {
        return Some(wait);
    }
    if number("x-ratelimit-remaining") == Some(0) {
        let reset = number("x-ratelimit-reset").unwrap_or(now + 60);
        return Some(Duration::from_secs(reset.saturating_sub(now) + 1));
    }
    // The secondary limit without a header: at least a minute.
    let secondary = answer.status == 429 || message(answer).contains("secondary rate limit");
    secondary.then(|| Duration::from_secs(60))
}

/// Both forms of the header (RFC 9110, 10.2.3): seconds, or a date.
fn retry_after(text: &str, now: u64) -> Option<Duration> {
    let seconds = text.parse().ok().or_else(|| {
        let date = httpdate::parse_http_date(text).ok()?;
        let date = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(date.as_secs().saturating_sub(now))
    });
    seconds.map(Duration::from_secs)
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
            (429, &[("retry-after", "Thu, 01 Jan 1970 00:17:10 GMT")], "", Some(30)),
            (403, &[("retry-after", "Thu, 01 Jan 1970 00:00:10 GMT")], "", Some(0)),
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
}

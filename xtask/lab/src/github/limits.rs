//! The rate limits of the REST API: requests an hour for each token, points a minute, and the pause between
//! deletions ("Rate limits for the REST API", docs.github.com). Refused requests are not counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use serde::Deserialize;

use super::question::error;
use crate::clock;
use crate::http::answer::Answer;
use crate::sync::lock;
use crate::tokens::Token;

const HOUR: u64 = 3600;
/// The requests per hour of a workflow's token.
const HOURLY: u64 = 1000;
const MINUTE_IN_MILLISECONDS: u64 = 60_000;
const SECONDARY: &str =
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";

/// The changes that the control endpoint accepts. An absent field changes nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    /// The token whose hour `remaining` and `reset_in` set.
    pub token: Option<String>,
    pub remaining: Option<u64>,
    /// Seconds until that hour ends.
    pub reset_in: Option<u64>,
    pub points_per_minute: Option<u64>,
    /// How long a token must wait between two deletions; 1000 by default.
    pub delete_interval_milliseconds: Option<u64>,
    pub secondary: Option<Provoked>,
}

/// Refuses the next requests because of a secondary limit.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provoked {
    pub requests: u64,
    /// 403 or 429: GitHub uses both.
    pub status: u16,
    /// Seconds; GitHub may leave it out.
    pub retry_after: Option<u64>,
}

/// The limits and how much of each is used.
#[derive(Debug)]
pub struct Limits(Mutex<State>);

#[derive(Debug)]
struct State {
    hours: BTreeMap<String, Hour>,
    points_per_minute: u64,
    delete_interval: u64,
    provoked: Option<Provoked>,
}

/// One token's requests.
#[derive(Clone, Debug, Default)]
struct Hour {
    limit: u64,
    used: u64,
    /// Seconds since 1970.
    ends: u64,
    /// Times in milliseconds, with points.
    points: VecDeque<(u64, u64)>,
    last_deletion: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self(Mutex::new(State {
            hours: BTreeMap::new(),
            points_per_minute: 900,
            delete_interval: 1000,
            provoked: None,
        }))
    }
}

impl Limits {
    pub fn change(&self, change: Change) {
        let mut state = lock(&self.0);
        state.points_per_minute = change.points_per_minute.unwrap_or(state.points_per_minute);
        state.delete_interval =
            change.delete_interval_milliseconds.unwrap_or(state.delete_interval);
        state.provoked = change.secondary.or(state.provoked);
        if let Some(token) = change.token {
            let hour = state.hours.entry(token).or_default();
            let now = clock::seconds();
            hour.ends = change.reset_in.map_or(hour.ends.max(now + 1), |seconds| now + seconds);
            if let Some(remaining) = change.remaining {
                hour.limit = HOURLY.max(remaining);
                hour.used = hour.limit - remaining;
            }
        }
    }

    /// Counts a request, or refuses it.
    pub fn admit(&self, token: &Token, method: &str) -> Result<(), Answer> {
        let mut state = lock(&self.0);
        let now = clock::milliseconds();
        if let Some(provoked) = state.provoked.as_mut().filter(|provoked| provoked.requests > 0) {
            provoked.requests -= 1;
            return Err(secondary(provoked.status, provoked.retry_after));
        }
        let (most_points, interval) = (state.points_per_minute, state.delete_interval);
        let hour = state.hours.entry(token.text.clone()).or_default();
        hour.turn(now / 1000);
        if hour.used >= hour.limit {
            return Err(error(403, &format!("API rate limit exceeded for {}.", token.login)));
        }
        let cost = if matches!(method, "GET" | "HEAD") { 1 } else { 5 };
        hour.points.retain(|(moment, _)| now.saturating_sub(*moment) < MINUTE_IN_MILLISECONDS);
        if hour.points.iter().map(|(_, points)| points).sum::<u64>() + cost > most_points {
            let first = hour.points.front().map_or(now, |(moment, _)| *moment);
            return Err(secondary(
                403,
                Some((first + MINUTE_IN_MILLISECONDS).saturating_sub(now).div_ceil(1000)),
            ));
        }
        if method == "DELETE" {
            let next = hour.last_deletion.map_or(0, |last| last + interval);
            if now < next {
                return Err(secondary(403, Some((next - now).div_ceil(1000))));
            }
            hour.last_deletion = Some(now);
        }
        hour.used += 1;
        hour.points.push_back((now, cost));
        Ok(())
    }

    /// Adds the headers that every answer to this token has.
    pub fn stamped(&self, token: &Token, answer: Answer) -> Answer {
        let hour = self.hour(token);
        answer
            .with("x-ratelimit-limit", hour.limit.to_string())
            .with("x-ratelimit-remaining", (hour.limit - hour.used.min(hour.limit)).to_string())
            .with("x-ratelimit-used", hour.used.to_string())
            .with("x-ratelimit-reset", hour.ends.to_string())
            .with("x-ratelimit-resource", "core")
    }

    fn hour(&self, token: &Token) -> Hour {
        let mut state = lock(&self.0);
        let hour = state.hours.entry(token.text.clone()).or_default();
        hour.turn(clock::seconds());
        hour.clone()
    }
}

impl Hour {
    /// Begins a new hour after the last one ends.
    fn turn(&mut self, now: u64) {
        if self.ends <= now {
            (self.used, self.ends, self.limit) = (0, now + HOUR, HOURLY);
        }
    }
}

fn secondary(status: u16, retry_after: Option<u64>) -> Answer {
    let answer = error(status, SECONDARY);
    match retry_after {
        Some(seconds) => answer.with("Retry-After", seconds.to_string()),
        None => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        serde_json::from_value(serde_json::json!({ "token": "t", "login": "l" })).unwrap()
    }

    fn statuses<const N: usize>(limits: &Limits, methods: [&str; N]) -> [u16; N] {
        methods.map(|method| {
            limits.admit(&token(), method).map_or_else(|answer| answer.status, |()| 200)
        })
    }

    #[test]
    fn refusals_do_not_count_toward_the_hour() {
        let limits = Limits::default();
        let change = Change { token: Some("t".into()), remaining: Some(3), ..Change::default() };
        limits.change(Change { reset_in: Some(9000), ..change });
        assert_eq!(statuses(&limits, ["GET"; 5]), [200, 200, 200, 403, 403]);
        let stamped = limits.stamped(&token(), Answer::empty(200));
        assert_eq!(stamped.headers.get("x-ratelimit-used"), Some("1000"));
    }

    #[test]
    fn writing_costs_five_points_of_a_minute() {
        let limits = Limits::default();
        limits.change(Change { points_per_minute: Some(6), ..Change::default() });
        assert_eq!(statuses(&limits, ["POST", "GET", "GET"]), [200, 200, 403]);
    }

    #[test]
    fn deletions_must_keep_their_distance() {
        let limits = Limits::default();
        assert_eq!(statuses(&limits, ["DELETE", "DELETE", "GET"]), [200, 403, 200]);
        limits.change(Change { delete_interval_milliseconds: Some(0), ..Change::default() });
        assert_eq!(statuses(&limits, ["DELETE"]), [200]);
    }

    #[test]
    fn a_secondary_limit_may_lack_retry_after() {
        let limits = Limits::default();
        let provoked = Provoked { requests: 1, status: 429, retry_after: None };
        limits.change(Change { secondary: Some(provoked), ..Change::default() });
        let refused = limits.admit(&token(), "GET").unwrap_err();
        assert_eq!((refused.status, refused.headers.get("retry-after")), (429, None));
        assert_eq!(statuses(&limits, ["GET"]), [200]);
    }
}

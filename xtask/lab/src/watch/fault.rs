//! Faults to inject: the rules, and the requests that they hit. The HTTP server applies the faults.

use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::sync::lock;

/// What happens to a request that a rule hits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Close the connection without an answer. The request has no effect.
    Drop,
    /// Reset the connection (RST). The request has no effect.
    Reset,
    /// Perform the request and close without an answer: the client cannot know that it took effect.
    LoseAnswer,
    /// Keep the connection open and never answer.
    Hang,
    /// Answer with this status as an error of the protocol.
    Status {
        code: u16,
        /// Seconds for the `Retry-After` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// Perform the request after a pause, or as soon as the rules are deleted.
    Delay { milliseconds: u64 },
    /// Limit bodies to this rate, in both directions.
    Slow { bytes_per_second: u64 },
    /// Announce the whole response body and close after this many bytes of it.
    Truncate { after: u64 },
    /// 403, as for a token without the permission.
    Denied,
}

impl Action {
    /// Its name in rules and in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Reset => "reset",
            Self::LoseAnswer => "lose_answer",
            Self::Hang => "hang",
            Self::Status { .. } => "status",
            Self::Delay { .. } => "delay",
            Self::Slow { .. } => "slow",
            Self::Truncate { .. } => "truncate",
            Self::Denied => "denied",
        }
    }
}

/// The requests that a rule counts, and which of those it hits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matching {
    /// Any method when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path and query: a substring, or a pattern for the whole if it contains `*`. Any path when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The first request to hit, counted from 1 among those the rule looks at, since it was posted or since `reset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// How many to hit; every one from `nth` on when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl Matching {
    fn looks_at(&self, method: &str, target: &str) -> bool {
        let method_fits =
            self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method));
        method_fits && self.path.as_ref().is_none_or(|pattern| path_fits(pattern, target))
    }

    /// Whether the request with this number, counted from 1, is hit.
    fn hits(&self, ordinal: u64) -> bool {
        let first = self.nth.unwrap_or(1);
        ordinal >= first && self.count.is_none_or(|count| ordinal - first < count)
    }
}

/// One rule, as it is posted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(rename = "match", default)]
    pub matching: Matching,
    pub action: Action,
}

/// A rule with its counts so far.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    #[serde(flatten)]
    pub rule: Rule,
    /// Requests that matched.
    pub seen: u64,
    /// Requests hit.
    pub fired: u64,
}

/// The rules of one server, in the order they were posted.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Standing>>);

impl Faults {
    pub fn add(&self, rules: Vec<Rule>) {
        lock(&self.0).extend(rules.into_iter().map(|rule| Standing { rule, seen: 0, fired: 0 }));
    }

    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Waits for this long, or until there are no rules.
    pub fn pause(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end && !lock(&self.0).is_empty() {
            sleep(duration.min(Duration::from_millis(10)));
        }
    }

    /// Resets the counts.
    pub fn reset(&self) {
        for standing in lock(&self.0).iter_mut() {
            (standing.seen, standing.fired) = (0, 0);
        }
    }

    pub fn standing(&self) -> Vec<Standing> {
        lock(&self.0).clone()
    }

    /// The fault for this request: that of the first rule that hits it. Every rule that it matches counts it.
    pub fn strike(&self, method: &str, target: &str) -> Option<Action> {
        let mut struck = None;
        for standing in lock(&self.0)
            .iter_mut()
            .filter(|standing| standing.rule.matching.looks_at(method, target))
        {
            standing.seen += 1;
            if struck.is_none() && standing.rule.matching.hits(standing.seen) {
                standing.fired += 1;
                struck = Some(standing.rule.action.clone());
            }
        }
        struck
    }
}

fn path_fits(pattern: &str, target: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else { return target.contains(pattern) };
    let Some(mut left) = target.strip_prefix(prefix) else { return false };
    let (middle, suffix) =
        rest.rsplit_once('*').map_or(("", rest), |(middle, suffix)| (middle, suffix));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(rules: &str) -> Faults {
        let faults = Faults::default();
        faults.add(serde_json::from_str(rules).unwrap());
        faults
    }

    #[test]
    fn a_pattern_with_a_star_matches_the_whole() {
        for (pattern, target, fits) in [
            ("/manifests/", "/v2/a/manifests/dev", true),
            ("*/manifests/dev", "/v2/a/manifests/dev", true),
            ("*/manifests/dev", "/v2/a/manifests/dev-1", false),
            ("/v2/*/blobs/*", "/v2/a/b/blobs/uploads/", true),
            ("/v2/*/blobs/*/x", "/v2/a/b/blobs/uploads/", false),
            ("/v2/*a*a", "/v2/a", false),
            ("*", "", true),
        ] {
            assert_eq!(path_fits(pattern, target), fits, "{pattern} {target}");
        }
    }

    #[test]
    fn nth_and_count_choose_among_matching_requests() {
        let faults = faults(
            r#"[{"match":{"method":"put","path":"/manifests/","nth":2,"count":1},"action":{"kind":"drop"}}]"#,
        );
        let struck = ["GET", "PUT", "PUT", "PUT"]
            .map(|method| faults.strike(method, "/v2/a/manifests/dev").is_some());
        assert_eq!(struck, [false, false, true, false]);
        faults.reset();
        assert!(faults.strike("PUT", "/v2/a/manifests/dev").is_none());
        assert_eq!(faults.strike("PUT", "/v2/a/manifests/dev"), Some(Action::Drop));
    }

    #[test]
    fn the_first_matching_rule_wins_and_all_count() {
        let faults = faults(
            r#"[{"match":{"count":1},"action":{"kind":"status","code":503,"retry_after":2}},{"action":{"kind":"hang"}}]"#,
        );
        assert_eq!(
            faults.strike("GET", "/"),
            Some(Action::Status { code: 503, retry_after: Some(2) })
        );
        assert_eq!(faults.strike("GET", "/"), Some(Action::Hang));
        assert_eq!(
            faults
                .standing()
                .iter()
                .map(|standing| (standing.seen, standing.fired))
                .collect::<Vec<_>>(),
            [(2, 1), (2, 1)]
        );
    }

    #[test]
    fn a_pause_ends_with_the_rules() {
        let faults = faults(r#"[{"action":{"kind":"delay","milliseconds":60000}}]"#);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| faults.pause(Duration::from_secs(60)));
            faults.clear();
        });
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn log_and_rules_name_faults_alike() {
        for rule in [
            r#"{"kind":"drop"}"#,
            r#"{"kind":"reset"}"#,
            r#"{"kind":"lose_answer"}"#,
            r#"{"kind":"hang"}"#,
            r#"{"kind":"status","code":500}"#,
            r#"{"kind":"delay","milliseconds":1}"#,
            r#"{"kind":"slow","bytes_per_second":1}"#,
            r#"{"kind":"truncate","after":1}"#,
            r#"{"kind":"denied"}"#,
        ] {
            let action: Action = serde_json::from_str(rule).unwrap();
            assert!(rule.contains(&format!("\"{}\"", action.name())), "{rule}");
        }
    }

    #[test]
    fn a_misspelt_rule_is_refused() {
        for rule in
            [r#"{"action":{"kind":"dropp"}}"#, r#"{"match":{"nht":1},"action":{"kind":"drop"}}"#]
        {
            assert!(serde_json::from_str::<Rule>(rule).is_err(), "{rule}");
        }
    }
}

//! The control endpoints that every stand-in offers: its log, its sums and its faults.
//!
//! `GET requests`, `GET counters`, `POST reset`, and `GET`, `POST` and `DELETE faults`.

use super::Watch;
use super::fault::Rule;
use crate::http::answer::Answer;

/// Answers a common control request; none when `endpoint` is not one of them.
pub fn answer(watch: &Watch, method: &str, endpoint: &str, body: &[u8]) -> Option<Answer> {
    Some(match (method, endpoint) {
        ("GET", "requests") => Answer::json(200, &watch.traffic.list()),
        ("GET", "counters") => Answer::json(200, &watch.traffic.counters()),
        ("POST", "reset") => {
            watch.traffic.reset();
            watch.faults.reset();
            Answer::empty(204)
        }
        ("GET", "faults") => Answer::json(200, &watch.faults.standing()),
        ("DELETE", "faults") => {
            watch.faults.clear();
            Answer::empty(204)
        }
        ("POST", "faults") => match parse(body) {
            Ok(rules) => {
                watch.faults.add(rules);
                Answer::empty(204)
            }
            Err(error) => Answer::text(400, format!("invalid fault rule: {error}\n")),
        },
        _ => return None,
    })
}

/// Parses one rule or a list of them. It chooses the form first, because the error must be about the rule.
fn parse(body: &[u8]) -> serde_json::Result<Vec<Rule>> {
    if body.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(body)
    } else {
        Ok(vec![serde_json::from_slice(body)?])
    }
}

//! The control endpoints of the API stand-in, under `/_lab/`.
//!
//! Besides the endpoints of every stand-in:
//! - `POST tokens` with a [`Token`], `DELETE tokens/{text}`;
//! - `POST repositories` with a [`Registration`], answered by `{id, git_dir}`;
//! - `POST limits` with a [`Change`];
//! - `POST made-up` with a list of [`MadeUp`]: any number of versions without a push;
//! - `POST versions` with a list of `{repository, digest, created_at}`: when versions were pushed.

use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::limits::Change;
use super::repositories::Registration;
use super::state::Github;
use crate::clock;
use crate::http::answer::Answer;
use crate::ledger::packages::{Event, What};
use crate::tokens::Token;
use crate::watch;

/// A change to the age of a version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Amendment {
    /// `owner/name`.
    repository: String,
    digest: String,
    /// As GitHub writes it, `2026-10-01T00:00:00Z`.
    created_at: String,
}

/// A version that the API lists and whose manifest the registry front serves, without blobs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeUp {
    /// `owner/name`.
    repository: String,
    digest: String,
    media_type: String,
    /// The bytes that have this digest.
    manifest: String,
    #[serde(default)]
    tags: Vec<String>,
    /// As GitHub writes it, `2026-10-01T00:00:00Z`.
    created_at: String,
}

pub fn answer(github: &Github, method: &str, endpoint: &[&str], body: &[u8]) -> io::Result<Answer> {
    if let Some(answer) = watch::control::answer(&github.watch, method, &endpoint.join("/"), body) {
        return Ok(answer);
    }
    Ok(match (method, endpoint) {
        ("POST", ["tokens"]) => match parse::<Token>(body) {
            Ok(token) => {
                github.tokens.add(token)?;
                Answer::empty(204)
            }
            Err(refused) => refused,
        },
        ("DELETE", ["tokens", text]) => {
            Answer::empty(if github.tokens.revoke(text)? { 204 } else { 404 })
        }
        ("POST", ["repositories"]) => match parse::<Registration>(body) {
            Ok(registration) => {
                let repository = github.repositories.register(registration)?;
                Answer::json(200, &json!({ "id": repository.id, "git_dir": repository.git_dir }))
            }
            Err(refused) => refused,
        },
        ("POST", ["limits"]) => match parse::<Change>(body) {
            Ok(change) => {
                github.limits.change(change);
                Answer::empty(204)
            }
            Err(refused) => refused,
        },
        ("POST", ["made-up"]) => match parse::<Vec<MadeUp>>(body) {
            Ok(versions) => make_up(github, versions)?,
            Err(refused) => refused,
        },
        ("POST", ["versions"]) => match parse::<Vec<Amendment>>(body) {
            Ok(amendments) => amend(github, amendments)?,
            Err(refused) => refused,
        },
        _ => Answer::text(404, "unknown control endpoint\n"),
    })
}

fn amend(github: &Github, amendments: Vec<Amendment>) -> io::Result<Answer> {
    let mut events = Vec::new();
    for amendment in amendments {
        let known = github.packages.ledger.read(|packages| {
            packages
                .get(&amendment.repository)
                .is_some_and(|package| package.current(&amendment.digest).is_some())
        });
        if !known {
            return Ok(Answer::text(
                404,
                format!("no such version: `{}@{}`\n", amendment.repository, amendment.digest),
            ));
        }
        let Some(created) = clock::parse(&amendment.created_at) else { return Ok(no_moment()) };
        let what = What::Amended { digest: amendment.digest, created };
        events.push(Event { repository: amendment.repository, at: clock::seconds(), what });
    }
    github.packages.ledger.enter(events)?;
    Ok(Answer::empty(204))
}

fn make_up(github: &Github, versions: Vec<MadeUp>) -> io::Result<Answer> {
    let ledger = &github.packages.ledger;
    let mut events = Vec::new();
    for MadeUp { repository, digest, media_type, manifest, tags, created_at } in versions {
        let Some(at) = clock::parse(&created_at) else { return Ok(no_moment()) };
        ledger.keep_manifest(&digest, manifest.as_bytes())?;
        events.push(Event { repository, at, what: What::MadeUp { digest, tags, media_type } });
    }
    ledger.enter(events)?;
    Ok(Answer::empty(204))
}

fn no_moment() -> Answer {
    Answer::text(400, "`created_at` must be a time such as `2026-10-01T00:00:00Z`\n")
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Answer> {
    serde_json::from_slice(body)
        .map_err(|error| Answer::text(400, format!("invalid body: {error}\n")))
}

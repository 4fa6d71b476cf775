//! Bearer authentication as GHCR has it (distribution specification, token authentication): a challenge that
//! names the scope, a token endpoint that takes Basic credentials, and tokens with the requested and
//! permitted scopes. As on GHCR, the password is an access token, and the user name is ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::error;
use super::route::{Kind, Route};
use crate::clock;
use crate::http::answer::Answer;
use crate::http::head::RequestHead;
use crate::http::target;
use crate::state;
use crate::sync::lock;
use crate::tokens::{Level, Tokens};

const LIFETIME_IN_SECONDS: u64 = 300;

/// The contents of an issued token.
#[derive(Clone, Debug)]
struct Grant {
    /// Pairs of repository and action.
    access: BTreeSet<(String, &'static str)>,
    /// The most that its owner can be granted.
    level: Level,
    /// Milliseconds since 1970.
    expires: u64,
}

/// The issued tokens.
#[derive(Debug)]
pub struct Authentication {
    tokens: Arc<Tokens>,
    issued: Mutex<BTreeMap<String, Grant>>,
}

impl Authentication {
    pub fn new(tokens: Arc<Tokens>) -> Self {
        Self { tokens, issued: Mutex::default() }
    }

    /// The refusal of a request; none if its token permits it.
    pub fn check(&self, request: &RequestHead, route: &Route) -> Option<Answer> {
        let unauthorized =
            || error::answer(401).with("WWW-Authenticate", challenge(request, route));
        let authorization = request.headers.get("authorization").unwrap_or_default();
        let bearer = authorization.strip_prefix("Bearer ").unwrap_or_default();
        let grant = lock(&self.issued).get(bearer).cloned();
        let Some(grant) = grant.filter(|grant| grant.expires > clock::milliseconds()) else {
            return Some(unauthorized());
        };
        let (action, needed) = needed(&request.method);
        let permitted = route.repository.is_empty()
            || grant.access.contains(&(route.repository.clone(), action));
        if permitted {
            None
        } else if grant.level < needed {
            // A new token would not help: the user lacks the permission.
            let what = if action == "push" { "write" } else { "read" };
            Some(error::with(403, "DENIED", &format!("permission_denied: {what}_package")))
        } else {
            Some(unauthorized())
        }
    }

    /// The token endpoint.
    pub fn issue(&self, request: &RequestHead) -> Answer {
        if request.method != "GET" {
            // Clients that try OAuth 2 first continue with GET after this answer, as with GHCR.
            return error::answer(405);
        }
        let Some(authorization) = request.headers.get("authorization") else {
            return error::answer(401);
        };
        let known = password(authorization).and_then(|password| self.tokens.find(&password));
        let Some(token) = known else { return error::with(403, "DENIED", "denied") };
        let level = token.level("packages");
        let access = target::parameters(&request.target)
            .filter(|(name, _)| name == "scope")
            .flat_map(|(_, scope)| granted(&scope, level))
            .collect();
        let Ok(token) = state::random_text() else { return error::answer(500) };
        let expires = clock::milliseconds() + LIFETIME_IN_SECONDS * 1000;
        let mut issued = lock(&self.issued);
        issued.retain(|_, grant| grant.expires > clock::milliseconds());
        issued.insert(token.clone(), Grant { access, level, expires });
        Answer::json(200, &json!({ "token": token, "expires_in": LIFETIME_IN_SECONDS }))
    }
}

/// The `WWW-Authenticate` header for a request.
pub fn challenge(request: &RequestHead, route: &Route) -> String {
    let host = request.headers.get("host").unwrap_or_default();
    let scope = if route.repository.is_empty() {
        String::new()
    } else {
        let actions = if needed(&request.method).0 == "pull" { "pull" } else { "pull,push" };
        format!(",scope=\"repository:{}:{actions}\"", route.repository)
    };
    let error = if request.headers.get("authorization").is_some_and(|_| route.kind != Kind::Token) {
        ",error=\"invalid_token\""
    } else {
        ""
    };
    format!("Bearer realm=\"http://{host}/token\",service=\"{host}\"{scope}{error}")
}

fn needed(method: &str) -> (&'static str, Level) {
    if matches!(method, "GET" | "HEAD") { ("pull", Level::Read) } else { ("push", Level::Write) }
}

/// The rights that a scope such as `repository:o/r/s:pull,push` grants at this level.
fn granted(scope: &str, level: Level) -> Vec<(String, &'static str)> {
    scope.split(' ').flat_map(|one| granted_one(one, level)).collect()
}

fn granted_one(scope: &str, level: Level) -> Vec<(String, &'static str)> {
    let Some((name, actions)) =
        scope.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':'))
    else {
        return Vec::new();
    };
    [("pull", Level::Read), ("push", Level::Write)]
        .into_iter()
        .filter(|(action, needed)| {
            level >= *needed && actions.split(',').any(|asked| asked == *action)
        })
        .map(|(action, _)| (name.to_owned(), action))
        .collect()
}

fn password(authorization: &str) -> Option<String> {
    let decoded = STANDARD.decode(authorization.strip_prefix("Basic ")?.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_grants_what_is_asked_and_permitted() {
        let scope = "repository:o/r/s:pull,push repository:o/x:pull";
        let pull = |name: &str| (name.to_owned(), "pull");
        assert_eq!(granted(scope, Level::Read), [pull("o/r/s"), pull("o/x")]);
        assert_eq!(granted("repository:o/r/s:pull", Level::Write), [pull("o/r/s")]);
        assert_eq!(granted(scope, Level::Write).len(), 3);
        assert!(granted(scope, Level::None).is_empty());
    }

    #[test]
    fn the_password_of_basic_credentials_may_hold_colons() {
        assert_eq!(
            password(&format!("Basic {}", STANDARD.encode("ci:a:b"))).as_deref(),
            Some("a:b")
        );
        assert_eq!(password("Bearer abc"), None);
    }
}

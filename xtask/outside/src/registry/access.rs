//! The answer to a 401. One token for each repository and action is requested once, and shared by all threads
//! until the registry refuses it. Tokens and passwords are only sent in `Authorization` headers and token
//! requests, and only over TLS unless the registry itself has none.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine;
use serde::Deserialize;
use ureq::http::Method;

use super::challenge::Challenge;
use super::credentials::{Credential, Credentials};
use crate::http::{Answer, Call, Http, expect};
use xtask_model::reference::{Registry, Repository};
use xtask_model::remote::{RemoteError, Result};
use xtask_model::token::Secret;

/// What a request does, as in a token's scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    Pull,
    Push,
    Delete,
}

/// A repository and an action there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub registry: Registry,
    pub repository: Repository,
    pub action: Right,
}

impl Target {
    fn scope(&self) -> String {
        let actions = match self.action {
            Right::Pull => "pull",
            Right::Push => "pull,push",
            Right::Delete => "pull,delete",
        };
        format!("repository:{}:{actions}", self.repository)
    }
}

/// The `Authorization` header for one target; `None` until a registry asked for one.
#[derive(Debug, Default)]
struct Slot {
    header: Mutex<Option<Secret>>,
    /// Held while one thread requests a new header and the others wait.
    renewing: Mutex<()>,
}

impl Slot {
    fn header(&self) -> Option<Secret> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The headers that registries accepted so far.
#[derive(Debug)]
pub(super) struct Access {
    credentials: Credentials,
    headers: Mutex<BTreeMap<Target, Arc<Slot>>>,
}

impl Access {
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, headers: Mutex::default() }
    }

    /// The header to send, if one is known.
    pub fn header(&self, target: &Target) -> Option<Secret> {
        self.slot(target).header()
    }

    /// A new header after `answer` refused `used`. If another thread has got one since then, uses that one.
    pub fn renewed(
        &self,
        http: &Http,
        target: &Target,
        answer: &Answer,
        used: Option<&Secret>,
        deadline: Instant,
    ) -> Result<Secret> {
        let slot = self.slot(target);
        let _renewing = slot.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = slot.header()
            && used != Some(&known)
        {
            return Ok(known);
        }
        let lines = answer.headers.get_all("www-authenticate").iter();
        let challenge = Challenge::of(lines.filter_map(|line| line.to_str().ok()));
        let credential = self.credentials.of(&target.registry, deadline)?;
        let fresh = match (challenge, credential) {
            (Some(Challenge::Basic), Some(Credential::Password { user, password })) => {
                basic(&user, &password)
            }
            (Some(Challenge::Basic), _) => return Err(no_credentials(&target.registry)),
            (Some(Challenge::Bearer { realm, service, scope }), credential) => {
                let scope = scope.unwrap_or_else(|| target.scope());
                let question = Question { realm, service, scope };
                let token = question.ask(http, credential.as_ref(), &answer.url, deadline)?;
                Secret::new(format!("Bearer {}", token.reveal()))
            }
            (None, _) => {
                return Err(RemoteError::malformed("a 401 without a known challenge"));
            }
        };
        if used == Some(&fresh) {
            return Err(RemoteError::Unauthorized { message: "wrong credentials".to_owned() });
        }
        *slot.header.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
        Ok(fresh)
    }

    fn slot(&self, target: &Target) -> Arc<Slot> {
        let mut headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(headers.entry(target.clone()).or_default())
    }
}

/// One request to a token service, according to the distribution token specification.
struct Question {
    realm: String,
    service: Option<String>,
    scope: String,
}

#[derive(Deserialize)]
struct TokenBody {
    token: Option<String>,
    access_token: Option<String>,
}

impl Question {
    fn ask(
        &self,
        http: &Http,
        credential: Option<&Credential>,
        registry_url: &str,
        deadline: Instant,
    ) -> Result<Secret> {
        if registry_url.starts_with("https:") && !self.realm.starts_with("https:") {
            return Err(RemoteError::malformed("a token service without TLS"));
        }
        let answer = http.send_until(self.call(credential), deadline)?;
        let answer = expect(answer, &[200])?;
        // The error of the parser could quote the token.
        let body: TokenBody = serde_json::from_slice(&answer.body)
            .map_err(|_| RemoteError::malformed("the token service did not answer with a token"))?;
        let token = body.token.or(body.access_token).filter(|token| !token.is_empty());
        token
            .map(Secret::new)
            .ok_or_else(|| RemoteError::malformed("the answer of the token service has no token"))
    }

    fn call(&self, credential: Option<&Credential>) -> Call {
        let service = self.service.as_deref().unwrap_or_default();
        if let Some(Credential::Identity(refresh)) = credential {
            let form = form(&[
                ("grant_type", "refresh_token"),
                ("client_id", "xtask"),
                ("service", service),
                ("scope", &self.scope),
                ("refresh_token", refresh.reveal()),
            ]);
            return Call::new(Method::POST, &self.realm)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form);
        }
        // A challenge has several scopes in one text; each becomes its own parameter.
        let scopes = self.scope.split(' ').map(|scope| ("scope", scope));
        let query: Vec<_> = std::iter::once(("service", service)).chain(scopes).collect();
        let glue = if self.realm.contains('?') { '&' } else { '?' };
        let url = format!("{}{glue}{}", self.realm, form(&query));
        let header = match credential {
            Some(Credential::Password { user, password }) => Some(basic(user, password)),
            _ => None,
        };
        Call::new(Method::GET, url).authorization(header)
    }
}

fn basic(user: &str, password: &Secret) -> Secret {
    let pair = format!("{user}:{}", password.reveal());
    Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn no_credentials(registry: &Registry) -> RemoteError {
    RemoteError::Unauthorized { message: format!("no credentials for `{registry}`") }
}

/// `application/x-www-form-urlencoded` text; empty values are left out.
fn form(fields: &[(&str, &str)]) -> String {
    let fields = fields.iter().filter(|(_, value)| !value.is_empty());
    fields.map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
}

/// `text` with all but the unreserved characters of RFC 3986 escaped.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

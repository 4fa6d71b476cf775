//! Why a registry did not do what it was asked. It owns how answers become errors; no error carries a
//! secret, a header or a query string.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::exchange::Answer;
use xtask_model::failure::Interrupted;
use xtask_model::manifest::ManifestError;

/// What went wrong, told apart as far as callers act differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryError {
    /// 404: no such repository, tag, manifest or blob, or none that these credentials may see.
    NotFound,
    /// 403, or a token that does not reach far enough.
    Denied { message: String },
    /// 401 though credentials were tried, or because there are none.
    Unauthorized { message: String },
    /// 429, with the wait the registry asks for.
    RateLimited { retry_after: Option<Duration> },
    /// No connection, or one that broke.
    Unreachable { detail: String },
    /// No answer in time.
    TimedOut { after: Duration },
    /// 5xx.
    Server { status: u16, message: String },
    /// Any other status that was not expected.
    Refused { status: u16, message: String },
    /// An answer that is not what it says it is, or too large.
    Malformed { detail: String },
    /// What is stored under a digest is something else.
    Corrupt { detail: String },
    /// The user asked to stop.
    Interrupted,
}

/// The result of every call to a registry.
pub type Result<T> = std::result::Result<T, RegistryError>;

impl fmt::Display for RegistryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(formatter, "not found"),
            Self::Denied { message } => write!(formatter, "denied: {message}"),
            Self::Unauthorized { message } => write!(formatter, "not logged in: {message}"),
            Self::RateLimited { retry_after: Some(wait) } => {
                write!(formatter, "too many requests; try again in {} s", wait.as_secs())
            }
            Self::RateLimited { retry_after: None } => write!(formatter, "too many requests"),
            Self::Unreachable { detail } => write!(formatter, "unreachable: {detail}"),
            Self::TimedOut { after } => {
                write!(formatter, "no answer within {:.1} s", after.as_secs_f64())
            }
            Self::Server { status, message } => write!(formatter, "error {status}: {message}"),
            Self::Refused { status, message } => {
                write!(formatter, "answered with {status}: {message}")
            }
            Self::Malformed { detail } => write!(formatter, "malformed answer: {detail}"),
            Self::Corrupt { detail } => write!(formatter, "damaged: {detail}"),
            Self::Interrupted => write!(formatter, "{Interrupted}"),
        }
    }
}

impl RegistryError {
    /// Whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::Server { .. }
                | Self::Malformed { .. }
                | Self::Corrupt { .. }
        )
    }

    /// How long the registry asks to wait before the next request.
    pub fn asked_to_wait(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            _ => None,
        }
    }
}

impl std::error::Error for RegistryError {
    /// An interrupt is found in the chain by those who turn errors into exit codes.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Interrupted => Some(&Interrupted),
            _ => None,
        }
    }
}

impl From<ManifestError> for RegistryError {
    fn from(error: ManifestError) -> Self {
        malformed(error)
    }
}

pub(super) fn malformed(detail: impl fmt::Display) -> RegistryError {
    RegistryError::Malformed { detail: detail.to_string() }
}

/// The answer, if its status is one of `expected`.
pub(super) fn expect(answer: Answer, expected: &[u16]) -> Result<Answer> {
    if expected.contains(&answer.status) { Ok(answer) } else { Err(of_status(&answer)) }
}

/// The error that an unexpected status stands for.
pub(super) fn of_status(answer: &Answer) -> RegistryError {
    let message = message_in(&answer.body).unwrap_or_else(|| "no reason given".to_owned());
    match answer.status {
        401 => RegistryError::Unauthorized { message },
        403 => RegistryError::Denied { message },
        404 => RegistryError::NotFound,
        429 => RegistryError::RateLimited {
            // The other form of the header, a date, is not used by any registry we know.
            retry_after: answer
                .header("retry-after")
                .and_then(|text| text.trim().parse().ok())
                .map(Duration::from_secs),
        },
        status @ 500.. => RegistryError::Server { status, message },
        status => RegistryError::Refused { status, message },
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The codes and messages of an error body as the distribution specification has it, in one line of
/// printable text and no longer than a person reads. `detail` is left out: registries put requests
/// into it.
fn message_in(body: &[u8]) -> Option<String> {
    let read: ErrorBody = serde_json::from_slice(body).ok()?;
    let lines = read.errors.iter().map(|entry| match (&*entry.code, &*entry.message) {
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    });
    let text = lines.collect::<Vec<_>>().join("; ");
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    (!text.is_empty()).then_some(text)
}

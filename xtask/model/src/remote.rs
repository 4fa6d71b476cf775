//! Why a request to a registry or GitHub failed, and what follows from it: whether the same request may
//! succeed later, and how a command ends that could not go on.

use std::fmt;
use std::time::Duration;

use super::failure::{Exit, Interrupted};
use super::manifest::ManifestError;

/// What went wrong. No variant contains a secret, a header or a query string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteError {
    /// 404: it does not exist, or these credentials may not see it.
    NotFound,
    /// 403, or a token without the necessary scope.
    Denied { message: String },
    /// 401 although credentials were sent, or because there are none.
    Unauthorized { message: String },
    /// Too many requests, with the wait that the answer asks for.
    RateLimited { retry_after: Option<Duration> },
    /// No connection, or one that broke.
    Unreachable { detail: String },
    /// No answer in time.
    TimedOut { after: Duration },
    /// 5xx.
    Server { status: u16, message: String },
    /// Any other unexpected status.
    Refused { status: u16, message: String },
    /// An answer that cannot be read, or is too large.
    Malformed { detail: String },
    /// Content that does not match its digest.
    Corrupt { detail: String },
    /// This run may send no more requests.
    OverBudget { requests: u64 },
    /// The user asked to stop.
    Interrupted,
}

/// The result of a request.
pub type Result<T> = std::result::Result<T, RemoteError>;

/// The value that was read; `None` if it does not exist.
pub fn if_found<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(RemoteError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

impl RemoteError {
    /// An answer that cannot be read.
    pub fn malformed(detail: impl fmt::Display) -> Self {
        Self::Malformed { detail: detail.to_string() }
    }

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

    /// The wait that the answer asks for before the next request.
    pub fn asked_to_wait(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// How a command ends that this error stopped.
    pub fn exit(&self) -> Exit {
        match self {
            Self::OverBudget { .. } | Self::Interrupted => Exit::Unfinished,
            error if error.may_pass() => Exit::Unfinished,
            _ => Exit::Failed,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Denied { .. } | Self::Unauthorized { .. } => Some(
                "in a job: `permissions: packages: write`, and give the repository write access to \
                 the package; elsewhere: docker login",
            ),
            Self::Interrupted => None,
            error if error.exit() == Exit::Unfinished => {
                Some("run it again later; it continues where it stopped")
            }
            _ => None,
        }
    }
}

impl fmt::Display for RemoteError {
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
            Self::Server { status, message } => {
                write!(formatter, "server error {status}: {message}")
            }
            Self::Refused { status, message } => {
                write!(formatter, "answered with {status}: {message}")
            }
            Self::Malformed { detail } => write!(formatter, "malformed answer: {detail}"),
            Self::Corrupt { detail } => write!(formatter, "damaged: {detail}"),
            Self::OverBudget { requests } => {
                write!(formatter, "the budget of {requests} requests is used up")
            }
            Self::Interrupted => write!(formatter, "{Interrupted}"),
        }
    }
}

impl std::error::Error for RemoteError {}

impl From<ManifestError> for RemoteError {
    fn from(error: ManifestError) -> Self {
        Self::malformed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_end_with_4_and_refusals_with_1() {
        let message = String::new();
        let server = |status| RemoteError::Server { status, message: message.clone() };
        for (error, exit) in [
            (server(503), Exit::Unfinished),
            (RemoteError::RateLimited { retry_after: None }, Exit::Unfinished),
            (RemoteError::TimedOut { after: Duration::ZERO }, Exit::Unfinished),
            (RemoteError::OverBudget { requests: 1 }, Exit::Unfinished),
            (RemoteError::Interrupted, Exit::Unfinished),
            (RemoteError::NotFound, Exit::Failed),
            (RemoteError::Denied { message: message.clone() }, Exit::Failed),
            (RemoteError::Unauthorized { message: message.clone() }, Exit::Failed),
            (RemoteError::Refused { status: 400, message: message.clone() }, Exit::Failed),
        ] {
            assert_eq!(error.exit(), exit, "{error}");
        }
    }
}

//! Cache tiers: their names, their places, and what was found there. These facts contain no secret and can
//! be saved. `plan::cache` decides how a build uses them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cache_records::CacheRecords;
use super::reference::{Digest, Reference, Tag};
use super::remote::RemoteError;
use super::service::ServiceName;
use super::text::{TextError, checked_text};

/// A source of cached layers, in the order in which a build uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheTier {
    /// The registry cache under the tag `cache`, with every stage.
    Cache,
    /// The inline cache of the image under `dev`.
    Dev,
    /// The inline cache of the image under `latest`.
    Latest,
    /// The cache service of GitHub Actions.
    Gha,
}

impl CacheTier {
    pub const ALL: [Self; 4] = [Self::Cache, Self::Dev, Self::Latest, Self::Gha];

    /// As people see it: the tag for a registry tier.
    pub fn label(self) -> &'static str {
        match self {
            Self::Cache => ":cache",
            Self::Dev => ":dev",
            Self::Latest => ":latest",
            Self::Gha => "gha",
        }
    }
}

impl fmt::Display for CacheTier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.label())
    }
}

checked_text!(
    /// The address of an Actions cache service: `https://…`, or `http://…` in the lab. It has no comma,
    /// quote or space, so a `--cache-from` value can contain it.
    ServiceUrl,
    "cache service address",
    service_url
);

checked_text!(
    /// The scope of entries in the Actions cache service: letters, digits, `.`, `_` and `-`.
    CacheScope,
    "cache scope",
    cache_scope
);

/// Where the cache of one service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CachePlace {
    /// The image's repository.
    pub repository: Reference,
    pub service: ServiceName,
}

impl CachePlace {
    /// `REPOSITORY:cache`.
    pub fn cache(&self) -> Reference {
        self.repository.with_tag(Tag::cache())
    }

    /// The service's name. Without a scope, all services would overwrite each other's entries.
    pub fn scope(&self) -> Result<CacheScope, TextError> {
        CacheScope::new(self.service.as_str())
    }

    /// The reference of a tier that is in the registry.
    pub fn reference(&self, tier: CacheTier) -> Option<Reference> {
        let tag = match tier {
            CacheTier::Cache => Tag::cache(),
            CacheTier::Dev => Tag::dev(),
            CacheTier::Latest => Tag::latest(),
            CacheTier::Gha => return None,
        };
        Some(self.repository.with_tag(tag))
    }
}

/// The look at one tier of one service, and how long it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierLook {
    pub service: ServiceName,
    pub tier: CacheTier,
    /// Where a registry tier is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    pub seen: Seen,
    pub seconds: f64,
}

/// What a tier contains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// A cache that BuildKit exported.
    Cache {
        digest: Digest,
        records: CacheRecords,
        /// Bytes of its configuration, which BuildKit imports up to a limit.
        config_bytes: u64,
        layers_bytes: u64,
        /// When its newest result was created, in seconds since 1970.
        created: Option<u64>,
    },
    /// The empty cache that `cache invalidate` put there, at this second since 1970.
    Invalidated {
        digest: Digest,
        at: u64,
    },
    /// An image of the same inputs with inline cache data: each of its steps is a step of this build too.
    ImageOfSameInputs {
        digest: Digest,
    },
    /// Something that was not read, because an image of the same inputs has everything.
    Unread {
        digest: Digest,
    },
    /// An image with inline cache data.
    InlineImage {
        digest: Digest,
        records: CacheRecords,
        /// Compressed bytes of the image's layers, for all platforms that were read.
        #[serde(default)]
        layers_bytes: u64,
        /// When its newest result was created, in seconds since 1970.
        created: Option<u64>,
    },
    /// An image without cache data: it was not pushed with `--cache-to type=inline`.
    PlainImage {
        digest: Digest,
    },
    /// An image under the tag that belongs to the cache.
    ImageInsteadOfCache {
        digest: Digest,
    },
    NotThere,
    /// The registry or the service refused.
    Denied {
        message: String,
    },
    /// It answered with something unexpected, or not at all.
    Failed {
        message: String,
    },
    /// It accepted the connection and never answered. A builder would wait forever.
    Hung {
        after_seconds: f64,
    },
    /// The Actions cache service accepts the token.
    GhaUsable {
        url: ServiceUrl,
        /// Whether the token may write too.
        can_write: bool,
        /// When the token expires, in seconds since 1970.
        expires: u64,
        /// Whether there is an index for this service's scope: the key every import begins with.
        has_index: bool,
    },
    GhaInert {
        why: GhaInert,
    },
}

impl Seen {
    /// What a look saw that ended with an error.
    pub fn of_error(error: RemoteError) -> Self {
        match error {
            RemoteError::NotFound => Self::NotThere,
            RemoteError::Denied { message } | RemoteError::Unauthorized { message } => {
                Self::Denied { message }
            }
            RemoteError::TimedOut { after } => Self::Hung { after_seconds: after.as_secs_f64() },
            error => Self::Failed { message: error.to_string() },
        }
    }
}

/// The outcome of a tier in one word; the detail next to it gives the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TierOutcome {
    /// Passed to buildx.
    Offered,
    /// Left out, because earlier tiers contain all of it.
    Covered,
    /// It answers and contains nothing.
    Empty,
    NotThere,
    /// It exists but is unusable: no token, no inline data, an image instead of a cache.
    Inert,
    Denied,
    Failed,
    /// It accepted the request and never answered.
    Hung,
}

impl fmt::Display for TierOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Offered => "offered",
            Self::Covered => "covered",
            Self::Empty => "empty",
            Self::NotThere => "not there",
            Self::Inert => "inert",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Hung => "hung",
        })
    }
}

/// Why the Actions cache service cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GhaInert {
    /// `ACTIONS_RUNTIME_TOKEN` is not set: not a job, or a `run:` step, which does not get it.
    NoToken,
    /// `ACTIONS_RESULTS_URL` is not set.
    NoUrl,
    /// The token expired at this second since 1970.
    Expired { at: u64 },
    /// The token is not valid yet.
    NotYet { at: u64 },
    /// The token gives access to no scope.
    NoScope,
    /// BuildKit would reject the token or the address, and fail the build.
    Malformed { problem: String },
}

fn service_url(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or("expected `https://…`")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&()*+;=%".contains(c);
    if let Some(other) = text.chars().find(|&c| !allowed(c)) {
        return Err(format!("`{}` is not allowed", other.escape_debug()));
    }
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || host.contains('@') {
        return Err("expected a host without credentials after `//`".to_owned());
    }
    Ok(())
}

fn cache_scope(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match text.chars().find(|&c| !allowed(c)) {
        Some(other) => Err(format!("`{}` is not allowed", other.escape_debug())),
        None if text.is_empty() => Err("it is empty".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_or_scope_contains_a_separator() {
        for bad in [",", "\"", "'", "\n", " ", "`", "\u{1b}", "ä"] {
            assert!(ServiceUrl::new(format!("https://h/{bad}x")).is_err(), "{bad:?}");
            assert!(CacheScope::new(format!("s{bad}")).is_err(), "{bad:?}");
        }
        for bad in ["", "ftp://h", "https://", "https://u:p@h/"] {
            assert!(ServiceUrl::new(bad).is_err(), "{bad}");
        }
        let real = "https://results-receiver.actions.githubusercontent.com/";
        assert_eq!(ServiceUrl::new(real).unwrap().as_str(), real);
    }
}

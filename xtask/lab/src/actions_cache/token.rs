//! The runtime token of GitHub Actions: a JWT whose claim `ac` says which scopes of the cache may be read and
//! written. The stand-in signs nothing and checks no signature; it only reads the claims.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

const READ: u8 = 1;
const WRITE: u8 = 2;

/// One scope of the cache, which is a git ref, with its permission as bits: 1 read, 2 write.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Scope {
    pub scope: String,
    pub permission: u8,
}

/// The rights in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// In the order of the token: the run's own ref comes before the default branch.
    pub scopes: Vec<Scope>,
    /// Seconds since 1970.
    expires: i64,
}

#[derive(Deserialize)]
struct Claims {
    ac: String,
    exp: i64,
    nbf: Option<i64>,
}

impl Access {
    /// Reads a token. An error when it is malformed, expired or not yet valid at `now`, in seconds since 1970.
    pub fn read(token: &str, now: i64) -> Result<Self> {
        let parts: Vec<_> = token.split('.').collect();
        let [_, claims, _] = parts.as_slice() else {
            anyhow::bail!("the token has {} parts, not 3", parts.len())
        };
        let claims = URL_SAFE_NO_PAD
            .decode(claims.trim_end_matches('='))
            .context("the claims are not base64")?;
        let claims: Claims =
            serde_json::from_slice(&claims).context("the claims lack `ac` or `exp`")?;
        ensure!(claims.exp > now, "the token has expired");
        ensure!(claims.nbf.is_none_or(|begin| begin <= now), "the token is not valid yet");
        let scopes =
            serde_json::from_str(&claims.ac).context("the claim `ac` is not a list of scopes")?;
        Ok(Self { scopes, expires: claims.exp })
    }

    pub fn new(scopes: Vec<Scope>, expires: i64) -> Self {
        Self { scopes, expires }
    }

    /// Creates the token for this access. `issued` is in seconds since 1970; clients refuse a token without `nbf`.
    pub fn token(&self, issued: i64) -> Result<String> {
        let begin = issued.min(self.expires);
        let scopes = serde_json::to_string(&self.scopes)?;
        let claims =
            json!({ "ac": scopes, "exp": self.expires, "nbf": begin, "iat": begin, "iss": "lab" });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = encode(&json!({ "alg": "RS256", "typ": "JWT" }));
        Ok(format!("{header}.{}.{}", encode(&claims), URL_SAFE_NO_PAD.encode("unsigned")))
    }

    pub fn readable(&self) -> impl Iterator<Item = &str> {
        self.scopes
            .iter()
            .filter(|scope| scope.permission & READ != 0)
            .map(|scope| scope.scope.as_str())
    }

    /// The scope to write to: the first one with the permission.
    pub fn writable(&self) -> Option<&str> {
        self.scopes
            .iter()
            .find(|scope| scope.permission & WRITE != 0)
            .map(|scope| scope.scope.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(permission: u8) -> Access {
        Access::new(vec![Scope { scope: "refs/heads/dev".into(), permission }], 1000)
    }

    #[test]
    fn a_token_reads_back_until_it_expires() {
        let token = access(3).token(900).unwrap();
        assert_eq!(Access::read(&token, 999).unwrap(), access(3));
        assert_eq!(Access::read(&token, 1000).unwrap_err().to_string(), "the token has expired");
        assert_eq!(
            Access::read(&token, 899).unwrap_err().to_string(),
            "the token is not valid yet"
        );
    }

    #[test]
    fn a_malformed_token_is_refused() {
        let no_claims = format!("e30.{}.x", URL_SAFE_NO_PAD.encode("{}"));
        for token in ["", "a.b", "a.%.c", no_claims.as_str()] {
            assert!(Access::read(token, 0).is_err(), "{token}");
        }
    }

    #[test]
    fn permissions_are_bits() {
        let seen = |permission| {
            (access(permission).readable().count(), access(permission).writable().is_some())
        };
        assert_eq!(
            [seen(0), seen(1), seen(2), seen(3)],
            [(0, false), (1, false), (0, true), (1, true)]
        );
    }
}

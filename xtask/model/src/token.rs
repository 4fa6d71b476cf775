//! Secrets, and the claims in the token of the GitHub Actions runtime. It decodes claims and never verifies
//! a signature: the service does that. A secret prints as `(hidden)`; only `reveal` returns its text.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};
use serde::{Deserialize, Serialize};

/// A value that must not be printed, logged or put on a command line.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for a request header or a standard input and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(hidden)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(hidden)")
    }
}

/// The claims of an Actions runtime token that BuildKit reads before it contacts the cache service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The refs whose caches the token gives access to, in the token's order.
    pub scopes: Vec<Scope>,
    /// When it expires, in seconds since 1970.
    pub expires: u64,
    /// When it becomes valid, in seconds since 1970.
    pub not_before: u64,
}

/// One ref and what the token may do there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// A ref, such as `refs/heads/main`.
    #[serde(rename = "Scope")]
    pub name: String,
    /// A set of bits: 1 read, 2 write.
    #[serde(rename = "Permission")]
    pub permission: u64,
}

impl Claims {
    /// Decodes the claims of `token`. The error names missing parts, never the contents.
    ///
    /// It refuses what BuildKit 0.25 refuses: an exporter with such a token fails the build, even with
    /// `ignore-error` [measured]. BuildKit requires `ac`, `exp` and `nbf` (and calls a missing `nbf` an
    /// expiration time), and a signature in base64.
    pub fn of(token: &Secret) -> Result<Self, &'static str> {
        let parts: Vec<&str> = token.reveal().split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err("it is not a JSON web token");
        };
        let payload = decoded(payload).ok_or("its claims are not base64")?;
        if decoded(header).is_none() || decoded(signature).is_none() {
            return Err("its header or its signature is not base64");
        }
        let claims: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&payload).map_err(|_| "its claims are not a JSON object")?;
        let access = claims.get("ac").ok_or("it has no access controls (`ac`)")?;
        let access = access.as_str().ok_or("its access controls (`ac`) are not text")?;
        Ok(Self {
            scopes: serde_json::from_str(access)
                .map_err(|_| "its access controls (`ac`) are not a list of scopes")?,
            expires: seconds(claims.get("exp")).ok_or("it has no expiration time (`exp`)")?,
            not_before: seconds(claims.get("nbf")).ok_or("it has no start time (`nbf`)")?,
        })
    }

    pub fn can_read(&self) -> bool {
        self.scopes.iter().any(|scope| scope.permission & 1 != 0)
    }

    pub fn can_write(&self) -> bool {
        self.scopes.iter().any(|scope| scope.permission & 2 != 0)
    }
}

/// A `NumericDate` of RFC 7519: seconds since 1970, with or without a fraction.
fn seconds(claim: Option<&serde_json::Value>) -> Option<u64> {
    let claim = claim?;
    let fraction = || std::time::Duration::try_from_secs_f64(claim.as_f64()?).ok();
    claim.as_u64().or_else(|| fraction().map(|time| time.as_secs()))
}

/// Base64 of a URL, with or without padding.
fn decoded(part: &str) -> Option<Vec<u8>> {
    let padding = DecodePaddingMode::Indifferent;
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(padding);
    GeneralPurpose::new(&alphabet::URL_SAFE, config).decode(part).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn token(claims: &str) -> Secret {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        Secret::new(format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), part("sig")))
    }

    fn check(claims: &str, expected: &str) {
        let shown = match Claims::of(&token(claims)) {
            Ok(claims) => format!(
                "{} to {}, read {}, write {}",
                claims.not_before,
                claims.expires,
                claims.can_read(),
                claims.can_write()
            ),
            Err(problem) => problem.to_owned(),
        };
        assert_eq!(shown, expected, "{claims}");
    }

    #[test]
    fn a_token_contains_scopes_and_an_expiry() {
        let both = r#"[{\"Scope\":\"refs/heads/main\",\"Permission\":3}]"#;
        let read = r#"[{\"Scope\":\"refs/pull/1/merge\",\"Permission\":1}]"#;
        let mixed = r#"[{\"Scope\":\"a\",\"Permission\":1},{\"Scope\":\"b\",\"Permission\":2}]"#;
        let claims = |ac: &str| format!(r#"{{"ac":"{ac}","exp":20,"nbf":10}}"#);
        check(&claims(both), "10 to 20, read true, write true");
        check(&claims(read), "10 to 20, read true, write false");
        check(&claims(mixed), "10 to 20, read true, write true");
        check(&claims("[]"), "10 to 20, read false, write false");
        check(r#"{"ac":"[]","exp":20.9,"nbf":1e1}"#, "10 to 20, read false, write false");
    }

    #[test]
    fn a_missing_or_wrong_claim_is_named() {
        check(r#"{"exp":20,"nbf":1}"#, "it has no access controls (`ac`)");
        check(r#"{"ac":[],"exp":20,"nbf":1}"#, "its access controls (`ac`) are not text");
        check(
            r#"{"ac":"x","exp":20,"nbf":1}"#,
            "its access controls (`ac`) are not a list of scopes",
        );
        check(r#"{"ac":"[]","nbf":1}"#, "it has no expiration time (`exp`)");
        check(r#"{"ac":"[]","exp":"20","nbf":1}"#, "it has no expiration time (`exp`)");
        check(r#"{"ac":"[]","exp":-20,"nbf":1}"#, "it has no expiration time (`exp`)");
        check(r#"{"ac":"[]","exp":20}"#, "it has no start time (`nbf`)");
        check("[1]", "its claims are not a JSON object");
    }

    #[test]
    fn text_that_is_not_a_token_is_refused() {
        let problem = |text: &str| Claims::of(&Secret::new(text)).unwrap_err();
        assert_eq!(problem("ghs_secret"), "it is not a JSON web token");
        assert_eq!(problem("a.b.c.d"), "it is not a JSON web token");
        assert_eq!(problem("e30.!.e30"), "its claims are not base64");
        assert_eq!(problem("e30.e30.!"), "its header or its signature is not base64");
    }

    #[test]
    fn a_secret_is_shown_nowhere() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "(hidden) (hidden) Some((hidden))"
        );
    }
}

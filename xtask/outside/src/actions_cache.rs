//! Looks at the cache service of GitHub Actions: is there a token, does the service accept it, and does a
//! scope have an index. Only BuildKit stores and loads entries.

use serde::Deserialize;
use ureq::http::Method;

use super::environment::ActionsRuntime;
use super::http::{Call, Http, expect};
use xtask_model::reference::Digest;
use xtask_model::remote::{RemoteError, Result};
use xtask_model::tier::{CacheScope, GhaInert, Seen, ServiceUrl};
use xtask_model::token::{Claims, Secret};

/// The method of the service (v2, twirp) that asks for an entry.
const GET_ENTRY: &str = "twirp/github.actions.results.api.v1.CacheService/GetCacheEntryDownloadURL";
/// The `version` under which BuildKit files its entries: the SHA-256 of `|go-actionscache-1.0`, as
/// seen in requests of BuildKit 0.25.
const ENTRY_VERSION: &str = "693bb7016429d80366022f036f84856888c9f13e00145f5f6f4dce303a38d6f2";

/// Looks at the service for entries of `scope`; `now` in seconds since 1970.
pub fn look(http: &Http, runtime: &ActionsRuntime, scope: &CacheScope, now: u64) -> Seen {
    let (url, token, claims) = match usable(runtime, now) {
        Ok(usable) => usable,
        Err(why) => return Seen::GhaInert { why },
    };
    match has_index(http, &url, token, &claims, scope) {
        Ok(has_index) => {
            let (can_write, expires) = (claims.can_write(), claims.expires);
            Seen::GhaUsable { url, can_write, expires, has_index }
        }
        Err(error) => Seen::of_error(error),
    }
}

fn usable(
    runtime: &ActionsRuntime,
    now: u64,
) -> std::result::Result<(ServiceUrl, &Secret, Claims), GhaInert> {
    let malformed =
        |problem: &dyn std::fmt::Display| GhaInert::Malformed { problem: problem.to_string() };
    let given = |secret: &&Secret| !secret.reveal().is_empty();
    let token = runtime.token.as_ref().filter(given).ok_or(GhaInert::NoToken)?;
    let url = runtime.url.as_deref().filter(|url| !url.is_empty()).ok_or(GhaInert::NoUrl)?;
    let url = ServiceUrl::new(url).map_err(|error| malformed(&error))?;
    let claims = Claims::of(token).map_err(|problem| malformed(&problem))?;
    if claims.expires <= now {
        return Err(GhaInert::Expired { at: claims.expires });
    }
    if claims.not_before > now {
        return Err(GhaInert::NotYet { at: claims.not_before });
    }
    if !claims.can_read() && !claims.can_write() {
        return Err(GhaInert::NoScope);
    }
    Ok((url, token, claims))
}

#[derive(Deserialize)]
struct Entry {
    ok: bool,
}

/// Whether one of the token's refs has an index for `scope`. Its key is that of BuildKit:
/// `index-SCOPE-1-` and the first eight digits of the ref's SHA-256.
fn has_index(
    http: &Http,
    url: &ServiceUrl,
    token: &Secret,
    claims: &Claims,
    scope: &CacheScope,
) -> Result<bool> {
    let address = format!("{}/{GET_ENTRY}", url.as_str().trim_end_matches('/'));
    for reference in &claims.scopes {
        let digest = super::registry::digest::sha256(reference.name.as_bytes())?;
        let key = format!("index-{scope}-1-{}", first_eight(&digest));
        let question =
            serde_json::json!({"key": key, "restore_keys": [key], "version": ENTRY_VERSION});
        let call = Call::new(Method::POST, &address)
            .header("content-type", "application/json")
            .authorization(Some(Secret::new(format!("Bearer {}", token.reveal()))))
            .body(question.to_string());
        let answer = expect(http.send(call)?, &[200])?;
        // The error of the parser could quote the signed address.
        let entry: Entry = serde_json::from_slice(&answer.body)
            .map_err(|_| RemoteError::malformed("not an answer of a cache service"))?;
        if entry.ok {
            return Ok(true);
        }
    }
    Ok(false)
}

fn first_eight(digest: &Digest) -> &str {
    digest.short().get(..8).unwrap_or_default()
}

//! The Actions cache service, version 2, as BuildKit's client uses it: Twirp calls in JSON for entries, signed URLs
//! for their bytes. The daemon makes these requests, not the build client.
//!
//! Control endpoints are under `/_lab/`: those of every stand-in, and `GET` and `DELETE entries`.

mod blobs;
mod entries;
pub mod token;

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::json;

use crate::clock;
use crate::http::answer::Answer;
use crate::http::exchange::Exchange;
use crate::http::head::RequestHead;
use crate::http::server::Service;
use crate::http::target;
use crate::watch::{self, Watch};
use blobs::Blobs;
use entries::Entries;
use token::Access;

const CALLS: &str = "/twirp/github.actions.results.api.v1.CacheService/";
const BLOBS: &str = "/blobs/";
const CONTROL: &str = "/_lab/";
/// Clients upload blobs in blocks of 1 to 64 MiB.
const LARGEST_BODY: usize = 128 * 1024 * 1024;

/// The service.
#[derive(Debug)]
pub struct ActionsCache {
    entries: Entries,
    blobs: Blobs,
    watch: Watch,
}

/// The fields of all three calls.
#[derive(Deserialize)]
struct Call {
    key: String,
    version: String,
    #[serde(default, alias = "restoreKeys")]
    restore_keys: Vec<String>,
    #[serde(default, alias = "sizeBytes")]
    size_bytes: Size,
}

/// JSON of protocol buffers may represent a 64-bit number as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Number(u64),
    Text(String),
}

impl Default for Size {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Size {
    fn bytes(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl ActionsCache {
    pub fn open(directory: &Path) -> Result<Self> {
        let directory = directory.join("actions-cache");
        fs::create_dir_all(&directory)
            .with_context(|| format!("could not create `{}`", directory.display()))?;
        let (entries, blobs) = (Entries::open(&directory)?, Blobs::open(&directory)?);
        Ok(Self { entries, blobs, watch: Watch::default() })
    }

    fn answer(&self, request: &RequestHead, body: &[u8]) -> io::Result<Answer> {
        let path = target::path(&request.target);
        if let Some(name) = path.strip_prefix(CALLS) {
            return self.call(request, name, body);
        }
        if let Some(id) = path.strip_prefix(BLOBS) {
            let entry = id.parse().ok().and_then(|id| self.entries.by_id(id));
            return self.blobs.answer(request, entry.as_ref(), body);
        }
        if let Some(endpoint) = path.strip_prefix(CONTROL) {
            return self.control(&request.method, endpoint, body);
        }
        Ok(twirp_error(404, "bad_route", &format!("no handler for path {path:?}")))
    }

    fn call(&self, request: &RequestHead, name: &str, body: &[u8]) -> io::Result<Answer> {
        if request.method != "POST" {
            return Ok(twirp_error(404, "bad_route", "unsupported method, only POST is allowed"));
        }
        let authorization = request.headers.get("authorization").unwrap_or_default();
        let now = i64::try_from(clock::seconds()).unwrap_or(i64::MAX);
        let access =
            match Access::read(authorization.strip_prefix("Bearer ").unwrap_or_default(), now) {
                Ok(access) => access,
                Err(error) => {
                    return Ok(twirp_error(
                        401,
                        "unauthenticated",
                        &format!("invalid token: {error:#}"),
                    ));
                }
            };
        let call: Call = match serde_json::from_slice(body) {
            Ok(call) => call,
            Err(error) => return Ok(twirp_error(400, "malformed", &error.to_string())),
        };
        let host = request.headers.get("host").unwrap_or_default();
        match name {
            "GetCacheEntryDownloadURL" => Ok(self.look_up(&access, &call, host)),
            "CreateCacheEntry" => self.create(&access, &call, host),
            "FinalizeCacheEntryUpload" => self.finalize(&access, &call),
            _ => Ok(twirp_error(404, "bad_route", &format!("there is no call {name:?}"))),
        }
    }

    fn look_up(&self, access: &Access, call: &Call, host: &str) -> Answer {
        let found =
            self.entries.look_up(access.readable(), &call.key, &call.restore_keys, &call.version);
        let Some(entry) = found else { return Answer::json(200, &json!({ "ok": false })) };
        let url = format!("http://{host}{BLOBS}{}?sp=r&sig={}", entry.id, entry.download_signature);
        Answer::json(
            200,
            &json!({ "ok": true, "signed_download_url": url, "matched_key": entry.key }),
        )
    }

    fn create(&self, access: &Access, call: &Call, host: &str) -> io::Result<Answer> {
        let Some(scope) = access.writable() else { return Ok(read_only()) };
        let Some(entry) = self.entries.reserve(scope, &call.key, &call.version)? else {
            let message = "cache entry with the same key, version, and scope already exists";
            return Ok(twirp_error(409, "already_exists", message));
        };
        let url = format!("http://{host}{BLOBS}{}?sp=w&sig={}", entry.id, entry.upload_signature);
        Ok(Answer::json(200, &json!({ "ok": true, "signed_upload_url": url })))
    }

    fn finalize(&self, access: &Access, call: &Call) -> io::Result<Answer> {
        let Some(scope) = access.writable() else { return Ok(read_only()) };
        let reserved = self
            .entries
            .find(scope, &call.key, &call.version)
            .filter(|entry| entry.finalized.is_none());
        let Some(entry) = reserved else {
            return Ok(twirp_error(
                404,
                "not_found",
                "there is no reserved cache entry of this key",
            ));
        };
        let (declared, uploaded) = (call.size_bytes.bytes(), self.blobs.size(&entry));
        let Some(size) = uploaded.filter(|_| declared == uploaded) else {
            let message = format!("declared {declared:?} bytes, but {uploaded:?} were uploaded");
            return Ok(twirp_error(400, "invalid_argument", &message));
        };
        self.entries.finalize(entry.id, size)?;
        Ok(Answer::json(200, &json!({ "ok": true, "entry_id": entry.id.to_string() })))
    }

    fn control(&self, method: &str, endpoint: &str, body: &[u8]) -> io::Result<Answer> {
        if let Some(answer) = watch::control::answer(&self.watch, method, endpoint, body) {
            return Ok(answer);
        }
        Ok(match (method, endpoint) {
            ("GET", "entries") => {
                let listed = |entry: entries::Entry| {
                    json!({
                        "scope": entry.scope,
                        "key": entry.key,
                        "version": entry.version,
                        "created": entry.created,
                        "size": entry.finalized.map(|finalized| finalized.size),
                    })
                };
                Answer::json(200, &self.entries.all().into_iter().map(listed).collect::<Vec<_>>())
            }
            ("DELETE", "entries") => {
                self.entries.clear()?.iter().for_each(|entry| self.blobs.remove(entry));
                Answer::empty(204)
            }
            _ => Answer::text(404, "unknown control endpoint\n"),
        })
    }
}

impl Service for ActionsCache {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn kind(&self, request: &RequestHead) -> Option<&'static str> {
        let path = target::path(&request.target);
        if path.starts_with(CONTROL) {
            return None;
        }
        Some(match (path.strip_prefix(CALLS), request.method.as_str()) {
            (Some("GetCacheEntryDownloadURL"), _) => "look_up",
            (Some("CreateCacheEntry"), _) => "create",
            (Some("FinalizeCacheEntryUpload"), _) => "finalize",
            (None, "PUT") if path.starts_with(BLOBS) => "upload",
            (None, "GET" | "HEAD") if path.starts_with(BLOBS) => "download",
            _ => "other",
        })
    }

    fn serve(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let body = exchange.read_to_end(LARGEST_BODY)?;
        let answer = self.answer(&exchange.request, &body)?;
        exchange.send(answer)
    }

    fn error(&self, request: &RequestHead, status: u16) -> Answer {
        if target::path(&request.target).starts_with(BLOBS) {
            return self.blobs.error(status, "InjectedFault");
        }
        let code = match status {
            401 => "unauthenticated",
            403 => "permission_denied",
            429 => "resource_exhausted",
            503 => "unavailable",
            _ => "internal",
        };
        twirp_error(status, code, "an injected fault")
    }
}

fn read_only() -> Answer {
    Answer::json(
        200,
        &json!({ "ok": false, "message": "cache write denied: token has no writable scopes" }),
    )
}

fn twirp_error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "code": code, "msg": message }))
}

//! Reading from a registry: manifests, blobs and tags.

use std::sync::PoisonError;

use serde::Deserialize;
use ureq::http::Method;

use super::access::Action;
use super::error::{RegistryError, Result, expect, malformed};
use super::exchange::{Answer, Call, joined, same_authority};
use super::{Client, digest};
use xtask_model::manifest::{Manifest, media_type, null_is_default};
use xtask_model::reference::{Digest, Reference, Registry, Tag};

/// The largest manifest that is read, in bytes: the limit that the distribution specification asks
/// registries to accept.
pub const MANIFEST_LIMIT: u64 = 4 << 20;
/// The largest configuration that is read, in bytes.
pub const CONFIGURATION_LIMIT: u64 = 8 << 20;
/// How many pages of tags are read before the registry is taken to go round in a circle.
const PAGES: usize = 1000;

/// A manifest as it is stored: the bytes that its digest is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl StoredManifest {
    pub fn parse(&self) -> Result<Manifest> {
        Ok(Manifest::parse(&self.media_type, &self.bytes)?)
    }
}

/// What is known of a manifest without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    pub digest: Digest,
    pub media_type: String,
    /// Bytes, where the registry tells them.
    pub size: Option<u64>,
}

/// The bytes of what an answer without its body is about.
fn length(answer: &Answer) -> Option<u64> {
    answer.header("content-length").and_then(|text| text.parse().ok())
}

#[derive(Deserialize)]
struct TagList {
    #[serde(default, deserialize_with = "null_is_default")]
    tags: Vec<Tag>,
}

impl Client {
    /// The manifest at `reference`: at its digest if it has one, else at its tag. One whose digest was
    /// read before is not read again.
    pub fn manifest(&self, reference: &Reference) -> Result<StoredManifest> {
        if let Some(known) = self.known(reference) {
            return Ok(known);
        }
        let call = self.manifest_call(Method::GET, reference)?.limit(MANIFEST_LIMIT);
        let answer = expect(self.send(&Self::target(reference, Action::Pull), call)?, &[200])?;
        let media_type = answer.header("content-type").unwrap_or_default().to_owned();
        let said = answer.header("docker-content-digest").map(str::to_owned);
        let digest = match (&reference.digest, said) {
            (Some(asked), _) => asked.clone(),
            (None, Some(said)) => Digest::new(said).map_err(malformed)?,
            (None, None) => digest::sha256(&answer.body)?,
        };
        digest::check(&digest, &answer.body)?;
        let stored = StoredManifest { digest, media_type, bytes: answer.body };
        self.remember(reference, &stored);
        Ok(stored)
    }

    /// Whether there is a manifest at `reference`, and which. A registry that does not tell the digest
    /// without the body is asked for the body.
    pub fn head_manifest(&self, reference: &Reference) -> Result<ManifestHead> {
        let call = self.manifest_call(Method::HEAD, reference)?;
        let answer = expect(self.send(&Self::target(reference, Action::Pull), call)?, &[200])?;
        let Some(said) = answer.header("docker-content-digest") else {
            let StoredManifest { digest, media_type, bytes } = self.manifest(reference)?;
            let size = u64::try_from(bytes.len()).ok();
            return Ok(ManifestHead { digest, media_type, size });
        };
        let digest = Digest::new(said).map_err(malformed)?;
        if reference.digest.as_ref().is_some_and(|asked| *asked != digest) {
            return Err(malformed(format!("asked for {reference}, got {digest}")));
        }
        self.remember_tag(reference, &digest);
        let media_type = answer.header("content-type").unwrap_or_default().to_owned();
        Ok(ManifestHead { digest, media_type, size: length(&answer) })
    }

    /// The blob `digest` in the repository of `reference`, if it has at most `limit` bytes. One that was
    /// read before is not read again.
    pub fn blob(&self, reference: &Reference, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let key = (reference.repository.clone(), digest.clone());
        let known = self.shared.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = known.get(&key) {
            return Ok(bytes.clone());
        }
        drop(known);
        let call = self.blob_call(Method::GET, reference, digest).limit(limit);
        let answer = expect(self.send(&Self::target(reference, Action::Pull), call)?, &[200])?;
        digest::check(digest, &answer.body)?;
        let mut known = self.shared.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key, answer.body.clone());
        Ok(answer.body)
    }

    /// Whether the blob is there, and its size in bytes where the registry tells it.
    pub fn head_blob(&self, reference: &Reference, digest: &Digest) -> Result<Option<u64>> {
        let call = self.blob_call(Method::HEAD, reference, digest);
        let answer = expect(self.send(&Self::target(reference, Action::Pull), call)?, &[200])?;
        Ok(length(&answer))
    }

    /// All tags of the repository of `reference`, in the registry's order, page by page.
    pub fn tags(&self, reference: &Reference) -> Result<Vec<Tag>> {
        let target = Self::target(reference, Action::Pull);
        let mut url = self.url(reference, "tags/list?n=1000");
        let mut tags = Vec::new();
        for _ in 0..PAGES {
            let call = Call::new(Method::GET, &url).limit(MANIFEST_LIMIT);
            let answer = expect(self.send(&target, call)?, &[200])?;
            let page: TagList = serde_json::from_slice(&answer.body).map_err(malformed)?;
            tags.extend(page.tags);
            let Some(next) = answer.header("link").and_then(next_page) else {
                self.remember_tags(reference, &tags);
                return Ok(tags);
            };
            let next = joined(&url, next)?;
            if !same_authority(&url, &next) {
                return Err(malformed("the next page of tags is on another host"));
            }
            url = next;
        }
        Err(malformed(format!("more than {PAGES} pages of tags")))
    }

    fn manifest_call(&self, method: Method, reference: &Reference) -> Result<Call> {
        let name = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag.as_str(),
            (None, None) => {
                return Err(malformed(format!("`{reference}` has neither a tag nor a digest")));
            }
        };
        let url = self.url(reference, &format!("manifests/{name}"));
        Ok(Call::new(method, url).header("accept", media_type::MANIFESTS.join(", ")))
    }

    fn blob_call(&self, method: Method, reference: &Reference, digest: &Digest) -> Call {
        Call::new(method, self.url(reference, &format!("blobs/{digest}")))
    }
}

impl Client {
    /// The time at a registry, in seconds since 1970, where it tells it; whatever else it answers.
    pub fn clock(&self, registry: &Registry) -> Result<Option<u64>> {
        let call = Call::new(Method::GET, self.root(registry)).limit(MANIFEST_LIMIT);
        let answer = self.plain(call)?;
        let time = answer.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
        let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(since.map(|since| since.as_secs()))
    }
}

/// Whether something is there; `NotFound` is an answer here, not an error.
pub fn exists<T>(looked: Result<T>) -> Result<bool> {
    match looked {
        Ok(_) => Ok(true),
        Err(RegistryError::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The address in a `Link` header of the form `<address>; rel="next"` (RFC 8288).
fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|part| {
        let (address, parameters) = part.trim().strip_prefix('<')?.split_once('>')?;
        let next = parameters
            .split(';')
            .any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
        next.then_some(address)
    })
}

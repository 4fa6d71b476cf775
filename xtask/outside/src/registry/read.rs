//! Reads from a registry: manifests, blobs and tags.

use serde::Deserialize;
use ureq::http::Method;

use super::access::Right;
use super::client::Client;
use super::digest;
use super::stored::{MANIFEST_LIMIT, ManifestHead, StoredManifest};
use crate::http::{Answer, Call, expect, joined, same_authority};
use xtask_model::manifest::{media_type, null_is_default};
use xtask_model::pagination::link;
use xtask_model::reference::{Digest, Reference, Registry, Tag};
use xtask_model::remote::{RemoteError, Result, if_found};

/// The most pages of tags; a registry with more is assumed to repeat them.
const PAGES: usize = 1000;

/// The length of the body that an answer to HEAD leaves out.
fn length(answer: &Answer) -> Option<u64> {
    answer.header("content-length").and_then(|text| text.parse().ok())
}

#[derive(Deserialize)]
struct TagList {
    #[serde(default, deserialize_with = "null_is_default")]
    tags: Vec<Tag>,
}

impl Client {
    /// The manifest at `reference`: at its digest if it has one, else at its tag. A digest is read only once.
    pub fn manifest(&self, reference: &Reference) -> Result<StoredManifest> {
        if let Some(known) = self.known(reference) {
            return Ok(known);
        }
        let call = Self::manifest_call(Method::GET, reference)?.limit(MANIFEST_LIMIT);
        let answer = expect(self.send(&Self::target(reference, Right::Pull), call)?, &[200])?;
        let media_type = answer.header("content-type").unwrap_or_default().to_owned();
        let reported = answer.header("docker-content-digest").map(str::to_owned);
        let digest = match (&reference.digest, reported) {
            (Some(asked), _) => asked.clone(),
            (None, Some(reported)) => Digest::new(reported).map_err(RemoteError::malformed)?,
            (None, None) => digest::sha256(&answer.body)?,
        };
        digest::check(&digest, &answer.body)?;
        let stored = StoredManifest { digest, media_type, bytes: answer.body };
        self.remember(reference, &stored);
        Ok(stored)
    }

    /// The digest of the manifest at `reference`. If the registry does not report it without the body, the body
    /// is read.
    pub fn head_manifest(&self, reference: &Reference) -> Result<ManifestHead> {
        let call = Self::manifest_call(Method::HEAD, reference)?;
        let answer = expect(self.send(&Self::target(reference, Right::Pull), call)?, &[200])?;
        let Some(reported) = answer.header("docker-content-digest") else {
            let StoredManifest { digest, media_type, bytes } = self.manifest(reference)?;
            let size = u64::try_from(bytes.len()).ok();
            return Ok(ManifestHead { digest, media_type, size });
        };
        let digest = Digest::new(reported).map_err(RemoteError::malformed)?;
        if reference.digest.as_ref().is_some_and(|asked| *asked != digest) {
            return Err(RemoteError::malformed(format!("asked for {reference}, got {digest}")));
        }
        self.remember_tag(reference, &digest);
        let media_type = answer.header("content-type").unwrap_or_default().to_owned();
        Ok(ManifestHead { digest, media_type, size: length(&answer) })
    }

    /// The digest that a tag points to; `None` if there is no such tag.
    pub fn digest_at(&self, reference: &Reference) -> Result<Option<Digest>> {
        Ok(if_found(self.head_manifest(reference))?.map(|head| head.digest))
    }

    /// The blob `digest` in the repository of `reference`, if it has at most `limit` bytes. It is read only
    /// once.
    pub fn blob(&self, reference: &Reference, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        self.remembered_blob(reference, digest, || {
            let call = Self::blob_call(Method::GET, reference, digest).limit(limit);
            let answer = expect(self.send(&Self::target(reference, Right::Pull), call)?, &[200])?;
            digest::check(digest, &answer.body)?;
            Ok(answer.body)
        })
    }

    /// Whether the blob exists, and its size in bytes if the registry reports it.
    pub fn head_blob(&self, reference: &Reference, digest: &Digest) -> Result<Option<u64>> {
        let call = Self::blob_call(Method::HEAD, reference, digest);
        let answer = expect(self.send(&Self::target(reference, Right::Pull), call)?, &[200])?;
        Ok(length(&answer))
    }

    /// All tags of the repository of `reference`, in the registry's order, page by page.
    pub fn tags(&self, reference: &Reference) -> Result<Vec<Tag>> {
        let target = Self::target(reference, Right::Pull);
        let mut url = Self::url(reference, "tags/list?n=1000");
        let mut tags = Vec::new();
        for _ in 0..PAGES {
            let call = Call::new(Method::GET, &url).limit(MANIFEST_LIMIT);
            let answer = expect(self.send(&target, call)?, &[200])?;
            let page: TagList =
                serde_json::from_slice(&answer.body).map_err(RemoteError::malformed)?;
            tags.extend(page.tags);
            let Some(next) = answer.header("link").and_then(|header| link(header, "next")) else {
                self.remember_tags(reference, &tags);
                return Ok(tags);
            };
            let next = joined(&url, next)?;
            if !same_authority(&url, &next) {
                return Err(RemoteError::malformed("the next page of tags is on another host"));
            }
            url = next;
        }
        Err(RemoteError::malformed(format!("more than {PAGES} pages of tags")))
    }

    fn manifest_call(method: Method, reference: &Reference) -> Result<Call> {
        let name = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag.as_str(),
            (None, None) => {
                return Err(RemoteError::malformed(format!("no tag and no digest: `{reference}`")));
            }
        };
        let url = Self::url(reference, &format!("manifests/{name}"));
        Ok(Call::new(method, url).header("accept", media_type::MANIFESTS.join(", ")))
    }

    fn blob_call(method: Method, reference: &Reference, digest: &Digest) -> Call {
        Call::new(method, Self::url(reference, &format!("blobs/{digest}")))
    }
}

impl Client {
    /// The registry's clock, in seconds since 1970, if its answer contains the time.
    pub fn clock(&self, registry: &Registry) -> Result<Option<u64>> {
        let call = Call::new(Method::GET, Self::root(registry)).limit(MANIFEST_LIMIT);
        let answer = self.http().send(call)?;
        let time = answer.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
        let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(since.map(|since| since.as_secs()))
    }
}

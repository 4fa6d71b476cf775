//! The client of registries: what its parts share, how a request gets its token, and what was read before.

use std::sync::Arc;
use std::time::Duration;

use xtask_model::reference::{Digest, Reference, Registry, Repository, Tag};
use xtask_model::remote::Result;

use super::access::{Access, Right, Target};
use super::credentials::{CredentialSource, Credentials};
use super::memory::Memory;
use super::stored::StoredManifest;
use crate::http::{Answer, Call, Http, is_loopback_host, same_authority, within};

/// A client of any number of registries. Clones share connections, tokens, counts and the cache.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    access: Access,
    /// Manifests that were read. The content of a digest never changes.
    manifests: Memory<(Repository, Digest), StoredManifest>,
    /// Small blobs that were read: configurations and attestations.
    blobs: Memory<(Repository, Digest), Vec<u8>>,
    /// The digest that each tag had when it was last read.
    tags: Memory<Reference, Digest>,
    /// The tags listed so far.
    lists: Memory<Repository, Vec<Tag>>,
}

impl Client {
    pub fn new(credentials: CredentialSource) -> Self {
        let shared = Shared {
            access: Access::new(Credentials::new(credentials)),
            manifests: Memory::default(),
            blobs: Memory::default(),
            tags: Memory::default(),
            lists: Memory::default(),
        };
        Self { http: Http::default(), shared: Arc::new(shared) }
    }

    /// The same client, whose operations all together end after `limit`.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self { http: self.http.within(limit), shared: Arc::clone(&self.shared) }
    }

    /// The HTTP client of this one, for other services.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// How many requests were sent so far, redirects and tokens included.
    pub fn requests(&self) -> u64 {
        self.http.requests()
    }

    /// A manifest that was read before.
    pub(super) fn known(&self, reference: &Reference) -> Option<StoredManifest> {
        let digest = reference.digest.clone()?;
        self.shared.manifests.get(&(reference.repository.clone(), digest))
    }

    /// The manifest that a tag pointed to when it was read last, or else the current one. Good enough to choose
    /// a cache, never to decide whether a tag may move.
    pub fn manifest_as_seen(&self, reference: &Reference) -> Result<StoredManifest> {
        match self.shared.tags.get(reference) {
            Some(digest) => self.manifest(&reference.at(digest)),
            None => self.manifest(reference),
        }
    }

    /// The tags as they were listed last, or else the current ones: for decisions that are checked again before
    /// anything changes.
    pub fn tags_as_seen(&self, reference: &Reference) -> Result<Vec<Tag>> {
        let seen = self.shared.lists.get(&reference.repository);
        seen.map_or_else(|| self.tags(reference), Ok)
    }

    pub(super) fn remember_tags(&self, reference: &Reference, tags: &[Tag]) {
        self.shared.lists.insert(reference.repository.clone(), tags.to_vec());
    }

    pub(super) fn remember_tag(&self, reference: &Reference, digest: &Digest) {
        if reference.tag.is_some() {
            self.shared.tags.insert(reference.clone(), digest.clone());
        }
    }

    pub(super) fn remember(&self, reference: &Reference, stored: &StoredManifest) {
        self.remember_tag(reference, &stored.digest);
        let key = (reference.repository.clone(), stored.digest.clone());
        self.shared.manifests.insert(key, stored.clone());
    }

    /// A small blob, read by `read` unless it was read before.
    pub(super) fn remembered_blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        read: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let key = (reference.repository.clone(), digest.clone());
        if let Some(bytes) = self.shared.blobs.get(&key) {
            return Ok(bytes);
        }
        let bytes = read()?;
        self.shared.blobs.insert(key, bytes.clone());
        Ok(bytes)
    }

    /// Sends `call` for `target`, and once more with a token or a password if the registry asks.
    pub(super) fn send(&self, target: &Target, call: Call) -> Result<Answer> {
        let deadline = self.http.deadline();
        let used = self.shared.access.header(target);
        let first = call.clone().authorization(used.clone());
        let answer = self.http.send_until(first, deadline)?;
        // A host that the registry redirected to gets no token, even if it asks for one.
        if answer.status != 401 || !same_authority(&call.url, &answer.url) {
            return Ok(answer);
        }
        let (http, shared, target) = (self.http.clone(), Arc::clone(&self.shared), target.clone());
        // On a thread, because it may wait for another thread that requests the same token.
        let header = within(deadline, move |_| {
            shared.access.renewed(&http, &target, &answer, used.as_ref(), deadline)
        })??;
        self.http.send_until(call.authorization(Some(header)), deadline)
    }

    pub(super) fn target(reference: &Reference, action: Right) -> Target {
        let Reference { registry, repository, .. } = reference.clone();
        Target { registry, repository, action }
    }

    /// `scheme://host/v2/REPOSITORY/rest`.
    pub(super) fn url(reference: &Reference, rest: &str) -> String {
        format!("{}{}/{rest}", Self::root(&reference.registry), reference.repository)
    }

    /// `scheme://host/v2/`.
    pub(super) fn root(registry: &Registry) -> String {
        let host = match registry.as_str() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let scheme = if is_loopback_host(host) { "http" } else { "https" };
        format!("{scheme}://{host}/v2/")
    }
}

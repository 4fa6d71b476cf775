//! Registries, over HTTP and in this process: the reads and the few writes of the OCI distribution
//! specification that plans need. Bodies are bounded and their digests checked, connections and
//! tokens are shared by all threads, and nothing is retried: that is decided by `plan::retry`.
//! GHCR's `/referrers` is never asked, because it redirects to a broken address.

mod access;
mod challenge;
mod credentials;
pub mod digest;
mod empty;
mod error;
mod exchange;
mod ledger;
pub mod look;
mod once;
mod read;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use xtask_model::reference::{Digest, Reference, Registry, Repository, Tag};

use access::{Access, Action, Target};
use credentials::Credentials;
pub(crate) use exchange::{Answer, Call, same_authority};
use exchange::{Wire, is_loopback_host, within};
use ledger::Ledger;

pub use credentials::Source;
pub use empty::empty_cache;
pub use error::{RegistryError, Result};
pub use ledger::Exchange;
pub use once::Once;
pub use read::{CONFIGURATION_LIMIT, MANIFEST_LIMIT, ManifestHead, StoredManifest, exists};

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct Options {
    pub credentials: Source,
    /// Registries spoken to without TLS, besides those on this machine.
    pub insecure: BTreeSet<Registry>,
    /// The most time one operation takes, with its redirects and its token.
    pub limit: Duration,
    /// Whether each request is kept for the record.
    pub logged: bool,
}

impl Default for Options {
    fn default() -> Self {
        let (insecure, limit) = (BTreeSet::new(), Duration::from_secs(30));
        Self { credentials: Source::Docker, insecure, limit, logged: false }
    }
}

/// A client of any number of registries. Clones share connections, tokens and counts.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// The end of everything this clone does.
    until: Option<Instant>,
}

#[derive(Debug)]
struct Shared {
    wire: Wire,
    access: Access,
    ledger: Arc<Ledger>,
    insecure: BTreeSet<Registry>,
    limit: Duration,
    /// Manifests that were read. What a digest names never changes.
    manifests: Mutex<BTreeMap<(Repository, Digest), StoredManifest>>,
    /// Blobs that were read, which are small ones: configurations and statements.
    blobs: Mutex<BTreeMap<(Repository, Digest), Vec<u8>>>,
    /// Where tags were seen to point.
    tags: Mutex<BTreeMap<Reference, Digest>>,
    /// The tags that were listed.
    lists: Mutex<BTreeMap<Repository, Vec<Tag>>>,
}

impl Client {
    pub fn new(options: Options) -> Self {
        let ledger = Arc::new(Ledger::new(options.logged));
        let shared = Shared {
            wire: Wire::new(Arc::clone(&ledger)),
            access: Access::new(Credentials::new(options.credentials)),
            ledger,
            insecure: options.insecure,
            limit: options.limit,
            manifests: Mutex::default(),
            blobs: Mutex::default(),
            tags: Mutex::default(),
            lists: Mutex::default(),
        };
        Self { shared: Arc::new(shared), until: None }
    }

    /// The same client, whose operations all together end after `limit`.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        let until = Instant::now() + limit;
        let until = self.until.map_or(until, |earlier| earlier.min(until));
        Self { shared: Arc::clone(&self.shared), until: Some(until) }
    }

    /// How many requests were sent so far, redirects and tokens included.
    pub fn requests(&self) -> u64 {
        self.shared.ledger.requests()
    }

    /// The requests that ended so far, if the client keeps them.
    pub fn log(&self) -> Vec<Exchange> {
        self.shared.ledger.log()
    }

    /// A manifest that was read before.
    fn known(&self, reference: &Reference) -> Option<StoredManifest> {
        let key = (reference.repository.clone(), reference.digest.clone()?);
        self.shared.manifests.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// The manifest that a tag was seen to point at before, or else points at now: good enough for a look
    /// at what may be used, and never for what is moved.
    pub fn manifest_as_seen(&self, reference: &Reference) -> Result<StoredManifest> {
        let tags = self.shared.tags.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = tags.get(reference).cloned();
        drop(tags);
        match seen {
            Some(digest) => self.manifest(&reference.at(digest)),
            None => self.manifest(reference),
        }
    }

    /// The tags as they were listed before, or else as they are now: for what is decided again before
    /// it is done.
    pub fn tags_as_seen(&self, reference: &Reference) -> Result<Vec<Tag>> {
        let lists = self.shared.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = lists.get(&reference.repository).cloned();
        drop(lists);
        seen.map_or_else(|| self.tags(reference), Ok)
    }

    fn remember_tags(&self, reference: &Reference, tags: &[Tag]) {
        let mut lists = self.shared.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert(reference.repository.clone(), tags.to_vec());
    }

    fn remember_tag(&self, reference: &Reference, digest: &Digest) {
        if reference.tag.is_some() {
            let mut tags = self.shared.tags.lock().unwrap_or_else(PoisonError::into_inner);
            tags.insert(reference.clone(), digest.clone());
        }
    }

    fn remember(&self, reference: &Reference, stored: &StoredManifest) {
        self.remember_tag(reference, &stored.digest);
        let key = (reference.repository.clone(), stored.digest.clone());
        let mut manifests = self.shared.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        manifests.insert(key, stored.clone());
    }

    /// Sends `call` without any credentials but its own.
    pub(crate) fn plain(&self, call: Call) -> Result<Answer> {
        self.shared.wire.exchange(call, self.deadline())
    }

    /// Sends `call` for `target`, and once more with a token or a password if the registry asks.
    fn send(&self, target: &Target, call: Call) -> Result<Answer> {
        let deadline = self.deadline();
        let used = self.shared.access.header(target);
        let first = call.clone().authorization(used.clone());
        let answer = self.shared.wire.exchange(first, deadline)?;
        // A host that the registry only sends us to gets no token, however it asks for one.
        if answer.status != 401 || !same_authority(&call.url, &answer.url) {
            return Ok(answer);
        }
        let (shared, target) = (Arc::clone(&self.shared), target.clone());
        // On a thread, because it may have to wait for another one that asks for the same token.
        let header = within(deadline, move |_| {
            shared.access.renewed(&shared.wire, &target, &answer, used.as_ref(), deadline)
        })??;
        self.shared.wire.exchange(call.authorization(Some(header)), deadline)
    }

    fn target(reference: &Reference, action: Action) -> Target {
        let Reference { registry, repository, .. } = reference.clone();
        Target { registry, repository, action }
    }

    /// `scheme://host/v2/REPOSITORY/rest`.
    fn url(&self, reference: &Reference, rest: &str) -> String {
        let root = self.root(&reference.registry);
        format!("{root}{}/{rest}", reference.repository)
    }

    /// `scheme://host/v2/`.
    fn root(&self, registry: &Registry) -> String {
        let host = match registry.as_str() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let plain = is_loopback_host(host) || self.shared.insecure.contains(registry);
        let scheme = if plain { "http" } else { "https" };
        format!("{scheme}://{host}/v2/")
    }

    fn deadline(&self) -> Instant {
        let limit = Instant::now() + self.shared.limit;
        self.until.map_or(limit, |until| until.min(limit))
    }
}

/// The answer, if it is a 200; else the error it stands for.
pub(crate) fn expected(answer: Answer) -> Result<Answer> {
    error::expect(answer, &[200])
}

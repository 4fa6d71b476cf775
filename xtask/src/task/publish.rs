//! Publishing an image that is in the registry or is about to be: what `push` and `release` share.
//!
//! Two phases. First the exact tag, which BuildKit pushes to or which is set by reference; then, once
//! all that it leads to was found to be there, the floating tags. Whatever ends the command in
//! between leaves the floating tags on a whole image, and the next run finishes what is missing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::model::failure::Failure;
use crate::model::publication::TagResult;
use crate::model::reference::{Digest, Reference, Tag};
use crate::outside::process::Runner;
use crate::outside::published::{self, Closure, Manifests};
use crate::outside::registry::{Client, RegistryError, StoredManifest};
use crate::outside::{clock, git};
use crate::plan::publish::{self, Move, Tags, Wishes};
use crate::plan::retry;

/// Publishes images of one commit.
pub(super) struct Publisher<'p> {
    pub client: &'p Client,
    pub runner: &'p Runner,
    /// The commit, as labels have it.
    pub revision: &'p str,
    pub wishes: Wishes,
    pub manifests: Manifests,
    /// Floating tags of all services move together, at the end.
    pub together: bool,
}

/// What was published, and how large it is.
#[derive(Debug)]
pub(super) struct Done {
    pub tags: Vec<TagResult>,
    pub size: u64,
}

/// How long a registry may show an old answer after it took a new one.
const LAG: Duration = Duration::from_secs(5);

impl Publisher<'_> {
    /// Both phases, but for a release, whose floating tags wait for all services.
    pub fn publish(
        &self,
        repository: &Reference,
        tags: &Tags,
        digest: &Digest,
        checked: bool,
        pushed: Option<&Tag>,
    ) -> Result<Done> {
        let mut done = self.exact_tags(repository, tags, digest, checked, pushed)?;
        if !self.together {
            done.tags.extend(self.floating_tags(repository, tags, digest)?);
        }
        Ok(done)
    }

    /// Phase one: `digest`, which is in the repository, under all exact tags. `checked` says that it
    /// is known to be whole: the image of a floating tag, which was checked when it got it. `pushed` is
    /// the tag that BuildKit has just set.
    fn exact_tags(
        &self,
        repository: &Reference,
        tags: &Tags,
        digest: &Digest,
        checked: bool,
        pushed: Option<&Tag>,
    ) -> Result<Done> {
        let stored = self.stored(repository, digest)?;
        let size = if checked { 0 } else { self.whole(repository, digest)?.size };
        let set = tags.exact.iter().map(|tag| match pushed {
            Some(pushed) if pushed == tag => {
                Ok(TagResult { tag: tag.clone(), set: true, reason: "pushed".to_owned() })
            }
            _ => self.exact(repository, tag, &stored),
        });
        Ok(Done { tags: set.collect::<Result<_>>()?, size })
    }

    /// Phase two: the floating tags, in their order.
    pub fn floating_tags(
        &self,
        repository: &Reference,
        tags: &Tags,
        digest: &Digest,
    ) -> Result<Vec<TagResult>> {
        if tags.floating.is_empty() {
            return Ok(Vec::new());
        }
        let stored = self.stored(repository, digest)?;
        tags.floating.iter().map(|tag| self.float(repository, tag, &stored)).collect()
    }

    fn stored(&self, repository: &Reference, digest: &Digest) -> Result<StoredManifest> {
        match self.manifests.get(digest) {
            Some(stored) => Ok(stored.clone()),
            None => again(|| self.client.manifest(&repository.at(digest.clone()))),
        }
    }

    /// Everything the image leads to, none of it missing.
    fn whole(&self, repository: &Reference, digest: &Digest) -> Result<Closure> {
        let begun = Instant::now();
        loop {
            let closure = again(|| published::closure(self.client, repository, digest))?;
            let Some(missing) = closure.missing.first() else { return Ok(closure) };
            // What was just pushed may not be seen at once.
            if begun.elapsed() > LAG {
                let image = repository.at(digest.clone());
                let message = format!("`{image}` refers to `{missing}`, which is not there");
                return Err(Failure::failed(message)
                    .hint("no floating tag was moved; cargo xtask push --rebuild")
                    .into());
            }
            clock::sleep(Duration::from_millis(250))?;
        }
    }

    /// Sets an exact tag, unless it is there; another digest there is refused.
    fn exact(
        &self,
        repository: &Reference,
        tag: &Tag,
        stored: &StoredManifest,
    ) -> Result<TagResult> {
        let reference = repository.with_tag(tag.clone());
        let set =
            |set, reason: &str| Ok(TagResult { tag: tag.clone(), set, reason: reason.to_owned() });
        match self.digest_at(&reference)? {
            Some(there) if there == stored.digest => set(false, "it is there"),
            Some(_) if self.wishes.dirty => {
                again(|| self.client.put_manifest(&reference, stored))?;
                set(true, "the tag of a dirty tree is no commit's")
            }
            Some(there) => Err(Failure::refused(format!(
                "`{reference}` is {there} and never changes; this is {}",
                stored.digest
            ))
            .hint("commit again, so that there is another exact tag")
            .into()),
            None => {
                again(|| self.client.put_manifest(&reference, stored))?;
                set(true, "set by reference")
            }
        }
    }

    /// Moves a floating tag forward. What decides is read immediately before; afterwards the tag is
    /// read again, because another run may have moved it meanwhile: then it is decided anew.
    fn float(
        &self,
        repository: &Reference,
        tag: &Tag,
        stored: &StoredManifest,
    ) -> Result<TagResult> {
        let reference = repository.with_tag(tag.clone());
        if self.together {
            // A release decides by versions, for all tags at once; what the tag had is not asked.
            again(|| self.client.put_manifest(&reference, stored))?;
            if self.settled(&reference, stored)? {
                let reason = "the highest version of its line".to_owned();
                return Ok(TagResult { tag: tag.clone(), set: true, reason });
            }
        }
        for _ in 0..retry::ATTEMPTS {
            let there = self.digest_at(&reference)?;
            let moved = match there {
                Some(there) if there == stored.digest => Move::Stay,
                other => self.may_move(repository, tag, other.as_ref(), stored)?,
            };
            let reason = match moved {
                Move::Stay => {
                    return Ok(TagResult {
                        tag: tag.clone(),
                        set: false,
                        reason: "it is there".to_owned(),
                    });
                }
                Move::Overtaken(reason) => {
                    return Err(Failure::refused(reason)
                        .hint("to go back on purpose: cargo xtask push --allow-rollback")
                        .into());
                }
                Move::Go(reason) => reason,
            };
            again(|| self.client.put_manifest(&reference, stored))?;
            if self.settled(&reference, stored)? {
                self.yield_to_newer(repository, tag)?;
                return Ok(TagResult { tag: tag.clone(), set: true, reason });
            }
        }
        Err(Failure::unfinished(format!("`{reference}` is moved again and again by others"))
            .hint("run it again when they are done")
            .into())
    }

    /// Two runs may read and write in turns, so that the older one writes last. Each has published its
    /// exact tag before, so that the older one finds the newer one's now, and lets it win.
    fn yield_to_newer(&self, repository: &Reference, tag: &Tag) -> Result<()> {
        if self.wishes.allow_rollback || tag.as_str() != "dev" {
            return Ok(());
        }
        let tags = again(|| self.client.tags(repository))?;
        let Some(newer) = published::newer(self.runner, &tags, self.revision)? else {
            return Ok(());
        };
        let stored = again(|| self.client.manifest(&repository.with_tag(newer.clone())))?;
        again(|| self.client.put_manifest(&repository.with_tag(tag.clone()), &stored))?;
        let revision = self.revision;
        Err(Failure::refused(format!(
            "`{newer}` was published meanwhile, from a newer commit than {revision}; `{tag}` is its"
        ))
        .hint("to go back on purpose: cargo xtask push --allow-rollback")
        .into())
    }

    fn may_move(
        &self,
        repository: &Reference,
        tag: &Tag,
        there: Option<&Digest>,
        stored: &StoredManifest,
    ) -> Result<Move> {
        let image = match there {
            Some(digest) => {
                Some(again(|| published::image(self.client, &repository.at(digest.clone())))?.0)
            }
            None => None,
        };
        let relation = |revision: &String| git::relation(self.runner, revision, self.revision);
        let pair = match &image {
            Some(image) => {
                let relation = image.revision.as_ref().map(relation).transpose()?;
                Some((image, relation.unwrap_or(crate::model::published::Relation::Unknown)))
            }
            None => None,
        };
        let digest = Some(&stored.digest);
        let revision = self.revision;
        Ok(publish::movement(repository, tag, pair, None, digest, revision, self.wishes)?)
    }

    /// Whether the tag stays where it was put. A registry may show the old answer for a while.
    fn settled(&self, reference: &Reference, stored: &StoredManifest) -> Result<bool> {
        let begun = Instant::now();
        loop {
            if self.digest_at(reference)?.as_ref() == Some(&stored.digest) {
                return Ok(true);
            }
            if begun.elapsed() > Duration::from_secs(1) {
                return Ok(false);
            }
            clock::sleep(Duration::from_millis(100))?;
        }
    }

    fn digest_at(&self, reference: &Reference) -> Result<Option<Digest>> {
        again(|| match self.client.head_manifest(reference) {
            Ok(head) => Ok(Some(head.digest)),
            Err(RegistryError::NotFound) => Ok(None),
            Err(error) => Err(error),
        })
    }
}

/// Does one thing at a registry, and tries again what is worth it.
pub(super) fn again<T>(mut call: impl FnMut() -> Result<T, RegistryError>) -> Result<T> {
    let mut number = 1;
    loop {
        let error = match call() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let asked = match &error {
            RegistryError::RateLimited { retry_after } => *retry_after,
            _ => None,
        };
        let passes = matches!(
            error,
            RegistryError::RateLimited { .. }
                | RegistryError::Unreachable { .. }
                | RegistryError::TimedOut { .. }
                | RegistryError::Server { .. }
                | RegistryError::Malformed { .. }
        );
        number += 1;
        if !passes || number > retry::ATTEMPTS {
            return Err(remedy(error)).context("the registry did not do what was asked");
        }
        clock::sleep(retry::wait(number, clock::chance(), asked))?;
    }
}

/// The error with the next thing to type.
fn remedy(error: RegistryError) -> anyhow::Error {
    match &error {
        RegistryError::Denied { .. } | RegistryError::Unauthorized { .. } => Failure::failed(
            error.to_string(),
        )
        .hint(
            "in a job: `permissions: packages: write`, and the package must give the repository \
                     write access; elsewhere: docker login",
        )
        .into(),
        RegistryError::Interrupted => error.into(),
        _ => Failure::failed(error.to_string()).into(),
    }
}

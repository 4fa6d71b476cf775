//! Publishing an image that is in the registry or is about to be: what `push` and `release` share.
//!
//! Two phases. First the exact tag, which BuildKit pushes to or which is set by reference; then, once
//! all that it leads to was found to be there, the floating tags. Whatever ends the command in
//! between leaves the floating tags on a whole image, and the next run finishes what is missing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::model::failure::Failure;
use crate::model::publication::TagResult;
use crate::model::published::Relation;
use crate::model::reference::{Digest, Reference, Tag};
use crate::outside::process::Runner;
use crate::outside::published::{self, Closure, Manifests};
use crate::outside::registry::{Client, RegistryError, StoredManifest};
use crate::outside::{clock, git};
use crate::plan::publish::{self, Exact, Move, Moves, Request, Tags};
use crate::plan::retry;

/// Publishes images of one commit.
pub(super) struct Publisher<'p> {
    pub client: &'p Client,
    pub runner: &'p Runner,
    pub request: &'p Request,
    pub manifests: Manifests,
}

/// What is known of an image before its tags are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It is in the repository.
    There,
    /// It is there and whole: a floating tag has it, and all was looked at before it got it.
    Whole,
    /// BuildKit has just pushed it, under the first exact tag.
    Pushed,
}

/// An image that is in a repository or about to be, and its tags.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image<'i> {
    pub repository: &'i Reference,
    pub tags: &'i Tags,
    pub digest: &'i Digest,
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
    pub fn publish(&self, image: Image<'_>, known: Known) -> Result<Done> {
        let mut done = self.exact_tags(image, known)?;
        if self.request.wishes.moves != Moves::ByVersion {
            done.tags.extend(self.floating_tags(image)?);
        }
        Ok(done)
    }

    /// Phase one: `digest`, which is in the repository, under all exact tags.
    fn exact_tags(&self, image: Image<'_>, known: Known) -> Result<Done> {
        let Image { repository, tags, digest } = image;
        let stored = self.stored(repository, digest)?;
        let size = match known {
            Known::Whole => 0,
            Known::There | Known::Pushed => self.whole(repository, digest)?.size,
        };
        let pushed = tags.exact.first().filter(|_| known == Known::Pushed);
        let set = tags.exact.iter().map(|tag| match pushed {
            Some(pushed) if pushed == tag => {
                Ok(TagResult { tag: tag.clone(), set: true, reason: "pushed".to_owned() })
            }
            _ => self.exact(repository, tag, &stored),
        });
        Ok(Done { tags: set.collect::<Result<_>>()?, size })
    }

    /// Phase two: the floating tags, in their order.
    pub fn floating_tags(&self, image: Image<'_>) -> Result<Vec<TagResult>> {
        let Image { repository, tags, digest } = image;
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
        let there = self.digest_at(&reference)?;
        let dirty = self.request.wishes.dirty;
        let (set, reason) = match publish::exact(&reference, there.as_ref(), &stored.digest, dirty)?
        {
            Exact::Stays => (false, "it is there"),
            Exact::Set(reason) => {
                again(|| self.client.put_manifest(&reference, stored))?;
                (true, reason)
            }
        };
        Ok(TagResult { tag: tag.clone(), set, reason: reason.to_owned() })
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
        let result = |set, reason: &str| TagResult { tag: tag.clone(), set, reason: reason.into() };
        for _ in 0..retry::ATTEMPTS {
            let reason = match self.may_move(&reference, stored)? {
                Move::Stay => return Ok(result(false, "it is there")),
                Move::Go(reason) => reason,
            };
            again(|| self.client.put_manifest(&reference, stored))?;
            if self.settled(&reference, stored)? {
                self.yield_to_newer(&reference)?;
                return Ok(result(true, &reason));
            }
        }
        Err(Failure::unfinished(format!("`{reference}` is moved again and again by others"))
            .hint("run it again when they are done")
            .into())
    }

    /// Two runs may read and write in turns, so that the older one writes last. Each has published its
    /// exact tag before, so that the older one finds the newer one's now, and lets it win.
    fn yield_to_newer(&self, reference: &Reference) -> Result<()> {
        let is_dev = reference.tag.as_ref().is_some_and(|tag| tag.as_str() == "dev");
        if self.request.wishes.moves != Moves::Forward || !is_dev {
            return Ok(());
        }
        let revision = &self.request.revision;
        let tags = again(|| self.client.tags(reference))?;
        let Some(newer) = published::newer(self.runner, &tags, revision)? else {
            return Ok(());
        };
        let stored = again(|| self.client.manifest(&reference.with_tag(newer.clone())))?;
        again(|| self.client.put_manifest(reference, &stored))?;
        Err(publish::overtaken(&newer, reference, revision).into())
    }

    /// What the tag has now, and whether it may move. One that moves whatever it has is not looked at.
    fn may_move(&self, reference: &Reference, stored: &StoredManifest) -> Result<Move> {
        let digest = Some(&stored.digest);
        if self.request.wishes.moves != Moves::Forward {
            return Ok(publish::movement(reference, None, None, digest, self.request)?);
        }
        let Some(there) = self.digest_at(reference)? else {
            return Ok(publish::movement(reference, None, None, digest, self.request)?);
        };
        if there == stored.digest {
            return Ok(Move::Stay);
        }
        let (image, _) = again(|| published::image(self.client, &reference.at(there.clone())))?;
        let relation = image
            .revision
            .as_ref()
            .map(|theirs| git::relation(self.runner, theirs, &self.request.revision))
            .transpose()?
            .unwrap_or(Relation::Unknown);
        let there = Some((&image, relation));
        Ok(publish::movement(reference, there, None, digest, self.request)?)
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
        number += 1;
        let wait = retry::wait(number, clock::chance(), error.asked_to_wait());
        match wait.filter(|_| error.may_pass() && number <= retry::ATTEMPTS) {
            Some(wait) => clock::sleep(wait)?,
            None => return Err(remedy(error)).context("the registry did not do what was asked"),
        }
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

//! Reads and writes the tags of one publication. What decides about a tag is read immediately before the
//! tag is written, and again afterwards; the decisions are `plan::publish`'s.
//!
//! Exact tags come first, floating tags after the image is known to be complete. So a command that ends in
//! between leaves each floating tag on a complete image, and the next run finishes the rest.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::model::failure::Failure;
use crate::model::publication::TagResult;
use crate::model::published::{PublishedImage, Relation};
use crate::model::reference::{Digest, Reference, Tag};
use crate::model::remote::{self, RemoteError};
use crate::model::retry::POLICY;
use crate::outside::display::Display;
use crate::outside::process::Runner;
use crate::outside::published::{self, Closure};
use crate::outside::registry::{Client, StoredManifest};
use crate::outside::retry::{FailedAttempt, retry_reported};
use crate::outside::{clock, git, terminal};
use crate::plan::publish;
use crate::plan::publish::{Exact, Extent, Move, Moves, Overtaken, Request, Requires};
use crate::report::quantity::seconds;

/// Writes the tags of one commit's images.
pub struct TagWriter<'w> {
    pub client: &'w Client,
    pub runner: &'w Runner,
    pub request: &'w Request,
    /// Where retries are reported.
    pub display: &'w Display,
}

/// How long a registry may answer with an old state after a write.
const LAG: Duration = Duration::from_secs(5);

impl TagWriter<'_> {
    /// The exact tag and image of the last push, which the registry may not show at once.
    pub fn pushed(&self, tag: &Reference) -> Result<StoredManifest> {
        let begun = Instant::now();
        loop {
            let found = self.again(|| match self.client.manifest(tag) {
                Err(RemoteError::NotFound) if begun.elapsed() < LAG => Ok(None),
                other => other.map(Some),
            })?;
            if let Some(stored) = found {
                return Ok(stored);
            }
            clock::sleep(Duration::from_millis(250))?;
        }
    }

    /// An image by its digest.
    pub fn stored(&self, repository: &Reference, digest: &Digest) -> Result<StoredManifest> {
        self.again(|| self.client.manifest(&repository.at(digest.clone())))
    }

    /// What the image at `reference` says about itself.
    pub fn image(&self, reference: &Reference) -> Result<PublishedImage> {
        self.again(|| published::image(self.client, reference))
    }

    /// Everything the image refers to; an error when a part is missing.
    pub fn complete(
        &self,
        repository: &Reference,
        digest: &Digest,
        extent: Extent,
    ) -> Result<Closure> {
        let begun = Instant::now();
        loop {
            let closure = self.again(|| match extent {
                Extent::All => published::closure(self.client, repository, digest),
                Extent::Manifests => published::manifests(self.client, repository, digest)
                    .map(|(closure, _)| closure),
            })?;
            let Some(missing) = closure.missing.first() else { return Ok(closure) };
            // The registry may not show the last push at once.
            if begun.elapsed() > LAG {
                let image = repository.at(digest.clone());
                let message =
                    format!("`{image}` is not complete: the registry does not have `{missing}`");
                return Err(Failure::refused(message)
                    .hint(
                        "no floating tag was moved; to build another image: \
                         git commit --allow-empty, then cargo xtask push --rebuild",
                    )
                    .into());
            }
            clock::sleep(Duration::from_millis(250))?;
        }
    }

    /// Sets an exact tag where it does not exist; an exact tag of another image is refused.
    pub fn set_exact(&self, reference: &Reference, stored: &StoredManifest) -> Result<TagResult> {
        let current = self.digest_at(reference)?;
        match publish::exact(reference, current.as_ref(), &stored.digest, self.request)? {
            Exact::Stays(reason) => result(reference, false, reason),
            Exact::Set(reason) => {
                self.put(reference, stored)?;
                result(reference, true, reason)
            }
        }
    }

    /// Moves a floating tag forward. What decides is read immediately before. Afterwards the tag is read
    /// again: when another run has moved it too, the decision is made anew. `seen` are the tags that
    /// existed when the move was planned.
    pub fn move_tag(
        &self,
        reference: &Reference,
        stored: &StoredManifest,
        requires: &Requires,
        seen: &[Tag],
    ) -> Result<TagResult> {
        for _ in 0..POLICY.attempts {
            let reason = match self.may_move(reference, stored)? {
                Move::Stay => return result(reference, false, "already set"),
                Move::Go(reason) => reason,
            };
            self.put(reference, stored)?;
            if self.settled(reference, stored)? {
                if *requires == Requires::NewestCommit {
                    self.recheck_commits(reference, seen)?;
                }
                return result(reference, true, &reason);
            }
        }
        Err(Failure::unfinished(format!("other runs keep moving `{reference}`"))
            .hint("run it again when they have ended")
            .into())
    }

    /// Two runs may read and write in turns, so that the older one writes last. Each has set its exact tag
    /// before, so the older one finds the newer one's tag here and lets it win.
    fn recheck_commits(&self, reference: &Reference, seen: &[Tag]) -> Result<()> {
        let revision = &self.request.revision;
        let tags = self.again(|| self.client.tags(reference))?;
        let mut newer = published::newer(self.runner, &tags, revision)?;
        let unseen = newer.unknown.iter().any(|tag| !seen.contains(tag));
        // Another machine has published a commit that this clone does not have yet.
        if unseen && git::fetch(self.runner)? {
            newer = published::newer(self.runner, &tags, revision)?;
        }
        let (other, failure) = match publish::recheck(newer.newest.as_ref(), &newer.unknown, seen) {
            None => return Ok(()),
            Some(Overtaken::ByNewer(other)) => {
                (other, publish::overtaken(other, reference, revision))
            }
            Some(Overtaken::ByUnknown(other)) => {
                (other, publish::overtaken_by_unknown(other, reference, revision))
            }
        };
        self.give(reference, other)?;
        Err(failure.into())
    }

    /// Points a floating tag to the image of another tag, if that image is complete.
    pub fn give(&self, reference: &Reference, other: &Tag) -> Result<()> {
        let stored = self.again(|| self.client.manifest(&reference.with_tag(other.clone())))?;
        self.complete(reference, &stored.digest, Extent::All)?;
        self.put(reference, &stored)
    }

    /// Whether the tag may move to the image. Where it may move anywhere, only its digest is read.
    fn may_move(&self, reference: &Reference, stored: &StoredManifest) -> Result<Move> {
        let digest = Some(&stored.digest);
        let current = self.digest_at(reference)?;
        if current.as_ref() == digest {
            return Ok(Move::Stay);
        }
        let Some(current) = current.filter(|_| self.request.options.moves == Moves::Forward) else {
            return Ok(publish::movement(reference, None, None, digest, self.request)?);
        };
        let image = self.image(&reference.at(current))?;
        let relation = image
            .revision
            .as_ref()
            .map(|theirs| git::relation(self.runner, theirs, &self.request.revision))
            .transpose()?
            .unwrap_or(Relation::Unknown);
        let current = Some((&image, relation));
        Ok(publish::movement(reference, current, None, digest, self.request)?)
    }

    /// Whether the tag stays on the image. A registry may answer with the old state for a while.
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

    /// The digest that a tag points to; `None` when the tag does not exist.
    pub fn digest_at(&self, reference: &Reference) -> Result<Option<Digest>> {
        self.again(|| match self.client.head_manifest(reference) {
            Ok(head) => Ok(Some(head.digest)),
            Err(RemoteError::NotFound) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// Points a tag to an image.
    pub fn put(&self, reference: &Reference, stored: &StoredManifest) -> Result<()> {
        self.again(|| self.client.put_manifest(reference, stored)).map(drop)
    }

    pub fn again<T>(&self, call: impl FnMut() -> remote::Result<T>) -> Result<T> {
        again_reporting(call, |text| self.display.message(text))
    }
}

/// What happened to the tag of a reference.
pub fn result(reference: &Reference, set: bool, reason: &str) -> Result<TagResult> {
    let tag = reference.tag.clone().context("the reference has no tag")?;
    Ok(TagResult { tag, set, reason: reason.to_owned() })
}

/// Sends requests to a registry, and again if they may succeed later.
pub fn again<T>(call: impl FnMut() -> remote::Result<T>) -> Result<T> {
    again_reporting(call, terminal::message)
}

fn again_reporting<T>(call: impl FnMut() -> remote::Result<T>, report: impl Fn(&str)) -> Result<T> {
    let done = retry_reported(call, |FailedAttempt { error, next, attempts, wait }| {
        let time = seconds(wait.as_secs_f64());
        report(&format!("the registry: {error}; attempt {next} of {attempts} in {time}"));
    });
    done.context("the registry request failed")
}

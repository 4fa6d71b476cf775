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
use crate::outside::display::Display;
use crate::outside::patience::Patience;
use crate::outside::process::Runner;
use crate::outside::published::{self, Closure, Manifests};
use crate::outside::registry::{Client, RegistryError, StoredManifest};
use crate::outside::{clock, git, terminal};
use crate::plan::publish::{Moves, Request, Tags};
use crate::plan::tagging::{self, Exact, Move, Overtaken};
use crate::plan::{push, retry};
use crate::report::quantity::seconds;

/// Publishes images of one commit.
pub(super) struct Publisher<'p> {
    pub client: &'p Client,
    pub runner: &'p Runner,
    pub request: &'p Request,
    pub manifests: Manifests,
    /// Where it is told what is tried again.
    pub display: &'p Display,
    /// Whether images on stand-in bases may be published, which are the lab's.
    pub in_lab: bool,
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
    /// The tags of the repository when it was decided what to do.
    pub seen: &'i [Tag],
}

/// How long a registry may show an old answer after it took a new one.
const LAG: Duration = Duration::from_secs(5);

impl Publisher<'_> {
    /// The image as it is stored, whole, and how large it is where that was seen. Of an image that was
    /// pushed it is what its tag has: another run of this commit may have pushed its own meanwhile,
    /// which is then taken, as any image of this commit that is there.
    pub fn complete(
        &self,
        image: Image<'_>,
        known: Known,
    ) -> Result<(StoredManifest, Option<u64>)> {
        let Image { repository, tags, digest, .. } = image;
        let stored = match tags.exact.first().filter(|_| known == Known::Pushed) {
            Some(tag) => self.pushed(&repository.with_tag(tag.clone()))?,
            None => self.stored(repository, digest)?,
        };
        if known == Known::Whole {
            return Ok((stored, None));
        }
        let size = self.whole(repository, &stored.digest)?.size;
        if known == Known::Pushed && !self.in_lab {
            let stand_in =
                self.again(|| published::stand_in(self.client, repository, &stored.digest))?;
            if let Some(base) = stand_in {
                return Err(push::stand_in(&repository.at(stored.digest), &base).into());
            }
        }
        Ok((stored, Some(size)))
    }

    /// Phase one: the image, which is in the repository, under all exact tags.
    pub fn exact_tags(
        &self,
        image: Image<'_>,
        stored: &StoredManifest,
        known: Known,
    ) -> Result<Vec<TagResult>> {
        let pushed = image.tags.exact.first().filter(|_| known == Known::Pushed);
        let result = |tag: &Tag| match pushed {
            Some(pushed) if pushed == tag && stored.digest == *image.digest => {
                Ok(TagResult { tag: tag.clone(), set: true, reason: "pushed".to_owned() })
            }
            Some(pushed) if pushed == tag => {
                let reason = "another run has published it meanwhile, and its image is taken";
                Ok(TagResult { tag: tag.clone(), set: false, reason: reason.to_owned() })
            }
            _ => self.exact(image.repository, tag, stored),
        };
        image.tags.exact.iter().map(result).collect()
    }

    /// Phase two: the floating tags, in their order.
    pub fn floating_tags(&self, image: Image<'_>) -> Result<Vec<TagResult>> {
        let Image { repository, tags, digest, .. } = image;
        if tags.floating.is_empty() {
            return Ok(Vec::new());
        }
        let stored = self.stored(repository, digest)?;
        tags.floating.iter().map(|tag| self.float(image, tag, &stored)).collect()
    }

    /// The digest that the first exact tag has now.
    pub fn first_exact(&self, repository: &Reference, tags: &Tags) -> Result<Option<Digest>> {
        match tags.exact.first() {
            Some(tag) => self.digest_at(&repository.with_tag(tag.clone())),
            None => Ok(None),
        }
    }

    /// What was just pushed under a tag, which may not be seen at once.
    fn pushed(&self, reference: &Reference) -> Result<StoredManifest> {
        let begun = Instant::now();
        loop {
            let found = self.again(|| match self.client.manifest(reference) {
                Err(RegistryError::NotFound) if begun.elapsed() < LAG => Ok(None),
                other => other.map(Some),
            })?;
            if let Some(stored) = found {
                return Ok(stored);
            }
            clock::sleep(Duration::from_millis(250))?;
        }
    }

    pub fn stored(&self, repository: &Reference, digest: &Digest) -> Result<StoredManifest> {
        match self.manifests.get(digest) {
            Some(stored) => Ok(stored.clone()),
            None => self.again(|| self.client.manifest(&repository.at(digest.clone()))),
        }
    }

    /// Everything the image leads to, none of it missing.
    pub fn whole(&self, repository: &Reference, digest: &Digest) -> Result<Closure> {
        let begun = Instant::now();
        loop {
            let closure = self.again(|| published::closure(self.client, repository, digest))?;
            let Some(missing) = closure.missing.first() else { return Ok(closure) };
            // What was just pushed may not be seen at once.
            if begun.elapsed() > LAG {
                let image = repository.at(digest.clone());
                let message = format!("`{image}` refers to `{missing}`, which is not there");
                return Err(Failure::failed(message)
                    .hint(
                        "no floating tag was moved; for another image of it: \
                         git commit --allow-empty, then cargo xtask push --rebuild",
                    )
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
        let decided = tagging::exact(&reference, there.as_ref(), &stored.digest, self.request)?;
        let (set, reason) = match decided {
            Exact::Stays(reason) => (false, reason),
            Exact::Set(reason) => {
                self.put(&reference, stored)?;
                (true, reason)
            }
        };
        Ok(TagResult { tag: tag.clone(), set, reason: reason.to_owned() })
    }

    /// Points a tag at an image.
    pub fn put(&self, reference: &Reference, stored: &StoredManifest) -> Result<()> {
        self.again(|| self.client.put_manifest(reference, stored)).map(drop)
    }

    /// Moves a floating tag forward. What decides is read immediately before; afterwards the tag is
    /// read again, because another run may have moved it meanwhile: then it is decided anew.
    fn float(&self, image: Image<'_>, tag: &Tag, stored: &StoredManifest) -> Result<TagResult> {
        let reference = image.repository.with_tag(tag.clone());
        let result = |set, reason: &str| TagResult { tag: tag.clone(), set, reason: reason.into() };
        for _ in 0..retry::ATTEMPTS {
            let reason = match self.may_move(&reference, stored)? {
                Move::Stay => return Ok(result(false, "it is there")),
                Move::Go(reason) => reason,
            };
            self.put(&reference, stored)?;
            if self.settled(&reference, stored)? {
                self.yield_to_others(&reference, image.seen)?;
                return Ok(result(true, &reason));
            }
        }
        Err(Failure::unfinished(format!("`{reference}` is moved again and again by others"))
            .hint("run it again when they are done")
            .into())
    }

    /// Two runs may read and write in turns, so that the older one writes last. Each has published its
    /// exact tag before, so that the older one finds the newer one's now, and lets it win.
    fn yield_to_others(&self, reference: &Reference, seen: &[Tag]) -> Result<()> {
        let is_dev = reference.tag.as_ref().is_some_and(|tag| tag.as_str() == "dev");
        if self.request.wishes.moves != Moves::Forward || !is_dev {
            return Ok(());
        }
        let revision = &self.request.revision;
        let tags = self.again(|| self.client.tags(reference))?;
        let mut newer = published::newer(self.runner, &tags, revision)?;
        let unseen = newer.unknown.iter().any(|tag| !seen.contains(tag));
        // Another machine has published a commit that this clone has not got yet.
        if unseen && git::fetch(self.runner)? {
            newer = published::newer(self.runner, &tags, revision)?;
        }
        let failure = |other: &Tag, failure: Failure| {
            self.give(reference, other)?;
            Err(failure.into())
        };
        match tagging::meanwhile(newer.newest.as_ref(), &newer.unknown, seen) {
            None => Ok(()),
            Some(Overtaken::ByNewer(other)) => {
                failure(other, tagging::overtaken(other, reference, revision))
            }
            Some(Overtaken::ByUnknown(other)) => {
                failure(other, tagging::overtaken_unseen(other, reference, revision))
            }
        }
    }

    /// Points a floating tag at the image of another tag, if all of it is there.
    pub fn give(&self, reference: &Reference, other: &Tag) -> Result<()> {
        let stored = self.again(|| self.client.manifest(&reference.with_tag(other.clone())))?;
        self.whole(reference, &stored.digest)?;
        self.put(reference, &stored)
    }

    /// What the tag has now, and whether it may move. Where it may move anywhere, only whether it is there
    /// already counts.
    fn may_move(&self, reference: &Reference, stored: &StoredManifest) -> Result<Move> {
        let digest = Some(&stored.digest);
        let there = self.digest_at(reference)?;
        if there.as_ref() == digest {
            return Ok(Move::Stay);
        }
        let Some(there) = there.filter(|_| self.request.wishes.moves == Moves::Forward) else {
            return Ok(tagging::movement(reference, None, None, digest, self.request)?);
        };
        let (image, _) =
            self.again(|| published::image(self.client, &reference.at(there.clone())))?;
        let relation = image
            .revision
            .as_ref()
            .map(|theirs| git::relation(self.runner, theirs, &self.request.revision))
            .transpose()?
            .unwrap_or(Relation::Unknown);
        let there = Some((&image, relation));
        Ok(tagging::movement(reference, there, None, digest, self.request)?)
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

    pub fn digest_at(&self, reference: &Reference) -> Result<Option<Digest>> {
        self.again(|| match self.client.head_manifest(reference) {
            Ok(head) => Ok(Some(head.digest)),
            Err(RegistryError::NotFound) => Ok(None),
            Err(error) => Err(error),
        })
    }

    pub fn again<T>(&self, call: impl FnMut() -> Result<T, RegistryError>) -> Result<T> {
        again_telling(call, |text| self.display.message(text))
    }
}

/// How often a registry is asked for the same.
pub(super) const PATIENCE: Patience = Patience { attempts: retry::ATTEMPTS, wait: retry::wait };

/// Does one thing at a registry, and tries again what is worth it.
pub(super) fn again<T>(call: impl FnMut() -> Result<T, RegistryError>) -> Result<T> {
    again_telling(call, terminal::message)
}

fn again_telling<T>(
    call: impl FnMut() -> Result<T, RegistryError>,
    tell: impl Fn(&str),
) -> Result<T> {
    let told = |error: &RegistryError, next: u32, wait: Duration| {
        let (attempts, time) = (retry::ATTEMPTS, seconds(wait.as_secs_f64()));
        tell(&format!("the registry: {error}; attempt {next} of {attempts} in {time}"));
    };
    let done = PATIENCE.telling(call, told).map_err(remedy);
    done.context("the registry did not do what was asked")
}

/// The error with the next thing to type.
pub(super) fn remedy(error: RegistryError) -> anyhow::Error {
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

//! The publication of one service: what is done for it, in which order, and what is told of it.

use std::cell::RefCell;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::model::failure::Exit;
use crate::model::publication::{PublishResult, Published};
use crate::model::published::PublishedState;
use crate::model::reference::Digest;
use crate::outside::build::Built;
use crate::outside::{interrupt, published};
use crate::plan::publish::{Action, Moves, action};
use crate::plan::push::ServicePublication;
use crate::report;

use super::publish::{Image, Known, Publisher};
use super::signing::Signer;
use super::work::Work;

/// The publication of one service.
pub(super) struct OneService<'o> {
    pub by: &'o Publisher<'o>,
    pub work: &'o Work<'o>,
    pub signer: Option<&'o Signer>,
    pub service: &'o ServicePublication,
}

impl OneService<'_> {
    /// Publishes it; whatever goes wrong, what was done until then is told.
    pub fn publish(&self) -> Published {
        let begun = Instant::now();
        let mut published = empty(self.service);
        published.size_before = self.before();
        if let Err(error) = self.act(&mut published) {
            fail(self.service, &mut published, &error, self.work);
        }
        published.seconds = begun.elapsed().as_secs_f64();
        published
    }

    fn act(&self, published: &mut Published) -> Result<()> {
        match &self.service.action {
            Action::Finish { digest, .. } => {
                published.result = PublishResult::Finished;
                self.tags(digest, Known::There, published)
            }
            Action::Retag { digest, .. } => {
                published.result = PublishResult::Unchanged;
                self.tags(digest, Known::Whole, published)
            }
            Action::Promote { digest, .. } => {
                published.result = PublishResult::Promoted;
                self.tags(digest, Known::Whole, published)?;
                // Its manifests were read before, so that this asks nobody.
                let repository = self.service.repository.at(digest.clone());
                published.size = published::size(self.by.client, &repository).ok();
                Ok(())
            }
            Action::Warm { digest, .. } => {
                published.result = PublishResult::Finished;
                self.build(published, |_| Ok((digest.clone(), Known::There)))
            }
            Action::Build { .. } => {
                if let Some(digest) = self.published_meanwhile()? {
                    published.result = PublishResult::Finished;
                    return self.tags(&digest, Known::There, published);
                }
                published.result = PublishResult::Built;
                self.build(published, |built| {
                    let image = built.image.as_ref().context("buildx told no digest")?;
                    Ok((image.digest.clone(), Known::Pushed))
                })
            }
        }
    }

    /// Another run may have published this commit since it was planned; then what it published is taken,
    /// if it is what is asked for.
    fn published_meanwhile(&self) -> Result<Option<Digest>> {
        let Publisher { client, request, .. } = self.by;
        let ServicePublication { repository, tags, .. } = self.service;
        let Some(tag) = tags.exact.first().filter(|_| !request.wishes.dirty) else {
            return Ok(None);
        };
        let Some(there) = self.by.first_exact(repository, tags)? else { return Ok(None) };
        let (image, _) =
            self.by.again(|| published::image(client, &repository.at(there.clone())))?;
        let mut state = self.state().cloned().unwrap_or_default();
        state.images.insert(tag.clone(), image);
        Ok(action(&state, None, request)?.digest().cloned())
    }

    /// Builds, publishes the image that `of` tells, and exports the cache. A publication that is refused
    /// leaves the record of the build, and what was built to the next one's cache.
    fn build(
        &self,
        published: &mut Published,
        of: impl Fn(&Built) -> Result<(Digest, Known)>,
    ) -> Result<()> {
        let planned = self.service.build.as_ref().context("the plan has no build")?;
        let told = RefCell::new((&mut *published, Ok(false)));
        let record = self.work.service(planned, |built| {
            let mut told = told.borrow_mut();
            let (published, outcome) = &mut *told;
            *outcome = of(built)
                .and_then(|(digest, known)| self.tags(&digest, known, published))
                .map(|()| true);
            interrupt::check()
        });
        let (published, outcome) = told.into_inner();
        let record = record?;
        if outcome.as_ref().is_ok_and(|done| !done) {
            published.result = PublishResult::Failed;
            published.error.clone_from(&record.error);
        }
        published.record = Some(record);
        outcome.map(drop)
    }

    /// Sets the tags of an image, but for the floating tags of a release, which wait for all services.
    fn tags(&self, digest: &Digest, known: Known, published: &mut Published) -> Result<()> {
        let ServicePublication { repository, tags, .. } = self.service;
        let seen = self.state().map_or(&[][..], |state| &state.tags);
        let image = Image { repository, tags, digest, seen };
        published.digest = Some(digest.clone());
        let (stored, size) = self.by.complete(image, known)?;
        published.size = size;
        published.tags = self.by.exact_tags(image, &stored, known)?;
        let mut digest = stored.digest;
        published.digest = Some(digest.clone());
        if let Some(signer) = self.signer {
            signer.sign(self.by, Image { digest: &digest, ..image })?;
        }
        if self.by.request.wishes.moves == Moves::ByVersion {
            return Ok(());
        }
        published.tags.extend(self.by.floating_tags(Image { digest: &digest, ..image })?);
        if known == Known::Pushed
            && let Some(theirs) = self.by.first_exact(repository, tags)?
            && theirs != digest
        {
            // Another run of this commit has pushed over ours: the floating tags follow its exact tag.
            self.by.floating_tags(Image { digest: &theirs, ..image })?;
            digest = theirs;
        }
        published.digest = Some(digest);
        Ok(())
    }

    fn state(&self) -> Option<&PublishedState> {
        self.work.facts.published.get(&self.service.service)
    }

    /// The size of the image that a floating tag has now, for comparison with one that is built.
    fn before(&self) -> Option<u64> {
        let ServicePublication { repository, tags, action, .. } = self.service;
        if !matches!(action, Action::Build { .. }) {
            return None;
        }
        let images = &self.state()?.images;
        let image = tags.floating.iter().find_map(|tag| images.get(tag))?;
        published::size(self.by.client, &repository.at(image.digest.clone())).ok()
    }
}

fn empty(service: &ServicePublication) -> Published {
    let changes = match &service.action {
        Action::Build { changes, .. } => changes.clone(),
        _ => Vec::new(),
    };
    Published {
        service: service.service.clone(),
        repository: service.repository.clone(),
        result: PublishResult::Failed,
        reason: service.action.reason().to_owned(),
        changes,
        digest: None,
        tags: Vec::new(),
        size: None,
        size_before: None,
        seconds: 0.0,
        error: None,
        record: None,
    }
}

/// The outcome of a service that was not published, told at once.
pub(super) fn fail(
    service: &ServicePublication,
    published: &mut Published,
    error: &anyhow::Error,
    work: &Work<'_>,
) {
    let (exit, text) = report::error::rendered(error);
    work.display.error(&format!("{}: {text}", service.service));
    published.result = match exit {
        Exit::Refused => PublishResult::Refused,
        Exit::Unfinished => PublishResult::Unfinished,
        _ => PublishResult::Failed,
    };
    published.error = Some(format!("{error:#}"));
}

//! What each publishing step does: one arm of one `match` for each. When what a step requires no longer
//! holds, `plan::publish` is asked for new steps.

use std::thread::{Scope, ScopedJoinHandle};

use anyhow::{Context, Result};

use crate::build::{Builds, Run};
use crate::command::Command;
use crate::model::facts::Facts;
use crate::model::failure::Failure;
use crate::model::publication::{PublishResult, Published, TagResult};
use crate::model::published::PublishedState;
use crate::model::reference::{Digest, Reference, Tag};
use crate::model::service::ServiceName;
use crate::outside::registry::StoredManifest;
use crate::outside::{git_tags, published};
use crate::plan::publish::{
    Action, Extent, PublishPlan, Requires, ServicePublication, Step, decide_again,
    required_to_move, stand_in, steps,
};

use super::github_release;
use super::release_tags::ReleaseTags;
use super::signing::Signer;
use super::tag_writer::TagWriter;

/// Everything that the steps of one plan need.
pub struct Tools<'a> {
    pub command: &'a Command,
    pub facts: &'a Facts,
    pub plan: &'a PublishPlan,
    pub writer: &'a TagWriter<'a>,
    pub builds: &'a Builds<'a>,
    pub signer: Option<&'a Signer>,
    pub release_tags: ReleaseTags,
}

/// What a list of steps has come to.
pub struct State<'s, 'a, 'p> {
    /// The outcomes that the steps add to: of one service, or of all.
    results: &'p mut [Published],
    service: Option<&'a ServicePublication>,
    /// The exact tag that the build has pushed to.
    pushed: Option<Reference>,
    /// The build, until its cache is exported.
    pub run: Option<Run<'a>>,
    pub export: Option<ScopedJoinHandle<'s, Run<'a>>>,
}

impl<'a, 'p> State<'_, 'a, 'p> {
    pub fn new(results: &'p mut [Published], service: Option<&'a ServicePublication>) -> Self {
        Self { results, service, pushed: None, run: None, export: None }
    }

    /// The outcome of the service with this repository.
    fn published(&mut self, repository: &Reference) -> Result<&mut Published> {
        let mut results = self.results.iter_mut();
        results.find(|result| result.is_in(repository)).context("the step has no service")
    }
}

/// How a list of steps goes on after one.
pub enum Next {
    Continue,
    Replace(Vec<Step>),
    Stop,
}

impl<'a> Tools<'a> {
    /// Executes one step.
    pub fn execute<'s>(
        &'a self,
        scope: &'s Scope<'s, '_>,
        step: &Step,
        state: &mut State<'s, 'a, '_>,
    ) -> Result<Next>
    where
        'a: 's,
    {
        match step {
            Step::RequireGitTag { problem, hint, .. } => {
                return Err(Failure::refused(problem).hint(hint).into());
            }
            Step::PushGitTag { tag, revision, create, push } => {
                self.push_git_tag(tag, revision, *create, *push)?;
            }
            Step::CheckImage { repository, image, extent } => {
                self.check_image(repository, image.as_ref(), *extent, state)?;
            }
            Step::Build { push_to, requires } => {
                return self.build(push_to.as_ref(), requires, state);
            }
            Step::ExportCache => {
                let builds = self.builds;
                let run = state.run.take();
                state.export = run.map(|run| scope.spawn(move || builds.export(run)));
            }
            Step::SetTag { tag, image, .. } => {
                let published = state.published(tag)?;
                let stored = self.stored(tag, image.as_ref(), published)?;
                published.tags.push(self.writer.set_exact(tag, &stored)?);
            }
            Step::Sign { repository, image } => {
                let published = state.published(repository)?;
                let stored = self.stored(repository, image.as_ref(), published)?;
                let signer = self.signer.context("there is no signer")?;
                signer.sign(
                    self.writer,
                    repository,
                    &stored.digest,
                    self.seen(&published.service),
                )?;
            }
            Step::MoveTag { tag, image, requires } => {
                let published = state.published(tag)?;
                let stored = self.stored(tag, image.as_ref(), published)?;
                let built = image.is_none();
                let moved = self.move_tag(tag, built, &stored, requires, &published.service)?;
                published.tags.push(moved);
            }
            Step::Recheck { tags, requires } => self.recheck(tags, requires, state)?,
            Step::CreateRelease { .. } => {
                let release = self.plan.release.as_ref().context("the plan has no release")?;
                let Self { command, facts, writer, .. } = self;
                github_release::create(command, facts, writer.client, release, state.results)?;
            }
        }
        Ok(Next::Continue)
    }

    fn push_git_tag(&self, tag: &str, revision: &str, create: bool, push: bool) -> Result<()> {
        let runner = &self.command.runner;
        if create {
            let in_job = self.facts.environment.github.is_some();
            git_tags::create(runner, tag, revision, push, in_job)?;
            self.command.say(&format!("created the git tag {tag}"));
        } else {
            git_tags::push(runner, tag)?;
            self.command.say(&format!("pushed the git tag {tag}"));
        }
        Ok(())
    }

    /// Builds, unless another run has published the commit since the plan was made.
    fn build(
        &'a self,
        push_to: Option<&Reference>,
        requires: &Requires,
        state: &mut State<'_, 'a, '_>,
    ) -> Result<Next> {
        let service = state.service.context("the step has no service")?;
        let published = state.published(&service.repository)?;
        if let Requires::Unpublished { tag } = requires
            && let Some(action) = self.published_since(service, tag)?
        {
            published.result = result_of(&action);
            action.reason().clone_into(&mut published.reason);
            let steps = steps(&action, &service.repository, self.writer.request);
            return Ok(Next::Replace(steps));
        }
        let build = service.build.as_ref().context("the plan has no build")?;
        let run = state.run.insert(self.builds.run(build));
        if !run.succeeded() {
            let may_pass = run.record.may_pass;
            let result = if may_pass { PublishResult::Unfinished } else { PublishResult::Failed };
            let error = run.record.error.clone();
            let published = state.published(&service.repository)?;
            (published.result, published.error) = (result, error);
            return Ok(Next::Stop);
        }
        if push_to.is_some() {
            let image = run.image().context("buildx reported no digest")?.digest.clone();
            state.published(&service.repository)?.digest = Some(image);
        }
        state.pushed = push_to.cloned();
        Ok(Next::Continue)
    }

    /// What to do instead of a build when the exact tag has an image by now.
    fn published_since(
        &self,
        service: &ServicePublication,
        tag: &Reference,
    ) -> Result<Option<Action>> {
        let Some(current) = self.writer.digest_at(tag)? else { return Ok(None) };
        let image = self.writer.image(&service.repository.at(current))?;
        let mut state = self.facts.published.get(&service.service).cloned().unwrap_or_default();
        state.images.extend(tag.tag.clone().map(|tag| (tag, image)));
        let repository = &service.repository;
        Ok(decide_again(self.facts, repository, &state, self.writer.request)?)
    }

    /// Reads the image and what it refers to. After a push this is the image that the exact tag points to:
    /// another run of the same commit may have pushed its own since, which is then used.
    fn check_image(
        &self,
        repository: &Reference,
        image: Option<&Digest>,
        extent: Extent,
        state: &mut State<'_, 'a, '_>,
    ) -> Result<()> {
        let pushed = state.pushed.clone().filter(|_| image.is_none());
        let stored = match (image, &pushed) {
            (Some(digest), _) => self.writer.stored(repository, digest)?,
            (None, Some(tag)) => self.writer.pushed(tag)?,
            (None, None) => anyhow::bail!("no image to check"),
        };
        let size = self.writer.complete(repository, &stored.digest, extent)?.size;
        if state.results.is_empty() {
            return Ok(());
        }
        let published = state.published(repository)?;
        published.size = Some(size);
        if let Some(tag) = pushed.and_then(|pushed| pushed.tag) {
            self.refuse_stand_in(repository, &stored.digest)?;
            let set = published.digest.as_ref() == Some(&stored.digest);
            let reason =
                if set { "pushed" } else { "another run has pushed it; its image is used" };
            published.tags.push(TagResult { tag, set, reason: reason.to_owned() });
        }
        published.digest = Some(stored.digest);
        Ok(())
    }

    /// Outside the lab, an image on a stand-in base gets no floating tag.
    fn refuse_stand_in(&self, repository: &Reference, digest: &Digest) -> Result<()> {
        if self.facts.lab.is_some() {
            return Ok(());
        }
        let client = self.writer.client;
        match self.writer.again(|| published::stand_in(client, repository, digest))? {
            Some(base) => Err(stand_in(&repository.at(digest.clone()), &base).into()),
            None => Ok(()),
        }
    }

    /// The image that a step names, or else the one that was published.
    fn stored(
        &self,
        repository: &Reference,
        image: Option<&Digest>,
        published: &mut Published,
    ) -> Result<StoredManifest> {
        let digest = image.or(published.digest.as_ref()).context("there is no image")?.clone();
        let stored = self.writer.stored(repository, &digest)?;
        published.digest = Some(digest);
        Ok(stored)
    }

    fn move_tag(
        &self,
        tag: &Reference,
        built: bool,
        stored: &StoredManifest,
        requires: &Requires,
        service: &ServiceName,
    ) -> Result<TagResult> {
        if *requires != Requires::HighestVersion {
            return self.writer.move_tag(tag, stored, requires, self.seen(service));
        }
        self.release_tags.move_tag(self.writer, tag, stored, built)
    }

    /// Reads again what another run may have changed, and moves the floating tags on to the newer image.
    fn recheck(
        &self,
        tags: &[Reference],
        requires: &Requires,
        state: &mut State<'_, 'a, '_>,
    ) -> Result<()> {
        let Some(first) = tags.first() else { return Ok(()) };
        let published = state.published(first)?;
        let Requires::TagOurs { tag } = requires else {
            return self.release_tags.recheck(self.writer, tags, published);
        };
        let theirs = self.writer.digest_at(tag)?;
        let Some(theirs) = theirs.filter(|theirs| published.digest.as_ref() != Some(theirs)) else {
            return Ok(());
        };
        // Another run of this commit has pushed over our exact tag.
        let stored = self.writer.stored(first, &theirs)?;
        self.writer.complete(first, &theirs, Extent::All)?;
        self.refuse_stand_in(first, &theirs)?;
        let published = state.published(first)?;
        for floating in tags {
            let tag = floating.tag.as_ref().context("the reference has no tag")?;
            let requires = required_to_move(tag, self.writer.request);
            self.move_tag(floating, false, &stored, &requires, &published.service)?;
        }
        published.digest = Some(theirs);
        Ok(())
    }

    /// The tags of a service's repository when the plan was made.
    fn seen(&self, service: &ServiceName) -> &[Tag] {
        self.facts.published.get(service).map_or(&[], |state: &PublishedState| &state.tags)
    }
}

/// The outcome of an action if nothing fails.
pub fn result_of(action: &Action) -> PublishResult {
    match action {
        Action::Finish { .. } | Action::Warm { .. } => PublishResult::Finished,
        Action::Retag { .. } => PublishResult::Unchanged,
        Action::Promote { .. } => PublishResult::Promoted,
        Action::Build { .. } => PublishResult::Built,
    }
}

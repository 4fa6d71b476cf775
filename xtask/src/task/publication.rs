//! A publication from its facts to its report: the story that `push` and `release` share.

use std::cell::RefCell;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::cli::{Format, Publish};
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::failure::{Exit, Failure, Interrupted};
use crate::model::manifest::Manifest;
use crate::model::publication::{self, PublishResult, Published};
use crate::model::published::PublishedState;
use crate::model::reference::Digest;
use crate::outside::build::Built;
use crate::outside::published::{self, Manifests, Read};
use crate::outside::registry::{Client, RegistryError};
use crate::outside::{gather, git, github, interrupt, parallel, terminal};
use crate::plan::build::{self, BuildOptions, ServicePlan};
use crate::plan::cache;
use crate::plan::publish::{Action, Moves, Request, action};
use crate::plan::push::{self, PublishPlan, ServicePublication};
use crate::plan::selection::select;
use crate::report;

use super::Start;
use super::floating;
use super::gate::Gate;
use super::publish::{Image, Known, Publisher, remedy};
use super::signing::Signer;
use super::work::Work;

/// Everything that is known of a publication before it begins.
pub(super) struct Publication<'s> {
    start: &'s Start,
    facts: Facts,
    request: Request,
    options: BuildOptions,
    client: Client,
    manifests: Manifests,
}

impl<'s> Publication<'s> {
    /// Reads what the registry has of each service.
    pub fn new(
        start: &'s Start,
        facts: Facts,
        request: Request,
        options: BuildOptions,
        client: Client,
    ) -> Result<Self> {
        let manifests = Manifests::new();
        let mut publication = Self { start, facts, request, options, client, manifests };
        if start.global.facts.is_none() {
            publication.read()?;
            start.keep_facts(&publication.facts)?;
        } else if !start.global.dry_run {
            return Err(Failure::usage("`--facts` plans from a file, and publishes nothing")
                .hint("add --dry-run")
                .into());
        }
        Ok(publication)
    }

    fn read(&mut self) -> Result<()> {
        let chosen = select(&self.facts, &self.options.services)?.chosen;
        let services: Vec<&ServiceFacts> = chosen.iter().map(|(service, _)| *service).collect();
        let wanted = self.request.compared();
        let states = parallel::each(&services, |service| {
            let repository =
                self.facts.published(&service.name).ok_or_else(build::no_repository)?;
            let (client, runner) = (&self.client, &self.start.runner);
            let mut read =
                published::read(client, runner, &repository, &wanted, &self.request.revision)
                    .map_err(|error| error.downcast::<RegistryError>().map_or_else(|e| e, remedy))
                    .with_context(|| format!("cannot look at `{repository}`"))?;
            // A promotion compares no inputs.
            let bases = if self.request.wishes.promote {
                Vec::new()
            } else {
                super::verify::bases(&self.facts, service)
            };
            read.state.bases = published::bases(client, &bases, self.facts.lab.as_ref());
            anyhow::Ok((service.name.clone(), read))
        });
        let mut states = states.into_iter().collect::<Result<Vec<_>>>()?;
        self.fetch_what_is_published(states.iter_mut().map(|(_, read)| read))?;
        self.facts.published.clear();
        for (name, read) in states {
            self.facts.published.insert(name, read.state);
            self.manifests.extend(read.manifests);
        }
        Ok(())
    }

    /// Other machines may have published commits that this clone has not got yet, and which may be newer.
    fn fetch_what_is_published<'r>(&self, reads: impl Iterator<Item = &'r mut Read>) -> Result<()> {
        let mut open: Vec<_> = reads.filter(|read| !read.unknown.is_empty()).collect();
        // A shallow clone lacks what ours was made on, which is not what is looked for here.
        let shallow = self.facts.git.as_ref().is_some_and(|git| git.shallow);
        let wanted = !open.is_empty() && !shallow && self.request.wishes.moves == Moves::Forward;
        if wanted && git::fetch(&self.start.runner)? {
            let relate = |read| published::relate(&self.start.runner, read, &self.request.revision);
            open.iter_mut().try_for_each(|read| relate(read))?;
        }
        Ok(())
    }

    /// What will be done. Only for what must be built are the cache tiers and the engine looked at.
    pub fn plan(&mut self) -> Result<PublishPlan> {
        let decide = |publication: &Self| {
            let Self { facts, options, request, .. } = publication;
            push::plan(facts, &build::plan(facts, options)?, request)
        };
        // Whatever the engine can do, it does not decide what must be built.
        let plan = decide(self)?;
        let builds: Vec<_> =
            plan.services.iter().filter_map(|service| service.build.as_ref()).collect();
        if builds.is_empty() || self.start.global.facts.is_some() {
            return Ok(plan);
        }
        let services: Vec<_> = builds.iter().map(|build| build.service.clone()).collect();
        let made = |build: &&ServicePlan| {
            let state = self.facts.published.get(&build.service)?;
            let like = self.request.like.as_ref();
            let index = cache::of_same_inputs(state, like, build.inputs.as_ref())?;
            Some((build.service.clone(), self.only_image(index)))
        };
        let made = builds.iter().filter_map(made).collect();
        self.facts.tiers = gather::tiers(&self.facts, &self.client, &services, &made)?;
        self.facts = super::build::with_engine(self.start, self.facts.clone(), &self.options)?;
        Ok(decide(self)?)
    }

    /// The one image of an index, which is all that an import of its inline cache needs to read; the index
    /// itself when it has several.
    fn only_image(&self, index: &Digest) -> Digest {
        let only = || {
            let Manifest::Index(index) = self.manifests.get(index)?.parse().ok()? else {
                return None;
            };
            let mut images = index.images();
            let only = images.next()?.digest.clone();
            images.next().is_none().then_some(only)
        };
        only().unwrap_or_else(|| index.clone())
    }

    pub fn show(&self, plan: &PublishPlan) -> Result<()> {
        terminal::data(&match self.start.global.format {
            Format::Json => format!("{}\n", serde_json::to_string_pretty(plan)?),
            Format::Bake => {
                let builds = plan.services.iter().filter_map(|service| service.build.as_ref());
                let whole: Vec<_> =
                    builds.map(|b| (b.service.as_str().to_owned(), b.whole())).collect();
                let targets = whole.iter().map(|(name, spec)| (name.as_str(), spec));
                format!("{}\n", serde_json::to_string_pretty(&report::bake::bake(targets))?)
            }
            _ => report::publication::script(plan),
        });
        Ok(())
    }

    /// Publishes every service, and reports.
    pub fn carry_out(
        mut self,
        plan: &PublishPlan,
        options: &Publish,
    ) -> Result<(Exit, Vec<Published>)> {
        let gate = Gate { start: self.start, facts: &self.facts, client: &self.client };
        let signer = options.sign.then(Signer::new).transpose()?;
        // Removed when the publication ends.
        let login = gate.login(plan, signer.is_some())?;
        gate.leaks(plan)?;
        let runner = match &login {
            Some(login) => login.enter(&self.start.runner),
            None => self.start.runner.clone(),
        };
        let start = Start { runner, ..self.start.again() };
        let builds = build::plan(&self.facts, &self.options)?;
        let work = Work::new(&start, &self.facts, &builds, options.progress, options.jobs);
        let by = Publisher {
            client: &self.client,
            runner: &start.runner,
            request: &self.request,
            manifests: std::mem::take(&mut self.manifests),
            display: &work.display,
            in_lab: self.facts.lab.is_some(),
        };
        tested(&by, &self.facts, plan)?;
        if plan.services.iter().any(|service| service.build.is_some()) {
            work.prepare()?;
        }
        let mut results = parallel::at_once(&plan.services, usize::from(options.jobs), |service| {
            One { by: &by, work: &work, signer: signer.as_ref(), service }.publish()
        });
        if self.request.wishes.moves == Moves::ByVersion && results.iter().all(Published::is_there)
        {
            floating::release(&by, plan, &mut results, |service, published, error| {
                fail(service, published, error, &work);
            });
        }
        drop(by);
        drop(work);
        let exit = self.report(&results)?;
        Ok((exit, results))
    }

    fn report(&self, results: &[Published]) -> Result<Exit> {
        let width = terminal::width().unwrap_or(report::WIDTH);
        terminal::data(&match self.start.global.format {
            Format::Json => {
                let channel = self.options.channel;
                let requests = self.client.requests();
                let value = serde_json::json!({
                    "schema": 1, "channel": channel, "revision": self.request.revision,
                    "requests": requests, "services": results,
                });
                format!("{}\n", serde_json::to_string_pretty(&value)?)
            }
            _ => report::publication::table(results).text(width),
        });
        github::summary(&report::publication::summary(results))?;
        for published in results {
            github::output(report::publication::outputs(published))?;
        }
        if interrupt::wanted() {
            return Err(Interrupted.into());
        }
        Ok(publication::exit(results))
    }
}

/// What is promoted was tested, and must still be there, of every service before any gets a tag. The
/// layers of an image that `dev` has were looked at when `dev` got it, and a registry keeps what a
/// manifest that has a tag refers to; only manifests are lost, to those who delete what has no tag.
fn tested(by: &Publisher<'_>, facts: &Facts, plan: &PublishPlan) -> Result<()> {
    let promoted = |service: &ServicePublication| match &service.action {
        Action::Promote { digest, .. } => Some((service.clone(), digest.clone())),
        _ => None,
    };
    let promoted: Vec<_> = plan.services.iter().filter_map(promoted).collect();
    let looked = parallel::each(&promoted, |(service, digest)| {
        let repository = &service.repository;
        let images = facts.published.get(&service.service).map(|state| &state.images);
        let on_dev = images.is_some_and(|images| {
            images.iter().any(|(tag, image)| tag.as_str() == "dev" && image.digest == *digest)
        });
        let (closure, _) = if on_dev {
            by.again(|| published::manifests(by.client, repository, digest))?
        } else {
            (by.again(|| published::closure(by.client, repository, digest))?, Vec::new())
        };
        match closure.missing.first() {
            None => Ok(()),
            Some(missing) => Err(Failure::refused(format!(
                "`{}` is not whole: `{missing}`, to which it refers, is not there",
                repository.at(digest.clone())
            ))
            .hint("no tag was set; release without --promote builds it anew")
            .into()),
        }
    });
    looked.into_iter().collect()
}

/// The publication of one service.
struct One<'o> {
    by: &'o Publisher<'o>,
    work: &'o Work<'o>,
    signer: Option<&'o Signer>,
    service: &'o ServicePublication,
}

impl One<'_> {
    /// Publishes it; whatever goes wrong, what was done until then is told.
    fn publish(&self) -> Published {
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
fn fail(
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

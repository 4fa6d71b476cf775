//! A publication from its facts to its report: the story that `push` and `release` share.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::cli::{Format, Publish};
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::failure::{Exit, Failure, Interrupted};
use crate::model::manifest::Manifest;
use crate::model::publication::{self, PublishResult, Published};
use crate::model::reference::Digest;
use crate::outside::published::{self, Manifests};
use crate::outside::registry::Client;
use crate::outside::{gather, github, interrupt, parallel, terminal};
use crate::plan::build::{self, BuildOptions, ServicePlan};
use crate::plan::cache;
use crate::plan::publish::{Action, Moves, Request};
use crate::plan::push::{self, PublishPlan, ServicePublication};
use crate::plan::selection::select;
use crate::report;

use super::Start;
use super::gate::{self, Gate};
use super::publish::{Image, Known, Publisher};
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
            let (mut state, manifests) =
                published::read(client, runner, &repository, &wanted, &self.request.revision)
                    .with_context(|| format!("cannot look at `{repository}`"))?;
            // A promotion compares no inputs.
            let bases = if self.request.wishes.promote {
                Vec::new()
            } else {
                super::verify::bases(&self.facts, service)
            };
            state.bases = published::bases(client, &bases, self.facts.lab.as_ref());
            anyhow::Ok((service.name.clone(), state, manifests))
        });
        let mut found = BTreeMap::new();
        for state in states {
            let (name, state, manifests) = state?;
            found.insert(name, state);
            self.manifests.extend(manifests);
        }
        self.facts.published = found;
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
        // Removed when the publication ends.
        let login = gate.login(plan)?;
        gate.leaks(plan)?;
        let runner = match &login {
            Some(login) => login.enter(&self.start.runner),
            None => self.start.runner.clone(),
        };
        let start = Start { runner, ..self.start.again() };
        let by = Publisher {
            client: &self.client,
            runner: &start.runner,
            request: &self.request,
            manifests: std::mem::take(&mut self.manifests),
        };
        let builds = build::plan(&self.facts, &self.options)?;
        let work = Work::new(&start, &self.facts, &builds, options.progress, options.jobs);
        if plan.services.iter().any(|service| service.build.is_some()) {
            work.prepare()?;
        }
        let mut results = parallel::at_once(&plan.services, usize::from(options.jobs), |service| {
            let mut outcome = one(&by, &work, service);
            if let (true, Ok(published)) = (options.sign, &outcome)
                && let Err(error) = gate::sign(&start, published)
            {
                outcome = Err(error);
            }
            outcome.unwrap_or_else(|error| failed(service, &error, &work))
        });
        if self.request.wishes.moves == Moves::ByVersion && results.iter().all(Published::is_there)
        {
            float(&by, &work, plan, &mut results);
        }
        drop(work);
        drop(by);
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
            _ => report::publication::text(results, width),
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

/// Publishes one service.
fn one(by: &Publisher<'_>, work: &Work<'_>, service: &ServicePublication) -> Result<Published> {
    let begun = Instant::now();
    let ServicePublication { repository, tags, action, .. } = service;
    let before = before(by, work, service);
    let mut published = empty(service);
    match action {
        Action::Finish { digest, .. }
        | Action::Retag { digest, .. }
        | Action::Promote { digest, .. } => {
            let retag = matches!(action, Action::Retag { .. });
            let known = if retag { Known::Whole } else { Known::There };
            let done = by.publish(Image { repository, tags, digest }, known)?;
            published.digest = Some(digest.clone());
            published.tags = done.tags;
            published.result = match action {
                Action::Retag { .. } => PublishResult::Unchanged,
                Action::Promote { .. } => PublishResult::Promoted,
                _ => PublishResult::Finished,
            };
            published.size = Some(done.size).filter(|size| *size > 0);
        }
        Action::Build { .. } => {
            let planned = service.build.as_ref().context("the plan has no build")?;
            let done = std::sync::OnceLock::new();
            let record = work.service(planned, |built| {
                let image = built.image.as_ref().context("buildx told no digest")?;
                let digest = image.digest.clone();
                let outcome =
                    by.publish(Image { repository, tags, digest: &digest }, Known::Pushed)?;
                // It is set once: this is called once for a build.
                let _ = done.set((digest, outcome));
                Ok(())
            })?;
            match done.into_inner() {
                Some((digest, outcome)) => {
                    published.digest = Some(digest);
                    published.tags = outcome.tags;
                    published.size = Some(outcome.size);
                    published.result = PublishResult::Built;
                }
                None => published.error.clone_from(&record.error),
            }
            published.record = Some(record);
        }
    }
    published.size_before = before;
    published.seconds = begun.elapsed().as_secs_f64();
    Ok(published)
}

/// Moves the floating tags of every service to what was published.
fn float(by: &Publisher<'_>, work: &Work<'_>, plan: &PublishPlan, results: &mut [Published]) {
    for (service, published) in plan.services.iter().zip(results) {
        let Some(digest) = published.digest.clone() else { continue };
        let ServicePublication { repository, tags, .. } = service;
        match by.floating_tags(Image { repository, tags, digest: &digest }) {
            Ok(tags) => published.tags.extend(tags),
            Err(error) => {
                let Published { result, error, .. } = failed(service, &error, work);
                published.result = result;
                published.error = error;
            }
        }
    }
}

/// The size of the image that a floating tag has now, for comparison with one that is built.
fn before(publisher: &Publisher<'_>, work: &Work<'_>, service: &ServicePublication) -> Option<u64> {
    service.build.as_ref()?;
    let state = work.facts.published.get(&service.service)?;
    let image = service.tags.floating.iter().find_map(|tag| state.images.get(tag))?;
    published::size(publisher.client, &service.repository.at(image.digest.clone())).ok()
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
fn failed(service: &ServicePublication, error: &anyhow::Error, work: &Work<'_>) -> Published {
    let (exit, text) = report::error::rendered(error);
    work.display.error(&format!("{}: {text}", service.service));
    let result = match exit {
        Exit::Refused => PublishResult::Refused,
        _ => PublishResult::Failed,
    };
    Published { result, error: Some(format!("{error:#}")), ..empty(service) }
}

//! A publication from its facts to its report: the story that `push` and `release` share.

use anyhow::{Context, Result, anyhow};

use crate::cli::{Format, Publish};
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::failure::{Exit, Failure, Interrupted};
use crate::model::manifest::Manifest;
use crate::model::publication::{self, Published};
use crate::model::reference::Digest;
use crate::outside::published::{self, Manifests, Read};
use crate::outside::registry::{Client, RegistryError};
use crate::outside::{gather, git, github, interrupt, parallel, terminal};
use crate::plan::build::{self, BuildOptions, ServicePlan};
use crate::plan::cache;
use crate::plan::publish::{Moves, Request};
use crate::plan::push::{self, PublishPlan};
use crate::plan::selection::select;
use crate::report;

use super::Start;
use super::floating;
use super::gate::Gate;
use super::one_service::{self, OneService};
use super::publish::{Publisher, remedy};
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
        let (tiers, engine) = std::thread::scope(|scope| {
            // It takes a tenth of a second, as long as all looks at a registry together.
            let engine =
                scope.spawn(|| super::build::engine(self.start, &self.facts, &self.options));
            let tiers = gather::tiers(&self.facts, &self.client, &services, &made);
            (tiers, engine.join())
        });
        self.facts.tiers = tiers?;
        self.facts.engine =
            engine.map_err(|_| anyhow!("a thread that asked the engine stopped early"))??;
        self.start.keep_facts(&self.facts)?;
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

    /// The facts with what was read for the plan.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub fn show(&self, plan: &PublishPlan) -> Result<()> {
        terminal::data(&match self.start.global.format {
            Format::Json => format!("{}\n", serde_json::to_string_pretty(plan)?),
            Format::Bake => {
                let builds = plan.services.iter().filter_map(|service| service.build.as_ref());
                format!("{}\n", serde_json::to_string_pretty(&report::bake::bake(builds))?)
            }
            _ => report::publication::script(plan, &self.start.place(&self.facts)),
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
        if plan.services.iter().any(|service| service.build.is_some()) {
            work.prepare()?;
        }
        let mut results = parallel::at_once(&plan.services, usize::from(options.jobs), |service| {
            OneService { by: &by, work: &work, signer: signer.as_ref(), service }.publish()
        });
        if self.request.wishes.moves == Moves::ByVersion && results.iter().all(Published::is_there)
        {
            floating::release(&by, plan, &mut results, |service, published, error| {
                one_service::fail(service, published, error, &work);
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

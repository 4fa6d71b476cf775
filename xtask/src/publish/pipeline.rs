//! A publication from its facts to its report: the story that `push` and `release` share.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use serde_json::json;

use crate::build::Builds;
use crate::command::Command;
use crate::model::facts::{Facts, ServiceFacts, no_repository};
use crate::model::failure::{Exit, Interrupted};
use crate::model::manifest::Manifest;
use crate::model::publication::{self, Published};
use crate::model::reference::{Digest, Reference};
use crate::model::service::ServiceName;
use crate::options::{Format, Publishing};
use crate::outside::published::{self, Read};
use crate::outside::registry::Client;
use crate::outside::{gather, git, interrupt, job_outputs, parallel, terminal};
use crate::plan::build::{self, BuildOptions, Recipe};
use crate::plan::cache;
use crate::plan::publish::{Decision, Moves, PublishPlan, Request, decisions, plan};
use crate::plan::release::ReleasePlan;
use crate::plan::selection::select;
use crate::report;

use super::preflight::Preflight;
use super::release_tags::ReleaseTags;
use super::signing::Signer;
use super::steps::Tools;
use super::tag_writer::TagWriter;

/// A publication: what is asked for, and what is known.
pub struct Pipeline<'c> {
    pub command: &'c Command,
    pub facts: Facts,
    pub client: Client,
    pub request: Request,
    pub options: BuildOptions,
    pub release: Option<ReleasePlan>,
}

impl Pipeline<'_> {
    /// Reads what the registry has of each service; nothing where the facts come from a file.
    pub fn gather(&mut self) -> Result<()> {
        if self.command.global.facts.is_some() {
            return Ok(());
        }
        let chosen = select(&self.facts, &self.options.services)?.chosen;
        let services: Vec<&ServiceFacts> = chosen.iter().map(|(service, _)| *service).collect();
        let reads = parallel::each(&services, |service| self.read(service));
        let mut reads = reads.into_iter().collect::<Result<Vec<_>>>()?;
        self.fetch_missing(reads.iter_mut().map(|(_, read)| read))?;
        self.facts.published = reads.into_iter().map(|(name, read)| (name, read.state)).collect();
        self.command.keep_facts(&self.facts)
    }

    fn read(&self, service: &ServiceFacts) -> Result<(ServiceName, Read)> {
        let Self { facts, client, request, options, .. } = self;
        let repository = facts.published(&service.name).ok_or_else(no_repository)?;
        let runner = &self.command.runner;
        let mut read =
            published::read(client, runner, &repository, &request.compared(), &request.revision)
                .with_context(|| format!("cannot read `{repository}`"))?;
        // A promotion compares no inputs.
        if !request.options.promote {
            let (channel, _) =
                crate::plan::channel::channel(options.channel, facts.environment.github.as_ref())?;
            let bases = Recipe::new(facts, options, channel, service)?.bases;
            read.state.bases = published::bases(client, &bases, facts.lab.as_ref());
        }
        Ok((service.name.clone(), read))
    }

    /// Fetches commits that other machines have published and this clone lacks: they may be newer.
    fn fetch_missing<'r>(&self, reads: impl Iterator<Item = &'r mut Read>) -> Result<()> {
        let mut open: Vec<_> = reads.filter(|read| !read.unknown.is_empty()).collect();
        // A shallow clone lacks our own ancestors, which do not matter here.
        let shallow = self.facts.git.as_ref().is_some_and(|git| git.shallow);
        let wanted = !open.is_empty() && !shallow && self.request.options.moves == Moves::Forward;
        if wanted && git::fetch(&self.command.runner)? {
            let (runner, revision) = (&self.command.runner, &self.request.revision);
            open.iter_mut().try_for_each(|read| published::relate(runner, read, revision))?;
        }
        Ok(())
    }

    /// Decides what each service needs, then plans the builds of those that need one. Only for these are
    /// the cache tiers and the engine looked at.
    pub fn plan(&mut self) -> Result<PublishPlan> {
        let decisions = decisions(&self.facts, &self.options, &self.request)?;
        let builds: Vec<&Decision> = decisions.iter().filter(|service| service.builds()).collect();
        if !builds.is_empty() && self.command.global.facts.is_none() {
            let (tiers, engine) = std::thread::scope(|scope| {
                // This takes as long as all reads of the registry together.
                let engine = scope.spawn(|| self.command.engine(&self.facts, &self.options));
                (self.tiers(&builds), engine.join())
            });
            self.facts.tiers = tiers?;
            self.facts.engine =
                engine.map_err(|_| anyhow!("the thread that asked the engine panicked"))??;
            self.command.keep_facts(&self.facts)?;
        }
        let is_built = |name: &ServiceName| builds.iter().any(|build| build.service == *name);
        let built = build::plan_some(&self.facts, &self.options, is_built)?;
        let (request, release) = (&self.request, self.release.as_ref());
        Ok(plan(&self.facts, decisions, &built, request, release))
    }

    /// What the cache tiers of the services hold that must be built. Of one whose inputs have an image
    /// already, only what a build of these inputs needs is read.
    fn tiers(&self, builds: &[&Decision]) -> Result<gather::Tiers> {
        let names: Vec<_> = builds.iter().map(|build| build.service.clone()).collect();
        let made = |build: &&Decision| {
            let state = self.facts.published.get(&build.service)?;
            let like = self.request.like.as_ref();
            let index = cache::of_same_inputs(state, like, build.inputs.as_ref())?;
            Some((build.service.clone(), self.only_image(&build.repository, index)))
        };
        let made: BTreeMap<_, _> = builds.iter().filter_map(made).collect();
        gather::tiers(&self.facts, &self.client, &names, &made)
    }

    /// The only image of an index, which is all that an import of its inline cache reads; the index itself
    /// when it has several. The index was read before, so this sends no request.
    fn only_image(&self, repository: &Reference, index: &Digest) -> Digest {
        let only = || {
            let stored = self.client.manifest(&repository.at(index.clone())).ok()?;
            let Manifest::Index(index) = stored.parse().ok()? else { return None };
            let mut images = index.images();
            let only = images.next()?.digest.clone();
            images.next().is_none().then_some(only)
        };
        only().unwrap_or_else(|| index.clone())
    }

    /// Prints the plan: a dry run.
    pub fn show(&self, plan: &PublishPlan) -> Result<Exit> {
        terminal::data(&match self.command.global.format {
            Format::Json => format!("{}\n", serde_json::to_string_pretty(plan)?),
            Format::Bake => {
                let builds = plan.services.iter().filter_map(|service| service.build.as_ref());
                format!("{}\n", serde_json::to_string_pretty(&report::bake::bake(builds))?)
            }
            _ => report::publication::script(plan, &self.command.place(&self.facts)),
        });
        Ok(Exit::Done)
    }

    /// Prints what is known of a release whose publication is refused.
    pub fn show_release(&self) -> Result<()> {
        let Some(release) = &self.release else { return Ok(()) };
        terminal::data(&match self.command.global.format {
            Format::Json => {
                format!("{}\n", serde_json::to_string_pretty(&json!({ "release": release }))?)
            }
            _ => report::release::explained(release),
        });
        Ok(())
    }

    /// Executes the plan, and reports.
    pub fn apply(&self, plan: &PublishPlan, options: &Publishing) -> Result<Exit> {
        let preflight =
            Preflight { command: self.command, facts: &self.facts, client: &self.client };
        let signer = options.sign.then(Signer::new).transpose()?;
        // Removed when the publication ends.
        let login = preflight.login(plan, signer.is_some())?;
        preflight.leaks(plan)?;
        let command = match &login {
            Some(login) => &self.command.with_runner(login.enter(&self.command.runner)),
            None => self.command,
        };
        let (channel, builder) = (plan.channel, &plan.builder);
        let builds =
            Builds::new(command, &self.facts, channel, builder, options.progress, options.jobs);
        if plan.services.iter().any(|service| service.build.is_some()) {
            builds.prepare()?;
        }
        let repositories = plan.services.iter().map(|service| service.repository.clone());
        let tools = Tools {
            command,
            facts: &self.facts,
            plan,
            writer: &TagWriter {
                client: &self.client,
                runner: &command.runner,
                request: &self.request,
                display: &builds.display,
            },
            builds: &builds,
            signer: signer.as_ref(),
            release_tags: ReleaseTags::new(repositories.collect()),
        };
        let (results, done) = tools.apply(usize::from(options.jobs))?;
        let exit = self.report(plan, &results)?;
        done.map(|()| exit)
    }

    fn report(&self, plan: &PublishPlan, results: &[Published]) -> Result<Exit> {
        terminal::data(&match self.command.global.format {
            Format::Json => {
                let value = json!({
                    "schema": 1, "channel": plan.channel, "revision": self.request.revision,
                    "requests": self.client.requests(), "services": results,
                });
                format!("{}\n", serde_json::to_string_pretty(&value)?)
            }
            _ => report::publication::text(results, terminal::width().unwrap_or(report::WIDTH)),
        });
        job_outputs::summary(&report::publication::summary(results))?;
        for published in results {
            job_outputs::output(report::publication::outputs(published))?;
        }
        if interrupt::wanted() {
            return Err(Interrupted.into());
        }
        Ok(publication::exit(results))
    }
}

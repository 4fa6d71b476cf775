//! `cargo xtask prune`: deletes what is old, never what is needed. It plans by default; `--apply` lists
//! again, plans again, and deletes; `undo` restores.

mod apply;
mod meanwhile;
mod undo;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cli::{self, Backend, Format, PruneCommand};
use crate::model::facts::Facts;
use crate::model::failure::{Exit, Failure};
use crate::model::inventory::{Inventory, Version};
use crate::model::pruning::{self, Agreed, Report};
use crate::model::reference::Reference;
use crate::model::service::ServiceName;
use crate::outside::gather::Wanted;
use crate::outside::github_api::GitHubApi;
use crate::outside::packages::Packages;
use crate::outside::registry::{Client, Options};
use crate::outside::{clock, files, inventory, records, terminal};
use crate::plan::retention::plan;
use crate::plan::selection::select;
use crate::report::{self, WIDTH};

use super::Start;

pub fn run(mut start: Start, options: &cli::Prune) -> Result<Exit> {
    let format = start.human_or_json()?;
    if let Some(path) = &options.inventory {
        let inventory: Inventory = serde_json::from_str(&files::read(path)?)
            .with_context(|| format!("`{}` is no inventory", path.display()))?;
        return show(&[("inventory".to_owned(), inventory)], format);
    }
    start.enter_lab()?;
    let facts = start.facts(&Wanted::default())?;
    let pruner = Pruner::new(&start, &facts, options)?;
    match &options.command {
        Some(PruneCommand::Explain { reference }) => pruner.explain(reference),
        Some(PruneCommand::Undo { report }) => undo::run(&pruner, report),
        None => {
            let services = select(&facts, &options.services)?.chosen;
            let services: Vec<_> =
                services.iter().map(|(service, _)| service.name.clone()).collect();
            match &options.apply {
                None => pruner.plan(&services, format),
                Some(path) => apply::run(&pruner, &services, path.as_deref(), format),
            }
        }
    }
}

fn show(inventories: &[(String, Inventory)], format: Format) -> Result<Exit> {
    let plans: Vec<_> =
        inventories.iter().map(|(name, inventory)| (name, inventory, plan(inventory))).collect();
    let width = terminal::width().unwrap_or(WIDTH);
    terminal::data(&match format {
        Format::Json => match plans.as_slice() {
            // One package is one object: its plan.
            [(_, _, plan)] => format!("{}\n", serde_json::to_string_pretty(plan)?),
            plans => {
                let all: BTreeMap<_, _> =
                    plans.iter().map(|(name, _, plan)| (name, plan)).collect();
                format!("{}\n", serde_json::to_string_pretty(&all)?)
            }
        },
        _ => plans
            .iter()
            .map(|(name, inventory, plan)| report::retention::text(name, inventory, plan, width))
            .collect::<Vec<_>>()
            .join("\n"),
    });
    let refused = plans.iter().any(|(.., plan)| plan.refuse.is_some());
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

struct Pruner<'p> {
    start: &'p Start,
    facts: &'p Facts,
    options: &'p cli::Prune,
    client: Client,
    /// `None` for a registry that is not GitHub's.
    api: Option<GitHubApi>,
    /// What earlier runs did.
    earlier: Vec<Report>,
}

impl<'p> Pruner<'p> {
    fn new(start: &'p Start, facts: &'p Facts, options: &'p cli::Prune) -> Result<Self> {
        let on_github = match options.backend {
            Backend::Auto => facts.registry().as_str() == "ghcr.io",
            Backend::Github => true,
            Backend::Registry => false,
        };
        let api = on_github.then(|| super::github::api(start, facts)).transpose()?;
        let earlier = records::newest_first(&reports(start))
            .into_iter()
            .chain(options.report.clone())
            .filter_map(|path| serde_json::from_str(&files::read(&path).ok()?).ok());
        let earlier = earlier.collect();
        Ok(Self { start, facts, options, client: Client::new(Options::default()), api, earlier })
    }

    fn packages(&self) -> Result<Option<Packages<'_>>> {
        let Some(api) = &self.api else { return Ok(None) };
        let (repository, _) = self.facts.repository().context("no repository is known")?;
        Packages::of(api, &self.client, &repository, self.options.budget).map(Some)
    }

    fn repository(&self, service: &ServiceName) -> Result<Reference> {
        Ok(self.facts.published(service).ok_or_else(crate::plan::build::no_repository)?)
    }

    /// The package's name: the repository without its owner.
    fn package(repository: &Reference) -> String {
        let path = repository.repository.as_str();
        path.split_once('/').map_or(path, |(_, name)| name).to_owned()
    }

    fn inventory(
        &self,
        packages: Option<&Packages<'_>>,
        service: &ServiceName,
    ) -> Result<Inventory> {
        let repository = self.repository(service)?;
        let versions = if let Some(packages) = packages {
            let package = Self::package(&repository);
            inventory::of_github(packages, &self.client, &repository, &package)?
        } else {
            let packages = self.earlier.iter().flat_map(|report| &report.packages);
            let of_it = packages.filter(|package| package.repository == repository);
            let unlisted = of_it.flat_map(|package| package.unlisted.clone()).collect();
            inventory::of_registry(&self.client, &repository, &unlisted)?
        };
        let runner = &self.start.runner;
        let mut policy = self.facts.config.retention.policy();
        policy.in_use = inventory::pinned(runner)?;
        policy.commits = inventory::commits(runner)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let now = clock::now() as f64;
        Ok(Inventory { now, policy, versions, complete: true })
    }

    fn plan(&self, services: &[ServiceName], format: Format) -> Result<Exit> {
        let packages = self.packages()?;
        let mut inventories = Vec::new();
        for service in services {
            inventories.push((service.to_string(), self.inventory(packages.as_ref(), service)?));
        }
        if let Some(path) = &self.options.plan_file {
            let delete = inventories.iter().flat_map(|(_, inventory)| plan(inventory).delete);
            let agreed = Agreed { schema: pruning::SCHEMA, delete: delete.collect() };
            files::write_atomically(path, &serde_json::to_vec_pretty(&agreed)?)?;
        }
        show(&inventories, format)
    }

    fn explain(&self, reference: &str) -> Result<Exit> {
        let (service, name) = reference.split_once([':', '@']).ok_or_else(|| {
            Failure::usage(format!("`{reference}` names no version"))
                .hint("cargo xtask prune explain git-server:dev")
        })?;
        let service = ServiceName::new(service.rsplit('/').next().unwrap_or_default())
            .map_err(|error| Failure::usage(error.to_string()))?;
        let inventory = self.inventory(self.packages()?.as_ref(), &service)?;
        let is_it = |version: &&Version| {
            version.tags.iter().any(|tag| tag == name) || version.digest.as_str() == name
        };
        let found = inventory.versions.iter().find(is_it).ok_or_else(|| {
            Failure::failed(format!("`{service}` has no version `{name}`"))
                .hint("cargo xtask prune")
        })?;
        let text = report::retention::explained(&plan(&inventory), &found.digest);
        terminal::data(&text.unwrap_or_default());
        Ok(Exit::Done)
    }
}

/// Where reports are kept.
fn reports(start: &Start) -> PathBuf {
    start.target.join("xtask").join("prune")
}

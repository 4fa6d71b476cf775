//! `cargo xtask prune`: deletes what is old, never what is needed. It plans by default; `--apply` lists
//! again, plans again, and deletes; `undo` restores.

mod apply;
mod explain;
mod meanwhile;
mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::{self, Backend, Format, PruneCommand};
use crate::model::facts::Facts;
use crate::model::failure::{Exit, Failure};
use crate::model::inventory::Inventory;
use crate::model::pruning::{self, Agreed, Report};
use crate::model::reference::{Digest, Reference};
use crate::model::service::ServiceName;
use crate::outside::gather::Wanted;
use crate::outside::github_api::GitHubApi;
use crate::outside::inventory::{Found, Source};
use crate::outside::packages::{PACE, Packages, Terms};
use crate::outside::registry::Client;
use crate::outside::{clock, files, github, inventory, records, terminal};
use crate::plan::retention::forecast::{Allowance, forecast};
use crate::plan::retention::{RetentionPlan, plan};
use crate::plan::selection::select;
use crate::report::{self, WIDTH};

use super::Start;
use crate::outside::gather::client;
use crate::publish::PATIENCE;

pub fn run(mut start: Start, options: &cli::Prune) -> Result<Exit> {
    let format = start.human_or_json()?;
    if let Some(path) = &options.inventory {
        let inventory: Inventory = serde_json::from_str(&files::read(path)?)
            .with_context(|| format!("`{}` is no inventory", path.display()))?;
        let plan = plan(&inventory);
        return show(&[Planned { name: "inventory".to_owned(), inventory, plan }], true, format);
    }
    let changes =
        options.apply.is_some() || matches!(options.command, Some(PruneCommand::Undo { .. }));
    if changes && start.global.facts.is_some() {
        let message = "`--facts` plans without looking at the world; what it plans is not applied";
        return Err(Failure::usage(message).hint("cargo xtask prune --facts FILE").into());
    }
    crate::lab::enter(&mut start)?;
    let facts = start.facts(&Wanted::default())?;
    let pruner = Pruner::new(&start, &facts, options)?;
    match &options.command {
        Some(PruneCommand::Explain { reference }) => {
            return explain::run(&pruner, reference, format);
        }
        Some(PruneCommand::Undo { report }) => return undo::run(&pruner, report),
        None => {}
    }
    let services = select(&facts, &options.services)?.chosen;
    let services: Vec<_> = services.iter().map(|(service, _)| service.name.clone()).collect();
    let agreed = options.apply.as_ref().and_then(|path| path.as_deref());
    let agreed = agreed.map(|path| read_agreed(path, &facts)).transpose()?;
    if options.apply.is_some() && !start.global.dry_run {
        apply::run(&pruner, &services, agreed, format)
    } else {
        pruner.plan(&services, agreed.as_ref(), format)
    }
}

/// What was agreed on before.
fn read_agreed(path: &Path, facts: &Facts) -> Result<BTreeSet<Digest>> {
    let name = path.to_string_lossy();
    if !path.exists() && facts.services.iter().any(|service| service.name.as_str() == name) {
        let message =
            format!("`{name}` is a service, and after `--apply` comes the file of a plan");
        return Err(Failure::usage(message)
            .hint(format!("cargo xtask prune {name} --apply"))
            .into());
    }
    let agreed: Agreed = serde_json::from_str(&files::read(path)?)
        .with_context(|| format!("`{name}` is no plan of prune"))?;
    known_schema(agreed.schema, path)?;
    Ok(agreed.delete.into_iter().collect())
}

/// Refuses a file whose shape is another one than ours.
fn known_schema(schema: u32, path: &Path) -> Result<()> {
    if schema == pruning::SCHEMA {
        return Ok(());
    }
    let path = path.display();
    let message = format!("`{path}` has the schema {schema}; expected {}", pruning::SCHEMA);
    Err(Failure::failed(message).hint("use the xtask that wrote it").into())
}

/// One package, and what is to become of it.
struct Planned {
    name: String,
    inventory: Inventory,
    plan: RetentionPlan,
}

/// Shows plans; `alone` says that one package was asked for, whose plan is the whole output.
fn show(plans: &[Planned], alone: bool, format: Format) -> Result<Exit> {
    let width = terminal::width().unwrap_or(WIDTH);
    terminal::data(&match (format, plans) {
        (Format::Json, [Planned { plan, .. }]) if alone => {
            format!("{}\n", serde_json::to_string_pretty(plan)?)
        }
        (Format::Json, plans) => {
            let all: BTreeMap<_, _> = plans.iter().map(|one| (&one.name, &one.plan)).collect();
            format!("{}\n", serde_json::to_string_pretty(&all)?)
        }
        (_, plans) => {
            let text = |one: &Planned| {
                report::retention::text(&one.name, &one.inventory, &one.plan, width)
            };
            plans.iter().map(text).collect::<Vec<_>>().join("\n")
        }
    });
    for Planned { name, inventory, plan } in plans {
        github::summary(&report::retention::page(name, inventory, plan))?;
    }
    let refused = plans.iter().any(|one| one.plan.refuse.is_some());
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
        let api = on_github.then(|| crate::github::api(start, facts)).transpose()?;
        let earlier = records::newest_first(&reports(start))
            .into_iter()
            .chain(options.report.clone())
            .filter_map(|path| serde_json::from_str(&files::read(&path).ok()?).ok());
        let earlier = earlier.collect();
        Ok(Self { start, facts, options, client: client(facts), api, earlier })
    }

    fn packages(&self) -> Result<Option<Packages<'_>>> {
        let Some(api) = &self.api else { return Ok(None) };
        let (repository, _) = self.facts.repository().context("no repository is known")?;
        let terms = Terms { budget: self.options.budget, patience: PATIENCE };
        Packages::of(api, &self.client, &repository, terms).map(Some)
    }

    fn repository(&self, service: &ServiceName) -> Result<Reference> {
        Ok(self.facts.published(service).ok_or_else(crate::model::facts::no_repository)?)
    }

    /// The package's name: the repository without its owner.
    fn package(repository: &Reference) -> String {
        let path = repository.repository.as_str();
        path.split_once('/').map_or(path, |(_, name)| name).to_owned()
    }

    /// What the package of a service holds; `None` where GitHub has none for this token.
    fn inventory(
        &self,
        packages: Option<&Packages<'_>>,
        service: &ServiceName,
    ) -> Result<Option<Inventory>> {
        let repository = &self.repository(service)?;
        let source = Source { client: &self.client, repository, patience: PATIENCE };
        let found = if let Some(packages) = packages {
            inventory::of_github(source, packages, &Self::package(repository))?
        } else {
            let packages = self.earlier.iter().flat_map(|report| &report.packages);
            let of_it = packages.filter(|package| package.repository == *repository);
            let unlisted = of_it.flat_map(|package| package.unlisted.clone()).collect();
            let versions = inventory::of_registry(source, &unlisted)?;
            Some(Found { versions, complete: true })
        };
        let Some(Found { versions, complete }) = found else { return Ok(None) };
        let runner = &self.start.runner;
        let mut policy = self.facts.config.retention.policy();
        policy.in_use = inventory::pinned(runner)?;
        policy.commits = inventory::commits(runner)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let now = clock::now() as f64;
        Ok(Some(Inventory { now, policy, versions, complete }))
    }

    fn plan(
        &self,
        services: &[ServiceName],
        agreed: Option<&BTreeSet<Digest>>,
        format: Format,
    ) -> Result<Exit> {
        let packages = self.packages()?;
        let mut plans = Vec::new();
        for service in services {
            let Some(inventory) = self.inventory(packages.as_ref(), service)? else {
                self.start.say(&absent(service));
                continue;
            };
            let mut plan = plan(&inventory);
            if let Some(agreed) = agreed {
                plan = plan.agreed(&inventory, agreed);
            }
            self.forecast(packages.as_ref(), service, &inventory, &plan);
            plans.push(Planned { name: service.to_string(), inventory, plan });
        }
        if plans.is_empty() {
            return Err(nothing_there(services));
        }
        if let Some(path) = &self.options.plan_file {
            let delete = plans.iter().flat_map(|one| one.plan.delete.clone()).collect();
            let agreed = Agreed { schema: pruning::SCHEMA, delete };
            files::write_atomically(path, &serde_json::to_vec_pretty(&agreed)?)?;
        }
        show(&plans, services.len() == 1, format)
    }

    /// Says what the deletions of a plan take, before they begin.
    fn forecast(
        &self,
        packages: Option<&Packages<'_>>,
        service: &ServiceName,
        inventory: &Inventory,
        plan: &RetentionPlan,
    ) {
        if plan.refuse.is_some() {
            return;
        }
        let allowance = packages.map(|packages| Allowance { left: packages.left(), pace: PACE });
        let forecast = forecast(inventory, plan, allowance);
        self.start.say(&format!("{service}: {}", report::retention::forecast(&forecast)));
    }
}

/// What is said of a service that was not pushed yet, or whose package the token may not see.
fn absent(service: &ServiceName) -> String {
    format!("{service}: GitHub has no package of it for this token")
}

/// The error where no package at all was found.
fn nothing_there(services: &[ServiceName]) -> anyhow::Error {
    let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
    let names = names.join("`, `");
    Failure::failed(format!("GitHub has no package for this token of `{names}`"))
        .hint("give the token `read:packages`, or the job `permissions: packages: write`")
        .into()
}

/// Where reports are kept.
fn reports(start: &Start) -> PathBuf {
    start.target.join("xtask").join("prune")
}

//! What all parts of `prune` share: where packages are listed, and what they contain.

use anyhow::Result;

use super::options::{Backend, Prune};
use crate::command::Command;
use crate::model::facts::Facts;
use crate::model::facts::no_repository;
use crate::model::failure::Failure;
use crate::model::inventory::Inventory;
use crate::model::pruning::Report;
use crate::model::reference::Reference;
use crate::model::service::ServiceName;
use crate::outside::gather::client;
use crate::outside::github::{GitHub, PACE, Packages, connect};
use crate::outside::registry::Client;
use crate::plan::retention::RetentionPlan;
use crate::plan::retention::forecast::{Allowance, forecast};
use crate::report;

use super::stored;
use crate::packages::{self, Lister};

pub struct Pruner<'p> {
    pub command: &'p Command,
    pub facts: &'p Facts,
    pub options: &'p Prune,
    pub client: Client,
    /// `None` for any registry but GitHub's.
    pub github: Option<GitHub>,
    /// The reports of earlier runs.
    earlier: Vec<Report>,
}

impl<'p> Pruner<'p> {
    pub fn new(command: &'p Command, facts: &'p Facts, options: &'p Prune) -> Result<Self> {
        let on_github = match options.backend {
            Backend::Auto => facts.registry().as_str() == "ghcr.io",
            Backend::Github => true,
            Backend::Registry => false,
        };
        let client = client(facts);
        let github = on_github.then(|| {
            let (owner, _) = facts.repository().ok_or_else(no_repository)?;
            let github = connect(&command.runner, client.http(), facts.lab.as_ref(), &owner)?;
            anyhow::Ok(github.with_budget(options.budget))
        });
        let earlier = stored::earlier(command, options.report.as_ref());
        Ok(Self { command, facts, options, client, github: github.transpose()?, earlier })
    }

    pub fn packages(&self) -> Result<Option<Packages<'_>>> {
        let Some(github) = &self.github else { return Ok(None) };
        let (repository, _) = self.facts.repository().ok_or_else(no_repository)?;
        Packages::of(github, &repository).map(Some)
    }

    pub fn repository(&self, service: &ServiceName) -> Result<Reference> {
        Ok(self.facts.published(service).ok_or_else(no_repository)?)
    }

    /// The package of a service; `None` if GitHub has none for this token.
    pub fn inventory(
        &self,
        packages: Option<&Packages<'_>>,
        service: &ServiceName,
    ) -> Result<Option<Inventory>> {
        let repository = self.repository(service)?;
        let lister = packages.map_or_else(|| self.registry(&repository), Lister::GitHub);
        packages::read(self.facts, &self.command.runner, &self.client, &lister, &repository)
    }

    fn registry(&self, repository: &Reference) -> Lister<'_> {
        let packages = self.earlier.iter().flat_map(|report| &report.packages);
        let of_it = packages.filter(|package| package.repository == *repository);
        Lister::Registry { unlisted: of_it.flat_map(|package| package.unlisted.clone()).collect() }
    }

    /// Says what the deletions of a plan need, before they begin.
    pub fn forecast(
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
        self.command.say(&format!("{service}: {}", report::retention::forecast(&forecast)));
    }
}

/// The message for a service that was not pushed yet, or whose package the token may not see.
pub fn absent(service: &ServiceName) -> String {
    format!("{service}: GitHub has no package of it for this token")
}

/// The error if no package at all was found.
pub fn nothing_found(services: &[ServiceName]) -> anyhow::Error {
    let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
    let names = names.join("`, `");
    Failure::failed(format!("GitHub has no package for this token: `{names}`"))
        .hint("give the token `read:packages`, or the job `permissions: packages: write`")
        .into()
}

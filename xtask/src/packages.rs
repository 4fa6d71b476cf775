//! Reads the contents of a package for a retention plan: for `prune`, and for the untagged versions that
//! `verify` counts.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::command::Command;
use crate::model::facts::Facts;
use crate::model::facts::no_repository;
use crate::model::inspection::Untagged;
use crate::model::inventory::Inventory;
use crate::model::reference::{Digest, Reference};
use crate::outside::clock;
use crate::outside::github::{GitHub, Packages, connect};
use crate::outside::inventory::{self, FoundVersions};
use crate::outside::process::Runner;
use crate::outside::registry::Client;
use crate::plan::retention;

/// The most requests to GitHub for the packages of one repository: a page lists a hundred versions.
const BUDGET: u64 = 100;

/// The source of the list of a package's versions.
pub enum Lister<'l> {
    GitHub(&'l Packages<'l>),
    /// A registry, which lists only tags, with the untagged versions that earlier runs found.
    Registry {
        unlisted: BTreeMap<Digest, Option<f64>>,
    },
}

/// Reads a package; `None` if GitHub has none for this token.
pub fn read(
    facts: &Facts,
    runner: &Runner,
    client: &Client,
    lister: &Lister<'_>,
    repository: &Reference,
) -> Result<Option<Inventory>> {
    let found = match lister {
        Lister::GitHub(packages) => {
            inventory::of_github(client, repository, packages, &package_name(repository))
        }
        Lister::Registry { unlisted } => {
            let versions = inventory::of_registry(client, repository, unlisted);
            versions.map(|versions| Some(FoundVersions { versions, complete: true }))
        }
    };
    let found = found.with_context(|| format!("cannot read `{repository}`"))?;
    let Some(FoundVersions { versions, complete }) = found else { return Ok(None) };
    let mut policy = facts.config.retention.policy();
    policy.in_use = inventory::pinned(runner)?;
    policy.commits = inventory::commits(runner)?;
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    let now = clock::now() as f64;
    Ok(Some(Inventory { now, policy, versions, complete }))
}

/// The package's name: the repository without its owner.
pub fn package_name(repository: &Reference) -> String {
    let path = repository.repository.as_str();
    path.split_once('/').map_or(path, |(_, name)| name).to_owned()
}

/// GitHub, if it lists the versions of this registry's packages and there is a token.
pub fn github(command: &Command, facts: &Facts, client: &Client) -> Result<Option<GitHub>> {
    if facts.lab.is_none() && facts.registry().as_str() != "ghcr.io" {
        return Ok(None);
    }
    let (repository, _) = facts.repository().ok_or_else(no_repository)?;
    let github = connect(&command.runner, client.http(), facts.lab.as_ref(), &repository)?;
    Ok(Some(github.with_budget(BUDGET)).filter(GitHub::has_token))
}

/// How many versions without a tag `prune` would delete.
pub fn untagged(
    command: &Command,
    facts: &Facts,
    client: &Client,
    github: &GitHub,
    repository: &Reference,
) -> Untagged {
    let counted = || -> Result<usize> {
        let (owner, _) = facts.repository().ok_or_else(no_repository)?;
        let packages = Packages::of(github, &owner)?;
        let lister = Lister::GitHub(&packages);
        let read = read(facts, &command.runner, client, &lister, repository)?;
        let Some(inventory) = read else { return Ok(0) };
        let plan = retention::plan(&inventory);
        if let Some(detail) = plan.refuse_detail {
            bail!("cannot count untagged versions: {detail}");
        }
        let untagged =
            plan.verdicts.iter().filter(|verdict| !verdict.keep && verdict.tags.is_empty());
        Ok(untagged.count())
    };
    match counted() {
        Ok(count) => Untagged::Count(count),
        Err(error) => Untagged::Unknown { message: format!("{error:#}") },
    }
}

//! Counts the untagged versions that `prune` would delete, for `verify`. Only GitHub lists untagged
//! versions; `plan::retention` decides which of them would be deleted.

use anyhow::{Context, Result};

use crate::model::facts::Facts;
use crate::model::inspection::Untagged;
use crate::model::inventory::Inventory;
use crate::model::reference::Reference;
use crate::outside::github_api::GitHubApi;
use crate::outside::inventory::{Found, Source};
use crate::outside::packages::{Packages, Terms};
use crate::outside::registry::Client;
use crate::outside::{clock, inventory};
use crate::plan::retention;

use crate::command::Command;
use crate::publish::PATIENCE;

/// The most requests to GitHub for one repository's packages; a request lists a hundred versions.
const BUDGET: u64 = 100;

/// GitHub's API; `None` for another registry, or without a token.
pub(super) fn api(command: &Command, facts: &Facts) -> Result<Option<GitHubApi>> {
    if facts.lab.is_none() && facts.registry().as_str() != "ghcr.io" {
        return Ok(None);
    }
    Ok(Some(crate::github::api(command, facts)?).filter(|api| api.token.is_some()))
}

/// The number of untagged versions that `prune` would delete.
pub(super) fn count(
    command: &Command,
    facts: &Facts,
    client: &Client,
    api: &GitHubApi,
    repository: &Reference,
) -> Untagged {
    let counted = || -> Result<usize> {
        let (owned, _) = facts.repository().context("no repository is known")?;
        let terms = Terms { budget: BUDGET, patience: PATIENCE };
        let packages = Packages::of(api, client, &owned, terms)?;
        let path = repository.repository.as_str();
        let name = path.split_once('/').map_or(path, |(_, name)| name);
        let source = Source { client, repository, patience: PATIENCE };
        let found = inventory::of_github(source, &packages, name)?;
        let Some(Found { versions, complete }) = found else { return Ok(0) };
        let mut policy = facts.config.retention.policy();
        policy.in_use = inventory::pinned(&command.runner)?;
        policy.commits = inventory::commits(&command.runner)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let now = clock::now() as f64;
        let plan = retention::plan(&Inventory { now, policy, versions, complete });
        if let Some(why) = plan.refuse_detail.or(plan.refuse.map(str::to_owned)) {
            anyhow::bail!("cannot count untagged versions: {why}");
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

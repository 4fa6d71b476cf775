//! The GitHub release, created after all images are published.

use anyhow::Result;

use crate::command::Command;
use crate::model::facts::{Facts, no_repository};
use crate::model::publication::Published;
use crate::model::release::ReleaseFacts;
use crate::outside::github::{Releases, connect};
use crate::outside::registry::Client;
use crate::plan::release::{self, ReleasePlan};
use crate::report;

use super::release_facts;

/// Creates the release, or publishes its draft. A published release stays as it is.
pub fn create(
    command: &Command,
    facts: &Facts,
    registry: &Client,
    plan: &ReleasePlan,
    results: &[Published],
) -> Result<()> {
    let (repository, _) = facts.repository().ok_or_else(no_repository)?;
    let github = connect(&command.runner, registry.http(), facts.lab.as_ref(), &repository)?;
    let releases = Releases { github: &github, repository: &repository };
    let name = plan.name();
    let existing = releases.find(&name)?;
    let draft = match &existing {
        Some(release) if !release.draft => {
            command.say(&format!("the GitHub release exists already: {}", release.html_url));
            return Ok(());
        }
        draft => draft.as_ref(),
    };
    let known = facts.release.clone().unwrap_or_default();
    // Another run may have published a higher version since this one began.
    let now = ReleaseFacts { published: release_facts::published(facts, registry)?, ..known };
    let notes = report::release::notes(&plan.version, &now);
    let written = draft.and_then(|draft| draft.body.as_deref());
    let body = report::release::body(&notes, written, &report::release::images(results));
    let wanted = release::announcement(&plan.version, &plan.revision, &now.versions(), body);
    match releases.put(&wanted, draft)? {
        Some(release) => command.say(&format!("GitHub release: {}", release.html_url)),
        None => command.say(&format!("another run has created the GitHub release of {name}")),
    }
    Ok(())
}

//! The GitHub release, created when all images are published.

use anyhow::Result;

use crate::model::facts::Facts;
use crate::model::publication::Published;
use crate::model::release::ReleaseFacts;
use crate::outside::registry::{Client, Options};
use crate::outside::releases::Releases;
use crate::plan::build::no_repository;
use crate::plan::release::{self, ReleasePlan};
use crate::report;
use crate::task::{Start, github};

/// Creates it, or publishes the draft that is there. One that is published already is left alone.
pub(super) fn announce(
    start: &Start,
    facts: &Facts,
    registry: &Client,
    plan: &ReleasePlan,
    results: &[Published],
) -> Result<()> {
    let (repository, _) = facts.repository().ok_or_else(no_repository)?;
    let (api, client) = (github::api(start, facts)?, Client::new(Options::default()));
    let releases = Releases { api: &api, client: &client, repository: &repository };
    let name = plan.name();
    let existing = releases.find(&name)?;
    let draft = match &existing {
        Some(release) if !release.draft => {
            start.say(&format!("the GitHub release is there: {}", release.html_url));
            return Ok(());
        }
        draft => draft.as_ref(),
    };
    let known = facts.release.clone().unwrap_or_default();
    // A higher version may have been published since this run began.
    let now = ReleaseFacts { published: super::gather::published(facts, registry)?, ..known };
    let notes = report::release::notes(&plan.version, &now);
    let written = draft.and_then(|draft| draft.body.as_deref());
    let body = report::release::body(&notes, written, &report::release::images(results));
    let wanted = release::announcement(&plan.version, &plan.revision, &now.versions(), body);
    match releases.put(&wanted, draft)? {
        Some(release) => start.say(&format!("GitHub release: {}", release.html_url)),
        None => start.say(&format!("the GitHub release of {name} was created meanwhile")),
    }
    Ok(())
}

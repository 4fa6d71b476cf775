//! The facts that only a release needs.

use std::collections::BTreeMap;

use anyhow::Result;
use semver::Version;

use crate::command::Command;
use crate::model::facts::{Facts, no_repository};
use crate::model::failure::Failure;
use crate::model::reference::Reference;
use crate::model::release::ReleaseFacts;
use crate::model::remote::RemoteError;
use crate::model::service::ServiceName;
use crate::outside::registry::Client;
use crate::outside::{files, git, git_tags, parallel};
use crate::plan::publish::commit;
use crate::plan::release::{self, Asked};

use super::tag_writer::again;

/// Adds the facts of a release, unless the facts come from a file.
pub fn gather(
    command: &Command,
    mut facts: Facts,
    client: &Client,
    asked: &Asked,
) -> Result<Facts> {
    if command.global.facts.is_some() {
        return Ok(facts);
    }
    let revision = commit(&facts, None)?.revision.clone();
    let mut known = ReleaseFacts {
        tags: git_tags::here(&command.runner)?,
        origin: at_origin(command, &facts)?,
        has_origin: git_tags::has_origin(&command.runner)?,
        on_branch: git::is_on_any(&command.runner, &revision, &facts.config.release_branches)?,
        changelog: files::read_if_there(&command.root.join("CHANGELOG.md"))?,
        ..ReleaseFacts::default()
    };
    let since = release::since(&facts, &known.known(), asked)?;
    known.messages = messages(command, since.as_ref())?;
    known.published = published(&facts, client)?;
    facts.release = Some(known);
    Ok(facts)
}

/// In the lab, GitHub has the tags of this clone and no others.
fn at_origin(command: &Command, facts: &Facts) -> Result<Option<BTreeMap<Version, String>>> {
    if facts.lab.is_some() || !git_tags::has_origin(&command.runner)? {
        return Ok(None);
    }
    match git_tags::at_origin(&command.runner) {
        Ok(tags) => Ok(Some(tags)),
        Err(error) => {
            command.say(&format!("cannot read the git tags of `origin`: {error:#}"));
            Ok(None)
        }
    }
}

fn messages(command: &Command, since: Option<&(Version, String)>) -> Result<Vec<String>> {
    let Some((version, commit)) = since else {
        return git::messages_since(&command.runner, None);
    };
    if git::commit_of(&command.runner, commit)?.is_none() {
        let message = format!("the commit of v{version} is missing from this clone: {commit}");
        return Err(Failure::failed(message).hint("git fetch --tags origin").into());
    }
    git::messages_since(&command.runner, Some(commit))
}

/// The versions that each service is published under now.
pub fn published(facts: &Facts, client: &Client) -> Result<BTreeMap<ServiceName, Vec<Version>>> {
    of_each(facts, |repository| {
        let tags = again(|| match client.tags(repository) {
            Err(RemoteError::NotFound) => Ok(Vec::new()),
            other => other,
        })?;
        Ok(release::published(&tags))
    })
}

fn of_each<T: Send>(
    facts: &Facts,
    read: impl Fn(&Reference) -> Result<T> + Sync,
) -> Result<BTreeMap<ServiceName, T>> {
    let found = parallel::each(&facts.services, |service| {
        let repository = facts.published(&service.name).ok_or_else(no_repository)?;
        Ok((service.name.clone(), read(&repository)?))
    });
    found.into_iter().collect()
}

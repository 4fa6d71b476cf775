//! What a release wants to know besides the facts of every command.

use std::collections::BTreeMap;

use anyhow::Result;
use semver::Version;

use crate::model::facts::Facts;
use crate::model::failure::Failure;
use crate::model::reference::{Digest, Reference, Tag};
use crate::model::release::ReleaseFacts;
use crate::model::service::ServiceName;
use crate::outside::registry::{Client, RegistryError};
use crate::outside::{files, git, git_tags, parallel};
use crate::plan::build::no_repository;
use crate::plan::push::commit;
use crate::plan::release::{self, Asked};
use crate::task::Start;
use crate::task::publish::again;

/// The facts with those of a release; as they are when they come from a file.
pub(super) fn gather(
    start: &Start,
    mut facts: Facts,
    client: &Client,
    asked: &Asked,
) -> Result<Facts> {
    if start.global.facts.is_some() {
        return Ok(facts);
    }
    let revision = commit(&facts, None)?.revision.clone();
    let mut known = ReleaseFacts {
        tags: git_tags::here(&start.runner)?,
        origin: at_origin(start, &facts)?,
        on_branch: git::is_on_any(&start.runner, &revision, &facts.config.release_branches)?,
        changelog: files::read_if_there(&start.root.join("CHANGELOG.md"))?,
        ..ReleaseFacts::default()
    };
    let since = release::since(&facts, &known.known(), asked)?;
    known.messages = messages(start, since.as_ref())?;
    known.published = published(&facts, client)?;
    facts.release = Some(known);
    let shown = start.global.dry_run || start.global.record_facts.is_some();
    if let (true, Ok(plan)) = (shown, release::plan(&facts, asked)) {
        let heads = heads(&facts, client, &plan.version)?;
        facts.release.iter_mut().for_each(|known| known.heads.clone_from(&heads));
    }
    Ok(facts)
}

/// The lab's GitHub has the tags of this clone and no others.
fn at_origin(start: &Start, facts: &Facts) -> Result<Option<BTreeMap<Version, String>>> {
    if facts.lab.is_some() || !git_tags::has_origin(&start.runner)? {
        return Ok(None);
    }
    match git_tags::at_origin(&start.runner) {
        Ok(tags) => Ok(Some(tags)),
        Err(error) => {
            start.say(&format!("the git tags of `origin` are not known: {error:#}"));
            Ok(None)
        }
    }
}

fn messages(start: &Start, since: Option<&(Version, String)>) -> Result<Vec<String>> {
    let Some((version, commit)) = since else {
        return git::messages_since(&start.runner, None);
    };
    if git::commit_of(&start.runner, commit)?.is_none() {
        let message = format!("this clone does not have the commit of v{version}, {commit}");
        return Err(Failure::failed(message).hint("git fetch --tags origin").into());
    }
    git::messages_since(&start.runner, Some(commit))
}

/// The versions that each service is published under now.
pub(super) fn published(
    facts: &Facts,
    client: &Client,
) -> Result<BTreeMap<ServiceName, Vec<Version>>> {
    of_each(facts, |repository| {
        let tags = again(|| match client.tags(repository) {
            Err(RegistryError::NotFound) => Ok(Vec::new()),
            other => other,
        })?;
        Ok(release::published(&tags))
    })
}

/// Where the floating tags of `version` point now.
fn heads(
    facts: &Facts,
    client: &Client,
    version: &Version,
) -> Result<BTreeMap<ServiceName, BTreeMap<Tag, Digest>>> {
    let floating = release::floating(version, &[]);
    of_each(facts, |repository| {
        let mut heads = BTreeMap::new();
        for tag in floating.iter().map(|floating| &floating.tag) {
            let reference = repository.with_tag(tag.clone());
            let head = again(|| match client.head_manifest(&reference) {
                Ok(head) => Ok(Some(head.digest)),
                Err(RegistryError::NotFound) => Ok(None),
                Err(error) => Err(error),
            })?;
            heads.extend(head.map(|digest| (tag.clone(), digest)));
        }
        Ok(heads)
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

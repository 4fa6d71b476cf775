//! `cargo xtask release`: publishes a version under its tags, and creates the GitHub release.

use std::fmt::Write;

use anyhow::Result;
use semver::Version;

use crate::cli::{self, Format};
use crate::model::channel::Channel;
use crate::model::facts::{Facts, Git};
use crate::model::failure::{Exit, Failure};
use crate::model::invocation::Invocation;
use crate::model::publication::Published;
use crate::model::reference::{Reference, Tag};
use crate::outside::gather::Wanted;
use crate::outside::registry::{Client, Options, RegistryError};
use crate::outside::{git, releases, terminal};
use crate::plan::build::BuildOptions;
use crate::plan::publish::{Moves, Request, Tags, Wishes, dev_tag};
use crate::plan::push::commit;
use crate::plan::release;

use super::Start;
use super::gate;
use super::publication::Publication;
use super::publish::again;

pub fn run(mut start: Start, options: &cli::Release) -> Result<Exit> {
    start.enter_lab()?;
    let facts = start.facts(&Wanted::default())?;
    let checkout = commit(&facts, None)?.clone();
    let version = chosen(&start, options, &checkout)?;
    let name = format!("v{version}");
    check_branch(&start, &facts, &checkout)?;
    let client = gate::client(&facts);
    let published = published(&facts, &client)?;
    let tags = release::tags(&version, &checkout.revision, &published)?;
    if start.global.dry_run && start.global.format == Format::Human {
        explain(&facts, &version, &tags, &published)?;
    }
    let tagged = check_tag(&start, &checkout, &name, options)?;
    let build = BuildOptions {
        channel: Some(Channel::Release),
        builder: start.global.builder.clone(),
        version: Some(version.to_string()),
        push_to: tags.exact.first().cloned(),
        only_shown: start.global.dry_run,
        ..BuildOptions::default()
    };
    let wishes = Wishes {
        // It tells its version, and so it is another image whatever its inputs.
        rebuild: true,
        promote: options.promote,
        moves: Moves::ByVersion,
        ..Wishes::default()
    };
    let like = Some(dev_tag(&checkout.revision)?);
    let request = Request { revision: checkout.revision.clone(), tags, like, wishes };
    let mut publication = Publication::new(&start, facts.clone(), request, build, client)?;
    let plan = publication.plan()?;
    if start.global.dry_run {
        publication.show(&plan)?;
        return Ok(Exit::Done);
    }
    if !tagged {
        create_tag(&start, &name)?;
    }
    let (exit, results) = publication.carry_out(&plan, &options.publish)?;
    if exit == Exit::Done && !options.no_github_release {
        let release =
            Announcement { start: &start, facts: &facts, version: &version, checkout: &checkout };
        release.publish(&published, &results)?;
    }
    Ok(exit)
}

/// The version: named, or next, or that of the git tag that is checked out.
fn chosen(start: &Start, options: &cli::Release, checkout: &Git) -> Result<Version> {
    if let Some(text) = &options.version {
        return Ok(release::version(text)?);
    }
    let known = git::version_tags(&start.runner)?;
    if let Some(next) = options.next {
        let last = known.iter().filter(|version| version.pre.is_empty()).max();
        let since = last.map(|last| format!("v{last}"));
        let messages = git::messages_since(&start.runner, since.as_deref())?;
        return Ok(release::next(last, next, &messages));
    }
    let here = checkout.tags.iter().filter_map(|tag| release::version(tag).ok());
    here.max().ok_or_else(|| {
        Failure::usage("no version is named, and this commit has no version tag")
            .hint("cargo xtask release v1.2.3, or cargo xtask release --next auto")
            .into()
    })
}

/// The commit must be on a branch that releases are made from.
fn check_branch(start: &Start, facts: &Facts, checkout: &Git) -> Result<()> {
    let branches = &facts.config.release_branches;
    if git::is_on_any(&start.runner, &checkout.revision, branches)? {
        return Ok(());
    }
    let names: Vec<_> = branches.iter().map(|name| format!("`{name}`")).collect();
    Err(Failure::refused(format!(
        "{} is on none of the branches that releases are made from: {}",
        checkout.revision,
        names.join(", ")
    ))
    .hint("merge it first, or set `release-branches` under [workspace.metadata.images]")
    .into())
}

/// Whether the git tag is there; one that names another commit is refused.
fn check_tag(start: &Start, checkout: &Git, name: &str, options: &cli::Release) -> Result<bool> {
    match git::commit_of(&start.runner, &format!("refs/tags/{name}"))? {
        Some(commit) if commit == checkout.revision => Ok(true),
        Some(commit) => Err(Failure::refused(format!(
            "the git tag `{name}` names {commit}, and this is {}",
            checkout.revision
        ))
        .hint(format!("git checkout {name}"))
        .into()),
        None if options.create_tag || start.global.dry_run => Ok(false),
        None => Err(Failure::refused(format!("there is no git tag `{name}`"))
            .hint(format!("git tag {name} && git push origin {name}, or add --create-tag"))
            .into()),
    }
}

fn create_tag(start: &Start, name: &str) -> Result<()> {
    let tag = |arguments: &[&str]| Invocation::new("git", arguments.iter().copied());
    start.runner.output(&tag(&["tag", "--annotate", "--message", name, name]))?;
    let remotes = start.runner.output(&tag(&["remote"]))?;
    if remotes.lines().any(|remote| remote == "origin") {
        start.runner.output(&tag(&["push", "origin", &format!("refs/tags/{name}")]))?;
    }
    start.say(&format!("created the git tag {name}"));
    Ok(())
}

/// The versions that any service is published under.
fn published(facts: &Facts, client: &Client) -> Result<Vec<Version>> {
    let mut versions = Vec::new();
    for service in &facts.services {
        let repository =
            facts.published(&service.name).ok_or_else(crate::plan::build::no_repository)?;
        let tags = again(|| match client.tags(&repository) {
            Err(RegistryError::NotFound) => Ok(Vec::new()),
            other => other,
        })?;
        versions.extend(release::published(&tags));
    }
    versions.sort();
    versions.dedup();
    Ok(versions)
}

/// What each tag points at now, and whether it moves.
fn explain(facts: &Facts, version: &Version, tags: &Tags, published: &[Version]) -> Result<()> {
    let client = Client::new(Options::default());
    let mut text = String::new();
    for service in &facts.services {
        let Some(repository) = facts.published(&service.name) else { continue };
        let now = |tag: &Tag| -> Result<String> {
            let at = again(|| match client.head_manifest(&repository.with_tag(tag.clone())) {
                Ok(head) => Ok(Some(head.digest)),
                Err(RegistryError::NotFound) => Ok(None),
                Err(error) => Err(error),
            })?;
            Ok(at.map_or("nothing".to_owned(), |digest| digest.short().to_owned()))
        };
        let _ = writeln!(text, "# {repository}");
        for tag in &tags.exact {
            let _ = writeln!(text, "#   {tag}: now {}; immutable", now(tag)?);
        }
        for floating in release::floating(version, published) {
            let word = if floating.moves { "moves" } else { "stays" };
            let tag = &floating.tag;
            let _ = writeln!(text, "#   {tag}: now {}; {word}: {}", now(tag)?, floating.reason);
        }
        if !version.pre.is_empty() {
            let _ = writeln!(text, "#   a pre-release moves no floating tag");
        }
    }
    terminal::data(&text);
    Ok(())
}

/// The GitHub release, created when all images are published.
struct Announcement<'a> {
    start: &'a Start,
    facts: &'a Facts,
    version: &'a Version,
    checkout: &'a Git,
}

impl Announcement<'_> {
    fn publish(&self, published: &[Version], results: &[Published]) -> Result<()> {
        let (repository, _) =
            self.facts.repository().ok_or_else(crate::plan::build::no_repository)?;
        let api = super::github::api(self.start, self.facts)?;
        let client = Client::new(Options::default());
        let name = format!("v{}", self.version);
        let existing = api.release(&client, &repository, &name)?;
        if let Some(release) = existing.as_ref().filter(|release| !release.draft) {
            self.start.say(&format!("the GitHub release is there: {}", release.html_url));
            return Ok(());
        }
        let stable = self.version.pre.is_empty();
        let highest = published.iter().filter(|other| other.pre.is_empty()).max();
        let is_latest = stable && highest.is_none_or(|highest| highest <= self.version);
        let wanted = releases::Wanted {
            tag_name: name.clone(),
            target_commitish: self.checkout.revision.clone(),
            name,
            body: format!("{}\n\n{}", self.notes()?, images(results)),
            draft: false,
            prerelease: !stable,
            make_latest: if is_latest { "true" } else { "false" },
        };
        let release = api.put(&client, &repository, &wanted, existing.as_ref())?;
        self.start.say(&format!("GitHub release: {}", release.html_url));
        Ok(())
    }

    /// What the changelog says, else the commits since the last release.
    fn notes(&self) -> Result<String> {
        let changelog = std::fs::read_to_string(self.start.root.join("CHANGELOG.md"));
        let section =
            changelog.ok().and_then(|text| release::changelog_section(&text, self.version));
        if let Some(section) = section {
            return Ok(section);
        }
        let known = git::version_tags(&self.start.runner)?;
        let last = known.iter().filter(|other| *other < self.version).max();
        let since = last.map(|last| format!("v{last}"));
        let messages = git::messages_since(&self.start.runner, since.as_deref())?;
        let mut text = String::from("## Changes\n\n");
        for message in &messages {
            let _ = writeln!(text, "- {}", message.lines().next().unwrap_or_default());
        }
        Ok(text.trim_end().to_owned())
    }
}

/// The images of a release, with what to type to get them.
fn images(results: &[Published]) -> String {
    let mut text = String::from("## Images\n\n");
    for published in results {
        let (Some(digest), Some(first)) = (&published.digest, published.tags.first()) else {
            continue;
        };
        let tagged: Reference = published.repository.with_tag(first.tag.clone());
        let by_digest = published.repository.at(digest.clone());
        let _ = writeln!(
            text,
            "**{}**\n\n```sh\ndocker pull {tagged}\ndocker pull {by_digest}\n```\n",
            published.service
        );
    }
    text.trim_end().to_owned()
}

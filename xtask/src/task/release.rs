//! `cargo xtask release`: publishes a version under its tags, and creates the GitHub release.

use anyhow::Result;
use clap::Args;
use clap::builder::FalseyValueParser;

use crate::command::Command;
use crate::lab;
use crate::model::channel::Channel;
use crate::model::failure::{Exit, Failure};
use crate::options::Publishing;
use crate::outside::gather::{self, GatherOptions};
use crate::plan::build::BuildOptions;
use crate::plan::publish::{Step, git_tag};
use crate::plan::release::{self, Asked, NextVersion};
use crate::publish::{Pipeline, gather_release};

#[derive(Debug, Clone, Args)]
pub struct Release {
    /// The version; by default that of the git tag at HEAD
    #[arg(value_name = "VERSION")]
    pub version: Option<String>,
    /// Release the version that follows the last one
    #[arg(long, value_enum, conflicts_with = "version")]
    pub next: Option<NextVersion>,
    /// Publish the tested `dev-<sha>` image without a build
    #[arg(long, env = "XTASK_PROMOTE", value_parser = FalseyValueParser::new())]
    pub promote: bool,
    /// Create and push the git tag
    #[arg(long)]
    pub create_tag: bool,
    /// Create no GitHub release
    #[arg(long)]
    pub no_github_release: bool,
    #[command(flatten)]
    pub publishing: Publishing,
}

pub fn run(mut command: Command, options: &Release) -> Result<Exit> {
    let asked = Asked {
        version: options.version.as_deref().map(release::version).transpose()?,
        next: options.next,
        create_tag: options.create_tag,
        github_release: !options.no_github_release,
    };
    command.publishes_no_saved_facts()?;
    lab::enter(&mut command)?;
    let facts = command.facts(&GatherOptions::default())?;
    let client = gather::client(&facts);
    let facts = gather_release(&command, facts, &client, &asked)?;
    let release = release::plan(&facts, &asked)?;
    // A dry run prints this step; a release stops before it reads or changes anything else.
    if !command.global.dry_run
        && let Some(Step::RequireGitTag { problem, hint, .. }) = git_tag(&release)
    {
        return Err(Failure::refused(problem).hint(hint).into());
    }
    let request = release.request(options.promote, options.publishing.sign)?;
    let build = BuildOptions {
        channel: Some(Channel::Release),
        builder: command.global.builder.clone(),
        version: Some(release.version.to_string()),
        push_to: request.tags.exact.first().cloned(),
        only_shown: command.global.dry_run,
        ..BuildOptions::default()
    };
    let release = Some(release);
    let mut pipeline =
        Pipeline { command: &command, facts, client, request, options: build, release };
    pipeline.gather()?;
    let plan = pipeline.plan();
    if command.global.dry_run {
        return match plan {
            Ok(plan) => pipeline.show(&plan),
            Err(refused) => pipeline.show_release().and(Err(refused)),
        };
    }
    pipeline.apply(&plan?, &options.publishing)
}

//! `cargo xtask push`: publishes the dev channel. A service that did not change is only tagged.

use anyhow::Result;
use clap::Args;
use clap::builder::FalseyValueParser;

use crate::command::Command;
use crate::lab;
use crate::model::channel::Channel;
use crate::model::failure::Exit;
use crate::options::{Format, Publishing};
use crate::outside::gather::{self, GatherOptions};
use crate::outside::terminal;
use crate::plan::build::BuildOptions;
use crate::plan::publish::{Moves, PublishOptions, commit, dev};
use crate::publish::Pipeline;
use crate::report;

use super::build::matrix;

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
#[derive(Debug, Clone, Args)]
pub struct Push {
    /// Services to publish; all by default
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Publish only services whose inputs differ from this revision
    #[arg(long, value_name = "REV")]
    pub changed_since: Option<String>,
    /// Build although nothing changed; for a published commit, only to fill the cache
    #[arg(long, env = "XTASK_REBUILD", value_parser = FalseyValueParser::new())]
    pub rebuild: bool,
    /// Let a floating tag go back to an older commit
    #[arg(long)]
    pub allow_rollback: bool,
    #[command(flatten)]
    pub publishing: Publishing,
    /// Explain for each service which input changed, and why it is built or not
    #[arg(long)]
    pub explain: bool,
    /// Publish a working tree with uncommitted changes, marked as dirty
    #[arg(long)]
    pub allow_dirty: bool,
}

pub fn run(mut command: Command, options: &Push) -> Result<Exit> {
    command.publishes_no_saved_facts()?;
    lab::enter(&mut command)?;
    let facts = command.facts(&GatherOptions {
        changed_since: options.changed_since.as_deref(),
        services: &options.services,
        ..GatherOptions::default()
    })?;
    let moves = if options.allow_rollback { Moves::Anywhere } else { Moves::Forward };
    let (rebuild, sign) = (options.rebuild, options.publishing.sign);
    let wanted = PublishOptions { rebuild, moves, sign, ..PublishOptions::default() };
    let request = dev(commit(&facts, Some(options.allow_dirty))?, wanted)?;
    let build = BuildOptions {
        services: options.services.clone(),
        channel: Some(Channel::Dev),
        builder: command.global.builder.clone(),
        push_to: request.tags.exact.first().cloned(),
        only_shown: command.global.dry_run || command.global.format == Format::Matrix,
        ..BuildOptions::default()
    };
    let client = gather::client(&facts);
    let mut pipeline =
        Pipeline { command: &command, facts, client, request, options: build, release: None };
    pipeline.gather()?;
    let plan = pipeline.plan()?;
    if command.global.format == Format::Matrix {
        let names = plan.services.iter().filter(|service| service.build.is_some());
        terminal::data(&matrix(names.map(|service| service.service.as_str()))?);
        return Ok(Exit::Done);
    }
    if options.explain {
        for service in &plan.services {
            command.say(&report::publication::explained(service));
        }
    }
    if command.global.dry_run {
        return pipeline.show(&plan);
    }
    pipeline.apply(&plan, &options.publishing)
}

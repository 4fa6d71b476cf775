//! `cargo xtask doctor`: why a build here would be slow, denied or impossible, and how to fix it.

use anyhow::Result;
use clap::Args;

use crate::command::Command;
use crate::findings::show;
use crate::lab;
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::failure::Exit;
use crate::model::invocation::Invocation;
use crate::model::reference::Reference;
use crate::model::remote::RemoteError;
use crate::model::service::ServiceName;
use crate::outside::gather::{self, GatherOptions};
use crate::outside::registry::Client;
use crate::outside::{clock, docker, git, parallel, records};
use crate::plan::verify::machine::{Disk, Probes, PushProbe, machine};
use crate::plan::verify::{builds, tiers};

#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// Make warnings fail
    #[arg(long)]
    pub strict: bool,
}

pub fn run(mut command: Command, options: &Doctor) -> Result<Exit> {
    let format = command.human_or_json()?;
    lab::enter(&mut command)?;
    let mut facts = command.facts(&GatherOptions { tiers: true, ..GatherOptions::default() })?;
    facts.engine = docker::read(&command.runner)?;
    let client = gather::client(&facts);
    let probes = Probes {
        disk: disk(&command),
        pushes: pushes(&command, &facts, &client),
        clock_ahead: clock_ahead(&facts, &client),
    };
    let services: Vec<&ServiceFacts> = facts.services.iter().collect();
    let mut findings = machine(&facts, &probes, command.global.builder.as_deref());
    findings.extend(tiers::tiers(&facts, &services, clock::now()));
    for service in services {
        let records = records::newest(&command.target, &command.root, &service.name, 2);
        let files = match builds::trees(&records) {
            Some((before, now)) => git::changed_files(&command.runner, &before, &now)?,
            None => Vec::new(),
        };
        findings.push(builds::last_build(&facts, service, &records, &files));
    }
    show(&findings, format, options.strict)
}

/// The disk that holds the engine's data; `None` if `df` gives no answer.
fn disk(command: &Command) -> Option<Disk> {
    let info = Invocation::new("docker", ["info", "--format={{.DockerRootDir}}"]);
    let folder = command.runner.finish(&info).ok()?.stdout.trim().to_owned();
    let folder = if folder.is_empty() { ".".to_owned() } else { folder };
    let call = Invocation::new("df", ["--output=pcent,avail", "--block-size=1", &folder]);
    let printed = command.runner.finish(&call).ok()?.stdout;
    let mut words = printed.lines().nth(1)?.split_whitespace();
    let used_percent = words.next()?.trim_end_matches('%').parse().ok()?;
    let free = words.next()?.parse().ok()?;
    Some(Disk { folder, free, used_percent })
}

/// Starts an upload for each service and abandons it: each package has its own permissions.
fn pushes(command: &Command, facts: &Facts, client: &Client) -> Vec<(ServiceName, PushProbe)> {
    let of = |service: &ServiceFacts| Some((service.name.clone(), facts.published(&service.name)?));
    let wanted: Vec<(ServiceName, Reference)> = facts.services.iter().filter_map(of).collect();
    parallel::each(&wanted, |(service, repository)| {
        let push =
            if command.global.dry_run { PushProbe::NotTried } else { push(client, repository) };
        (service.clone(), push)
    })
}

fn push(client: &Client, repository: &Reference) -> PushProbe {
    match client.may_push(repository) {
        Ok(()) => PushProbe::Allowed,
        Err(error @ RemoteError::Unauthorized { .. }) => {
            PushProbe::NotLoggedIn { message: error.to_string() }
        }
        Err(error @ RemoteError::Denied { .. }) => PushProbe::Denied { message: error.to_string() },
        Err(error) => PushProbe::Unknown { message: error.to_string() },
    }
}

/// Seconds that the registry's clock is ahead of this machine's; `None` if it sends no date.
fn clock_ahead(facts: &Facts, client: &Client) -> Option<i64> {
    let theirs = client.clock(facts.registry()).ok()??;
    i64::try_from(theirs).ok()?.checked_sub(i64::try_from(clock::now()).ok()?)
}

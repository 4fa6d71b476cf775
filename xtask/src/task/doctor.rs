//! `cargo xtask doctor`: why would a build here be slow, denied or impossible, and what to type?

use anyhow::Result;

use crate::cli::Doctor;
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::failure::Exit;
use crate::model::invocation::Invocation;
use crate::outside::gather::Wanted;
use crate::outside::registry::{Client, Options, RegistryError};
use crate::outside::{clock, docker};
use crate::plan::verify::machine::{Disk, Probes, Push, machine};
use crate::plan::verify::tiers;

use super::Start;
use super::verify::{of_records, show};

pub fn run(mut start: Start, options: &Doctor) -> Result<Exit> {
    let format = start.human_or_json()?;
    start.enter_lab()?;
    let mut facts = start.facts(&Wanted { tiers: true, ..Wanted::default() })?;
    facts.engine = docker::read(&start.runner)?;
    let client = super::gate::client(&facts);
    let probes =
        Probes { disk: disk(&start), push: push(&facts, &client), clock_ahead: ahead(&facts) };
    let services: Vec<&ServiceFacts> = facts.services.iter().collect();
    let mut findings = machine(&facts, &probes);
    findings.extend(tiers::tiers(&facts, &services, clock::now()));
    findings.extend(of_records(&start, &facts, &services));
    show(&findings, format, options.strict)
}

/// The disk that the engine's data is on; `None` where nobody tells.
fn disk(start: &Start) -> Option<Disk> {
    let info = Invocation::new("docker", ["info", "--format={{.DockerRootDir}}"]);
    let folder = start.runner.finish(&info).ok()?.stdout.trim().to_owned();
    let folder = if folder.is_empty() { ".".to_owned() } else { folder };
    let call = Invocation::new("df", ["--output=pcent,avail", "--block-size=1", &folder]);
    let said = start.runner.finish(&call).ok()?.stdout;
    let mut words = said.lines().nth(1)?.split_whitespace();
    let used_percent = words.next()?.trim_end_matches('%').parse().ok()?;
    let free = words.next()?.parse().ok()?;
    Some(Disk { folder, free, used_percent })
}

/// Begins an upload and gives it up.
fn push(facts: &Facts, client: &Client) -> Option<Push> {
    let repository = facts.published(&facts.services.first()?.name)?;
    Some(match client.may_push(&repository) {
        Ok(()) => Push::Allowed,
        Err(error @ (RegistryError::Unauthorized { .. } | RegistryError::Denied { .. })) => {
            Push::Denied { message: error.to_string() }
        }
        Err(error) => Push::Unknown { message: error.to_string() },
    })
}

/// How far the registry's clock is ahead of this one; `None` when it does not tell.
fn ahead(facts: &Facts) -> Option<i64> {
    let theirs = Client::new(Options::default()).clock(facts.registry()).ok()??;
    i64::try_from(theirs).ok()?.checked_sub(i64::try_from(clock::now()).ok()?)
}

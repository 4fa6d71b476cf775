//! `cargo xtask verify`: checks the published images, the Dockerfiles and the hit rate of past builds.

mod linters;
mod smoke_test;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Args;

use crate::command::Command;
use crate::findings::show;
use crate::lab;
use crate::model::dockerfile::Dockerfile;
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::failure::{Exit, Failure, Interrupted};
use crate::model::inspection::Package;
use crate::model::reference::Digest;
use crate::outside::gather::{self, GatherOptions};
use crate::outside::github::GitHub;
use crate::outside::inspect::Inspector;
use crate::outside::registry::{Client, CredentialSource};
use crate::outside::{clock, environment, parallel, records, signature};
use crate::packages;
use crate::plan::finding::{Finding, Level};
use crate::plan::rules;
use crate::plan::selection::select;
use crate::plan::verify::{builds, package, tags, tiers};

#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// Services to check [default: all]
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Check only the repository, not the registry
    #[arg(long)]
    pub local: bool,
    /// Start each published image, check its answers and stop it
    #[arg(long, conflicts_with = "local")]
    pub smoke: bool,
    /// Make warnings fail
    #[arg(long)]
    pub strict: bool,
}

pub fn run(mut command: Command, options: &Verify) -> Result<Exit> {
    let format = command.human_or_json()?;
    lab::enter(&mut command)?;
    let facts = command.facts(&GatherOptions::default())?;
    let chosen = select(&facts, &options.services)?.chosen;
    let services: Vec<&ServiceFacts> = chosen.iter().map(|(service, _)| *service).collect();
    let mut findings: Vec<Finding> =
        services.iter().flat_map(|service| dockerfile_findings(&facts, service)).collect();
    // The linters run while the registry answers.
    let (linted, published) = std::thread::scope(|scope| {
        let linters = scope.spawn(|| linters::findings(&command, &facts, &services));
        let published = if options.local {
            Ok(Vec::new())
        } else {
            published_findings(&command, &facts, &services, options.smoke)
        };
        (linters.join(), published)
    });
    findings.extend(linted.map_err(|_| anyhow!("the thread that ran the linters panicked"))??);
    findings.extend(published?);
    findings.extend(services.iter().map(|service| hit_rate(&command, &facts, service)));
    show(&findings, format, options.strict)
}

/// The hit rate of the service's last warm build on this machine.
fn hit_rate(command: &Command, facts: &Facts, service: &ServiceFacts) -> Finding {
    let records = records::newest(&command.target, &command.root, &service.name, usize::MAX);
    builds::hit_rate(facts, service, &records)
}

/// The findings of our own Dockerfile rules.
fn dockerfile_findings(facts: &Facts, service: &ServiceFacts) -> Vec<Finding> {
    let own = facts.config.service(&service.name);
    rules::findings(&rules::Input {
        file: &format!("{}/Dockerfile", service.folder),
        text: &service.dockerfile,
        arguments: &own.build_args,
        target: own.target.as_deref(),
    })
}

/// Reads the package of each service once and judges it. A package that cannot be read is a finding of
/// its own and does not stop the others.
fn published_findings(
    command: &Command,
    facts: &Facts,
    services: &[&ServiceFacts],
    smoke: bool,
) -> Result<Vec<Finding>> {
    let begun = Instant::now();
    let client = gather::client(facts);
    let anonymous = Client::new(CredentialSource::Anonymous);
    let reader = PackageReader {
        command,
        facts,
        inspector: Inspector {
            client: &client,
            anonymous: &anonymous,
            runner: &command.runner,
            lab: facts.lab.as_ref(),
            head: facts.git.as_ref().map(|git| git.revision.as_str()),
            tags: tags::wanted,
            judged: tags::read,
            tags_of: tags::of_commit,
        },
        github: packages::github(command, facts, &client)?,
    };
    let packages = parallel::each(services, |service| reader.package(service));
    let names: Vec<_> = services.iter().map(|service| service.name.clone()).collect();
    let looks = gather::tiers(facts, &client, &names, &BTreeMap::new())?;
    let facts = Facts { tiers: looks, ..facts.clone() };
    let own_platform = environment::own_platform();
    let mut findings = Vec::new();
    for (service, package) in services.iter().zip(packages) {
        match package {
            Ok(package) => {
                let judged = package::findings(&facts, service, &package, own_platform.as_ref());
                findings.extend(judged);
                findings.extend(tiers::closure(service, &package));
                if smoke {
                    findings.extend(smoke_test::findings(command, &facts, service, &package));
                }
            }
            Err(error) if ends_the_run(&error) => return Err(error),
            Err(error) => {
                let (subject, detail) = (service.name.as_str(), format!("{error:#}"));
                let unknown = Finding::new(subject, "published", Level::Unknown, detail);
                findings.push(unknown.remedy("cargo xtask doctor"));
            }
        }
    }
    findings.extend(tiers::tiers(&facts, services, clock::now()));
    let (requests, seconds) = (client.requests() + anonymous.requests(), begun.elapsed());
    command.say(&format!("{requests} requests in {:.2} s", seconds.as_secs_f64()));
    Ok(findings)
}

/// Whether the error ends the whole run: an interrupt, or a wrong configuration.
fn ends_the_run(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Interrupted>() || cause.is::<Failure>())
}

/// Reads everything about a package that its findings need.
struct PackageReader<'r> {
    command: &'r Command,
    facts: &'r Facts,
    inspector: Inspector<'r>,
    /// GitHub's API, if it lists the versions of these packages.
    github: Option<GitHub>,
}

impl PackageReader<'_> {
    fn package(&self, service: &ServiceFacts) -> Result<Package> {
        let Self { command, facts, inspector, github } = self;
        let repository =
            facts.published(&service.name).ok_or_else(crate::model::facts::no_repository)?;
        let mut package = inspector.package(&repository, service, &bases(facts, service))?;
        let judged = tags::judged(package.listing.tags());
        let digests: BTreeSet<Digest> =
            judged.iter().filter_map(|tag| package.points.get(tag).cloned()).collect();
        let digests: Vec<Digest> = digests.into_iter().collect();
        let own = facts.config.service(&service.name);
        if own.own_size_limit.or(facts.config.own_size_limit).is_some() {
            package.base_layers = inspector.base_layers(&package, &digests);
        }
        if let (Some(signed), Some((owner, _))) = (facts.config.signed, facts.repository()) {
            for digest in digests {
                let image = repository.at(digest.clone());
                let verified = signature::verified(&command.runner, signed, &image, &owner)?;
                package.signatures.insert(digest, verified);
            }
        }
        if let (Some(github), false) = (github, package.listing.tags().is_empty()) {
            package.untagged =
                packages::untagged(command, facts, inspector.client, github, &repository);
        }
        Ok(package)
    }
}

/// The base images of a service, as its configuration resolves them.
pub(super) fn bases(facts: &Facts, service: &ServiceFacts) -> Vec<String> {
    let own = facts.config.service(&service.name);
    Dockerfile::parse(&service.dockerfile)
        .map(|file| file.bases(&own.build_args, own.target.as_deref()))
        .unwrap_or_default()
}

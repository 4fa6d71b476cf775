//! `cargo xtask verify`: is what is published, and what is in the repository, what we think it is?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Result, anyhow};

use crate::cli::{Format, Verify};
use crate::model::dockerfile::Dockerfile;
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::failure::{Exit, Failure, Interrupted};
use crate::model::inspection::Package;
use crate::model::reference::Digest;
use crate::outside::gather::{self, Wanted};
use crate::outside::github_api::GitHubApi;
use crate::outside::inspect::Inspector;
use crate::outside::registry::{Client, Options, Source};
use crate::outside::{clock, context, environment, parallel, records, signature, terminal};
use crate::plan::rules;
use crate::plan::selection::select;
use crate::plan::verify::{Finding, Level, builds, exit, package, tags, tiers};
use crate::report::{self, WIDTH};

use super::Start;

pub fn run(mut start: Start, options: &Verify) -> Result<Exit> {
    let format = start.human_or_json()?;
    crate::lab::enter(&mut start)?;
    let facts = start.facts(&Wanted::default())?;
    let chosen = select(&facts, &options.services)?.chosen;
    let services: Vec<&ServiceFacts> = chosen.iter().map(|(service, _)| *service).collect();
    let mut findings: Vec<Finding> =
        services.iter().flat_map(|service| of_dockerfile(&start, &facts, service)).collect();
    // Programs and the network are waited for side by side.
    let (linted, seen) = std::thread::scope(|scope| {
        let linters = scope.spawn(|| super::linters::findings(&start, &facts, &services));
        let seen = if options.local {
            Ok(Vec::new())
        } else {
            published(&start, &facts, &services, options.smoke)
        };
        (linters.join(), seen)
    });
    findings.extend(linted.map_err(|_| anyhow!("a linter's output could not be read"))??);
    findings.extend(seen?);
    findings.extend(of_records(&start, &facts, &services));
    show(&findings, format, options.strict)
}

/// Prints findings, the worst first, and tells the exit code.
pub(super) fn show(findings: &[Finding], format: Format, strict: bool) -> Result<Exit> {
    let text = match format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(findings)?),
        _ => report::verify::text(findings, terminal::width().unwrap_or(WIDTH)),
    };
    terminal::data(&terminal::printable(&text));
    Ok(exit(findings, strict))
}

/// What the last warm build here says of the cache.
fn of_records(start: &Start, facts: &Facts, services: &[&ServiceFacts]) -> Vec<Finding> {
    let of = |service: &&ServiceFacts| {
        let kept = records::newest(&start.target, &start.root, &service.name, usize::MAX);
        builds::hit_rate(facts, service, &kept)
    };
    services.iter().map(of).collect()
}

/// What our own rules say about a service's Dockerfile.
fn of_dockerfile(start: &Start, facts: &Facts, service: &ServiceFacts) -> Vec<Finding> {
    let own = facts.config.service(&service.name);
    rules::findings(&rules::Subject {
        file: &format!("{}/Dockerfile", service.folder),
        text: &service.dockerfile,
        arguments: &own.build_args,
        target: own.target.as_deref(),
        context: &context::read(&start.root.join(&service.folder), rules::is_private),
    })
}

/// What is published of the services: each package is read once, and then judged. One that cannot be
/// read is told, and does not keep the others from being judged.
fn published(
    start: &Start,
    facts: &Facts,
    services: &[&ServiceFacts],
    smoke: bool,
) -> Result<Vec<Finding>> {
    let begun = Instant::now();
    let client = gather::client(facts);
    let nobody = Client::new(Options { credentials: Source::Anonymous, ..Options::default() });
    let reader = Reader {
        start,
        facts,
        inspector: Inspector {
            client: &client,
            nobody: &nobody,
            runner: &start.runner,
            lab: facts.lab.as_ref(),
            head: facts.git.as_ref().map(|git| git.revision.as_str()),
            tags: tags::wanted,
            judged: tags::read,
            tags_of: tags::of_commit,
        },
        api: super::untagged::api(start, facts)?,
    };
    let packages = parallel::each(services, |service| reader.package(service));
    let names: Vec<_> = services.iter().map(|service| service.name.clone()).collect();
    let looked = gather::tiers(facts, &client, &names, &BTreeMap::new())?;
    let facts = Facts { tiers: looked, ..facts.clone() };
    let own_platform = environment::own_platform();
    let mut findings = Vec::new();
    for (service, seen) in services.iter().zip(packages) {
        match seen {
            Ok(seen) => {
                findings.extend(package(&facts, service, &seen, own_platform.as_ref()));
                findings.extend(tiers::closure(service, &seen));
                if smoke {
                    findings.extend(super::smoked::findings(start, &facts, service, &seen));
                }
            }
            Err(error) if stops(&error) => return Err(error),
            Err(error) => findings.push(
                Finding::new(
                    service.name.as_str(),
                    "published",
                    Level::Unknown,
                    format!("{error:#}"),
                )
                .remedy("cargo xtask doctor"),
            ),
        }
    }
    findings.extend(tiers::tiers(&facts, services, clock::now()));
    let (requests, seconds) = (client.requests() + nobody.requests(), begun.elapsed());
    start.say(&format!("{requests} requests in {:.2} s", seconds.as_secs_f64()));
    Ok(findings)
}

/// Whether there is no use in going on: the user interrupts, or the configuration is wrong.
fn stops(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Interrupted>() || cause.is::<Failure>())
}

/// Reads packages with all that is asked about them.
struct Reader<'r> {
    start: &'r Start,
    facts: &'r Facts,
    inspector: Inspector<'r>,
    /// Where GitHub lists versions.
    api: Option<GitHubApi>,
}

impl Reader<'_> {
    fn package(&self, service: &ServiceFacts) -> Result<Package> {
        let Self { start, facts, inspector, api } = self;
        let repository =
            facts.published(&service.name).ok_or_else(crate::model::facts::no_repository)?;
        let mut seen = inspector.package(&repository, service, &bases(facts, service))?;
        let judged = tags::judged(seen.listing.tags());
        let digests: BTreeSet<Digest> =
            judged.iter().filter_map(|tag| seen.points.get(tag).cloned()).collect();
        let digests: Vec<Digest> = digests.into_iter().collect();
        let own = facts.config.service(&service.name);
        if own.own_size_limit.or(facts.config.own_size_limit).is_some() {
            seen.base_layers = inspector.base_layers(&seen, &digests);
        }
        if let (Some(signed), Some((owner, _))) = (facts.config.signed, facts.repository()) {
            for digest in digests {
                let image = repository.at(digest.clone());
                let verified = signature::verified(&start.runner, signed, &image, &owner)?;
                seen.signatures.insert(digest, verified);
            }
        }
        if let (Some(api), false) = (api, seen.listing.tags().is_empty()) {
            seen.untagged =
                super::untagged::count(start, facts, inspector.client, api, &repository);
        }
        Ok(seen)
    }
}

/// The bases of a service, as its configuration resolves them.
pub(super) fn bases(facts: &Facts, service: &ServiceFacts) -> Vec<String> {
    let own = facts.config.service(&service.name);
    Dockerfile::parse(&service.dockerfile)
        .map(|file| file.bases(&own.build_args, own.target.as_deref()))
        .unwrap_or_default()
}

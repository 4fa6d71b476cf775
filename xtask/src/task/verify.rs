//! `cargo xtask verify`: is what is published, and what is in the repository, what we think it is?

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};

use crate::cli::{Format, Verify};
use crate::model::dockerfile::Dockerfile;
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::failure::Exit;
use crate::model::inspection::Package;
use crate::outside::gather::{self, Wanted};
use crate::outside::inspect::Inspector;
use crate::outside::registry::{Client, Options};
use crate::outside::{clock, context, environment, parallel, records, smoke, terminal};
use crate::plan::rules;
use crate::plan::selection::select;
use crate::plan::verify::{Finding, Level, exit, package, tags, tiers};
use crate::report::{self, WIDTH};

use super::Start;

pub fn run(mut start: Start, options: &Verify) -> Result<Exit> {
    let format = start.human_or_json()?;
    start.enter_lab()?;
    let facts = start.facts(&Wanted::default())?;
    let chosen = select(&facts, &options.services)?.chosen;
    let services: Vec<&ServiceFacts> = chosen.iter().map(|(service, _)| *service).collect();
    let mut findings: Vec<Finding> =
        services.iter().flat_map(|service| of_dockerfile(&start, &facts, service)).collect();
    findings.extend(super::repository::findings(&start, &facts)?);
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

/// What the last builds here say of the cache.
pub(super) fn of_records(start: &Start, facts: &Facts, services: &[&ServiceFacts]) -> Vec<Finding> {
    let newest = |service: &&ServiceFacts| {
        tiers::hit_rate(
            facts,
            service,
            &records::newest(&start.target, &start.root, &service.name, 2),
        )
    };
    services.iter().filter_map(newest).collect()
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

/// What is published of the services: each package is read once, and then judged.
fn published(
    start: &Start,
    facts: &Facts,
    services: &[&ServiceFacts],
    smoke: bool,
) -> Result<Vec<Finding>> {
    let client = Client::new(Options::default());
    let inspector = Inspector {
        client: &client,
        runner: &start.runner,
        lab: facts.lab.as_ref(),
        head: facts.git.as_ref().map(|git| git.revision.as_str()),
        tags: tags::wanted,
        tags_of: tags::of_commit,
    };
    let packages = parallel::each(services, |service| {
        let repository =
            facts.published(&service.name).ok_or_else(crate::plan::build::no_repository)?;
        inspector.package(&repository, service, &bases(facts, service))
    });
    let packages = packages.into_iter().collect::<Result<Vec<Package>>>()?;
    let names: Vec<_> = services.iter().map(|service| service.name.clone()).collect();
    let looked = gather::tiers(facts, &client, &names, &BTreeMap::new())?;
    let facts = Facts { tiers: looked, ..facts.clone() };
    let own_platform = environment::own_platform();
    let mut findings = Vec::new();
    for (service, seen) in services.iter().zip(&packages) {
        findings.extend(package(&facts, service, seen, own_platform.as_ref()));
        findings.extend(tiers::closure(service, seen));
        if smoke {
            findings.extend(smoked(start, &facts, service, seen));
        }
    }
    findings.extend(tiers::tiers(&facts, services, clock::now()));
    if start.global.verbose {
        start.say(&format!("{} requests", client.requests()));
    }
    Ok(findings)
}

/// Starts the image of `dev` by its digest, and asks and stops it.
fn smoked(
    start: &Start,
    facts: &Facts,
    service: &ServiceFacts,
    package: &Package,
) -> Option<Finding> {
    let (tag, digest) = package.points.iter().find(|(tag, _)| tag.as_str() == "dev")?;
    let subject = format!("{}:{tag}", service.name);
    let contract = facts.config.service(&service.name).smoke_test.unwrap_or_default();
    let image = package.repository.at(digest.clone()).to_string();
    Some(match smoke::test(&start.runner, &service.name, &image, &contract, |_| ()) {
        Ok(passed) => {
            let time = report::quantity::seconds(passed.seconds_to_healthy);
            let detail = format!("healthy after {time}, answers, and stops");
            Finding::new(subject, "smoke", Level::Pass, detail)
        }
        Err(error) => Finding::new(subject, "smoke", Level::Fail, format!("{error:#}"))
            .remedy(format!("cargo xtask build {} --test", service.name)),
    })
}

/// The bases of a service, as its configuration resolves them.
pub(super) fn bases(facts: &Facts, service: &ServiceFacts) -> Vec<String> {
    let own = facts.config.service(&service.name);
    Dockerfile::parse(&service.dockerfile)
        .map(|file| file.bases(&own.build_args, own.target.as_deref()))
        .unwrap_or_default()
}

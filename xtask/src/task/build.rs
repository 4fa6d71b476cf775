//! `cargo xtask build`: gather, plan, then build each service, and show what came of it.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::json;

use crate::cli::{self, Format};
use crate::model::facts::{Engine, Facts};
use crate::model::failure::{Exit, Failure, Interrupted};
use crate::model::record::{self, BuildResult, Record};
use crate::outside::gather::Wanted;
use crate::outside::{docker, github, interrupt, terminal};
use crate::plan::build::{BuildOptions, BuildPlan, Purpose, must_look, plan};
use crate::report;
use crate::report::plan::Place;

use super::Start;
use crate::build::Builds;

pub fn run(mut start: Start, options: &cli::Build) -> Result<Exit> {
    let shown_only =
        start.global.dry_run || matches!(start.global.format, Format::Bake | Format::Matrix);
    if !shown_only {
        start.publishes_no_saved_facts()?;
    }
    let purpose = match start.global.format {
        Format::Matrix => Purpose::Names,
        _ if options.check => Purpose::Check,
        _ if options.test => Purpose::Test,
        _ => Purpose::Image,
    };
    crate::lab::enter(&mut start)?;
    let mut facts = start.facts(&Wanted {
        changed_since: options.changed_since.as_deref(),
        secrets: &options.secret,
        tiers: purpose.makes_image(),
        services: &options.services,
    })?;
    let build_options = BuildOptions {
        services: options.services.clone(),
        channel: options.channel,
        builder: start.global.builder.clone(),
        build_args: options.build_arg.iter().cloned().collect(),
        secrets: options.secret.iter().cloned().collect(),
        platforms: options.platform.clone(),
        no_cache: options.no_cache,
        purpose,
        version: None,
        push_to: None,
        only_shown: shown_only,
    };
    facts.engine = engine(&start, &facts, &build_options)?;
    start.keep_facts(&facts)?;
    let plan = plan(&facts, &build_options)?;
    if shown_only {
        show(&plan, start.global.format, &start.place(&facts))?;
        return Ok(Exit::Done);
    }
    if options.check {
        return super::check::run(&start, &facts, &plan);
    }
    if plan.channel.publishes() {
        let channel = plan.channel;
        return Err(Failure::usage(format!(
            "`build` publishes nothing, and the channel is {channel}"
        ))
        .hint("cargo xtask push, or cargo xtask build --channel local")
        .into());
    }
    let (channel, builder) = (plan.channel, &plan.builder);
    let builds = Builds::new(&start, &facts, channel, builder, options.progress, options.jobs);
    builds.prepare()?;
    let (records, errors): (Vec<Record>, Vec<Result<()>>) =
        builds.all(&plan.services).into_iter().unzip();
    show_errors(&builds, &errors);
    report(&builds, &plan, &records)
}

/// Shows what kept services from being built, each reason once.
fn show_errors(builds: &Builds<'_>, errors: &[Result<()>]) {
    let errors = errors.iter().filter_map(|done| done.as_ref().err());
    let errors = errors.filter(|error| !error.is::<Interrupted>());
    let texts: BTreeSet<String> = errors.map(|error| report::error::rendered(error).1).collect();
    for text in &texts {
        builds.display.error(text);
    }
}

/// The engine, where the plan needs to know it; else as the facts have it.
pub(super) fn engine(start: &Start, facts: &Facts, options: &BuildOptions) -> Result<Engine> {
    if start.global.facts.is_none() && must_look(facts, options) {
        docker::read(&start.runner)
    } else {
        Ok(facts.engine.clone())
    }
}

/// The matrix of a GitHub job; in a job also its output `matrix`.
pub(super) fn matrix<'n>(names: impl Iterator<Item = &'n str>) -> Result<String> {
    let text = json!({ "service": names.collect::<Vec<_>>() }).to_string();
    github::output([("matrix".to_owned(), text.clone())])?;
    Ok(format!("{text}\n"))
}

fn show(plan: &BuildPlan, format: Format, place: &Place<'_>) -> Result<()> {
    let names = || plan.services.iter().map(|service| service.service.as_str());
    terminal::data(&match format {
        Format::Human => report::plan::script(plan, place),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(plan)?),
        Format::Bake => {
            let bake = report::bake::bake(plan.services.iter());
            format!("{}\n", serde_json::to_string_pretty(&bake)?)
        }
        Format::Matrix => matrix(names())?,
    });
    Ok(())
}

fn report(builds: &Builds<'_>, plan: &BuildPlan, records: &[Record]) -> Result<Exit> {
    match builds.command.global.format {
        Format::Json => {
            let text = serde_json::to_string_pretty(&json!({
                "schema": record::SCHEMA,
                "channel": plan.channel,
                "records": records,
                "left_out": plan.left_out,
            }))?;
            terminal::data(&format!("{text}\n"));
        }
        _ if records.is_empty() => builds.display.message("nothing to build"),
        _ => {
            let width = terminal::width().unwrap_or(report::WIDTH);
            let tiers = report::tiers::below(records.iter(), width);
            terminal::data(&format!("{}{tiers}", report::build::table(records).text(width)));
        }
    }
    github::summary(&report::build::summary(records))?;
    let has = |result| records.iter().any(|record| record.result == result);
    if interrupt::wanted() || has(BuildResult::Interrupted) {
        return Err(Interrupted.into());
    }
    let good = records.iter().all(|record| record.result == BuildResult::Built);
    Ok(if good { Exit::Done } else { Exit::Failed })
}

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
use super::work::Work;

pub fn run(mut start: Start, options: &cli::Build) -> Result<Exit> {
    let shown_only =
        start.global.dry_run || matches!(start.global.format, Format::Bake | Format::Matrix);
    if start.global.facts.is_some() && !shown_only {
        return Err(Failure::usage("`--facts` plans from a file, and builds nothing")
            .hint("add --dry-run")
            .into());
    }
    let purpose = match start.global.format {
        Format::Matrix => Purpose::Names,
        _ if options.check => Purpose::Check,
        _ if options.test => Purpose::Test,
        _ => Purpose::Image,
    };
    start.enter_lab()?;
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
    let work = Work::new(&start, &facts, &plan, options.progress, options.jobs);
    work.prepare()?;
    let (records, errors): (Vec<Record>, Vec<Result<()>>) =
        work.each(|service| work.recorded(service, |_| Ok(()))).into_iter().unzip();
    tell(&work, &errors);
    report(&work, &records)
}

/// Tells what kept services from being built. That there is no engine is told once for all.
fn tell(work: &Work<'_>, errors: &[Result<()>]) {
    let errors = errors.iter().filter_map(|done| done.as_ref().err());
    let told = errors.filter(|error| !error.is::<Interrupted>());
    let texts: BTreeSet<String> = told.map(|error| report::error::rendered(error).1).collect();
    for text in &texts {
        work.display.error(text);
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

fn report(work: &Work<'_>, records: &[Record]) -> Result<Exit> {
    match work.start.global.format {
        Format::Json => {
            let text = serde_json::to_string_pretty(&json!({
                "schema": record::SCHEMA,
                "channel": work.plan.channel,
                "records": records,
                "left_out": work.plan.left_out,
            }))?;
            terminal::data(&format!("{text}\n"));
        }
        _ if records.is_empty() => work.display.message("nothing to build"),
        _ => {
            let tiers = report::tiers::below(records.iter(), work.width);
            terminal::data(&format!("{}{tiers}", report::build::table(records).text(work.width)));
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

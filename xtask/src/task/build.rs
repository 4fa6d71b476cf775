//! `cargo xtask build`: gather, plan, build each service, and report.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::build::{Builds, checks};
use crate::command::Command;
use crate::lab;
use crate::model::channel::Channel;
use crate::model::config::{SecretSource, secret_source};
use crate::model::failure::{Exit, Failure, Interrupted};
use crate::model::platform::Platform;
use crate::model::record::{self, BuildResult, Record};
use crate::options::{Format, Progress};
use crate::outside::gather::GatherOptions;
use crate::outside::{interrupt, job_outputs, terminal};
use crate::plan::build::{BuildOptions, BuildPlan, Purpose, plan};
use crate::report;
use crate::report::plan::ShellPlace;

#[derive(Debug, Clone, Args)]
pub struct Build {
    /// Services to build; all by default
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Build for this channel instead of the one that the GitHub job implies
    #[arg(long, value_enum)]
    pub channel: Option<Channel>,
    /// Build only services whose inputs differ from this revision
    #[arg(long, value_name = "REV")]
    pub changed_since: Option<String>,
    /// Build up to N services at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Set a build argument of all services
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub build_arg: Vec<(String, String)>,
    /// Mount a secret during the build; its source must exist
    #[arg(long, value_name = "id=ID,env=NAME|src=FILE", value_parser = secret)]
    pub secret: Vec<(String, SecretSource)>,
    /// Build for these platforms
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',', value_parser = Platform::from_str)]
    pub platform: Vec<Platform>,
    /// Use no cache at all
    #[arg(long)]
    pub no_cache: bool,
    /// Run BuildKit's checks of the Dockerfiles instead of building
    #[arg(long, conflicts_with = "test")]
    pub check: bool,
    /// Start each built image, and wait until it is healthy and answers
    #[arg(long)]
    pub test: bool,
    /// How to show progress
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
}

pub fn run(mut command: Command, options: &Build) -> Result<Exit> {
    let shown_only =
        command.global.dry_run || matches!(command.global.format, Format::Bake | Format::Matrix);
    if !shown_only {
        command.publishes_no_saved_facts()?;
    }
    let purpose = match command.global.format {
        Format::Matrix => Purpose::Names,
        _ if options.check => Purpose::Check,
        _ if options.test => Purpose::Test,
        _ => Purpose::Image,
    };
    lab::enter(&mut command)?;
    let mut facts = command.facts(&GatherOptions {
        changed_since: options.changed_since.as_deref(),
        secrets: &options.secret,
        tiers: purpose.makes_image(),
        services: &options.services,
    })?;
    let build_options = BuildOptions {
        services: options.services.clone(),
        channel: options.channel,
        builder: command.global.builder.clone(),
        build_args: options.build_arg.iter().cloned().collect(),
        secrets: options.secret.iter().cloned().collect(),
        platforms: options.platform.clone(),
        no_cache: options.no_cache,
        purpose,
        version: None,
        push_to: None,
        only_shown: shown_only,
    };
    facts.engine = command.engine(&facts, &build_options)?;
    command.keep_facts(&facts)?;
    let plan = plan(&facts, &build_options)?;
    if shown_only {
        show(&plan, command.global.format, &command.place(&facts))?;
        return Ok(Exit::Done);
    }
    if options.check {
        return checks::run(&command, &facts, &plan);
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
    let builds = Builds::new(&command, &facts, channel, builder, options.progress, options.jobs);
    builds.prepare()?;
    let (records, errors): (Vec<Record>, Vec<Result<()>>) =
        builds.all(&plan.services).into_iter().unzip();
    show_errors(&builds, &errors);
    report(&builds, &plan, &records)
}

/// Shows why services were not built, each reason once.
fn show_errors(builds: &Builds<'_>, errors: &[Result<()>]) {
    let errors = errors.iter().filter_map(|done| done.as_ref().err());
    let errors = errors.filter(|error| !error.is::<Interrupted>());
    let texts: BTreeSet<String> = errors.map(|error| report::error::rendered(error).1).collect();
    for text in &texts {
        builds.display.error(text);
    }
}

/// Prints the matrix of a GitHub job, and sets it as the job's output `matrix`.
pub(super) fn matrix<'n>(names: impl Iterator<Item = &'n str>) -> Result<String> {
    let text = json!({ "service": names.collect::<Vec<_>>() }).to_string();
    job_outputs::output([("matrix".to_owned(), text.clone())])?;
    Ok(format!("{text}\n"))
}

fn show(plan: &BuildPlan, format: Format, place: &ShellPlace<'_>) -> Result<()> {
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
    job_outputs::summary(&report::build::summary(records))?;
    let has = |result| records.iter().any(|record| record.result == result);
    if interrupt::wanted() || has(BuildResult::Interrupted) {
        return Err(Interrupted.into());
    }
    let failed: Vec<_> =
        records.iter().filter(|record| record.result != BuildResult::Built).collect();
    Ok(match failed.as_slice() {
        [] => Exit::Done,
        failed if failed.iter().all(|record| record.may_pass) => Exit::Unfinished,
        _ => Exit::Failed,
    })
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Reads buildx's form of a secret, so a pasted buildx option works here.
fn secret(text: &str) -> Result<(String, SecretSource), String> {
    let field =
        |key: &str| text.split(',').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
    let wrong = || "expected id=ID,env=NAME or id=ID,src=FILE".to_owned();
    let known = ["id", "env", "src", "source", "type"];
    let stray = text
        .split(',')
        .find(|part| part.split_once('=').is_none_or(|(key, _)| !known.contains(&key)));
    if stray.is_some() {
        return Err(wrong());
    }
    let id = field("id").ok_or_else(wrong)?;
    let source = match (field("env"), field("src").or_else(|| field("source"))) {
        (Some(name), None) => format!("env:{name}"),
        (None, Some(path)) => format!("file:{path}"),
        _ => return Err(wrong()),
    };
    Ok((id.to_owned(), secret_source(id, &source)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_names_only_its_source() {
        let env = secret("id=npm,env=NPM_TOKEN").unwrap();
        assert_eq!(env, ("npm".to_owned(), SecretSource::Env("NPM_TOKEN".to_owned())));
        let file = secret("type=file,id=pem,src=key.pem").unwrap();
        assert_eq!(file, ("pem".to_owned(), SecretSource::File("key.pem".to_owned())));
        for wrong in ["npm", "id=npm", "id=npm,value=hunter2", "id=a b,env=X", "id=x,env=A,src=b"] {
            assert!(secret(wrong).is_err(), "{wrong}");
        }
    }
}

//! `cargo xtask cache`: shows the contents of the cache tiers, and makes the next build cold.

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::command::Command;
use crate::lab;
use crate::model::cache_records::IMPORT_LIMIT;
use crate::model::channel::Channel;
use crate::model::facts::Facts;
use crate::model::failure::{Exit, Failure};
use crate::model::reference::Reference;
use crate::model::service::ServiceName;
use crate::model::tier::{Seen, TierLook};
use crate::options::Format;
use crate::outside::gather::GatherOptions;
use crate::outside::registry::{Client, empty_cache};
use crate::outside::{clock, gather, terminal};
use crate::plan::cache::sources;
use crate::plan::channel::channel;
use crate::plan::selection::select;
use crate::publish::again;
use crate::report::quantity::bytes;
use crate::report::table::Table;
use crate::report::{self, WIDTH};

#[derive(Debug, Clone, Subcommand)]
pub enum Cache {
    /// Show the contents of each service's cache tiers, and whether a build can use them
    Status {
        /// Services to show; all by default
        #[arg(value_name = "SERVICE")]
        services: Vec<String>,
    },
    /// Make the next build cold, without deleting anything in use
    Invalidate {
        /// Services to invalidate; all by default
        #[arg(value_name = "SERVICE")]
        services: Vec<String>,
    },
}

pub fn run(mut command: Command, options: &Cache) -> Result<Exit> {
    let format = command.human_or_json()?;
    lab::enter(&mut command)?;
    let (Cache::Status { services } | Cache::Invalidate { services }) = options;
    let facts =
        command.facts(&GatherOptions { tiers: true, services, ..GatherOptions::default() })?;
    let chosen: Vec<_> =
        select(&facts, services)?.chosen.iter().map(|(service, _)| service.name.clone()).collect();
    match options {
        Cache::Status { .. } => status(&facts, &chosen, format),
        Cache::Invalidate { .. } => invalidate(&command, &facts, &chosen),
    }
}

fn status(facts: &Facts, services: &[ServiceName], format: Format) -> Result<Exit> {
    let now = clock::now();
    let mut table = Table::new(["service", "tier", ">age", ">size", ">results", "state"]);
    let mut values = Vec::new();
    for service in services {
        let place = facts.cache_place(service);
        for (look, plan) in
            facts.looks(service).iter().zip(sources(place.as_ref(), facts.looks(service)))
        {
            let Contents { created, size, results } = Contents::of(look);
            let age = created.map(|created| now.saturating_sub(created));
            table.row([
                service.to_string(),
                look.tier.to_string(),
                age.map_or("-".to_owned(), report::quantity::age),
                size.map_or("-".to_owned(), bytes),
                results.map_or("-".to_owned(), |results| results.to_string()),
                format!("{}: {}", plan.outcome, plan.reason),
            ]);
            values.push(serde_json::json!({
                "service": service, "tier": look.tier, "reference": look.reference,
                "outcome": plan.outcome, "reason": plan.reason, "age_seconds": age,
                "bytes": size, "results": results, "seconds": look.seconds,
            }));
        }
    }
    terminal::data(&match format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&values)?),
        _ => table.text(terminal::width().unwrap_or(WIDTH)),
    });
    let looks = services.iter().flat_map(|service| facts.looks(service));
    let failed = |look: &TierLook| matches!(look.seen, Seen::Failed { .. } | Seen::Hung { .. });
    Ok(if looks.clone().any(failed) { Exit::Unfinished } else { Exit::Done })
}

/// The contents of a tier.
#[derive(Default)]
struct Contents {
    created: Option<u64>,
    size: Option<u64>,
    results: Option<usize>,
}

impl Contents {
    fn of(look: &TierLook) -> Self {
        match &look.seen {
            Seen::Cache { records, layers_bytes, created, config_bytes, .. } => Self {
                created: *created,
                size: Some(*layers_bytes),
                results: (*config_bytes <= IMPORT_LIMIT).then(|| records.results()),
            },
            Seen::InlineImage { records, layers_bytes, created, .. } => Self {
                created: *created,
                size: Some(*layers_bytes),
                results: Some(records.results()),
            },
            _ => Self::default(),
        }
    }
}

/// Points `:cache` to a cache without records. Its timestamp makes builds ignore older tiers. The old cache
/// stays in the registry, and images that share its layers lose nothing.
fn invalidate(command: &Command, facts: &Facts, services: &[ServiceName]) -> Result<Exit> {
    if channel(Some(Channel::Dev), facts.environment.github.as_ref()).is_err() {
        return Err(Failure::refused("a pull request never writes the registry cache")
            .hint("cargo xtask cache status")
            .into());
    }
    let client = gather::client(facts);
    for service in services {
        let place = facts.cache_place(service).context("the repository is not known")?;
        let reference = place.cache();
        let in_registry = |look: &&TierLook| look.reference.is_some();
        let mut looks = facts.looks(service).iter().filter(in_registry);
        let there = looks.any(|look| look.seen != Seen::NotThere);
        if command.global.dry_run {
            terminal::data(&format!("# would point {reference} at an empty cache\n"));
            continue;
        }
        if there {
            empty(&client, &reference)?;
        }
        let result = if there { "now points to an empty cache" } else { "has no cache" };
        command.say(&format!("{reference} {result}"));
    }
    command.say(
        "builds also ignore older results of the other tiers, until the cache is filled again: \
         cargo xtask push --rebuild. A builder keeps its own cache: docker buildx prune",
    );
    Ok(Exit::Done)
}

/// Replaces a cache with an empty one.
fn empty(client: &Client, reference: &Reference) -> Result<()> {
    let (configuration, stored) = empty_cache(clock::now())?;
    again(|| client.put_blob(reference, configuration))?;
    again(|| client.put_manifest(reference, &stored)).map(drop)
}

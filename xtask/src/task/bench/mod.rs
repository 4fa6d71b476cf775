//! `cargo xtask lab bench`: our push and release beside what people type today, on the same engine and
//! registry, in one run and in turns. It writes docs/performance.md.

mod machine;
mod world;

use anyhow::Result;
use serde_json::json;

use crate::cli::{Bench, Format};
use crate::model::bench::{Contender, Engine, Scenario};
use crate::model::failure::{Exit, Failure};
use crate::model::lab::EngineChoice;
use crate::outside::{clock, files, terminal};
use crate::{plan, report};

use super::Start;
use world::World;

pub fn run(mut start: Start, options: &Bench) -> Result<Exit> {
    let format = start.human_or_json()?;
    start.gathers_no_facts("lab bench")?;
    if start.global.builder.is_some() {
        let message = "the benchmark empties the engine that it measures, and takes no `--builder`";
        return Err(Failure::usage(message).hint("cargo xtask lab bench").into());
    }
    start.global.lab = true;
    if start.global.dry_run {
        return foreseen(options, format);
    }
    // On an engine that is another's, to empty it would be a loss.
    crate::lab::enter_with(&mut start, EngineChoice::Private)?;
    let world = World::new(&start)?;
    let (contenders, skipped) = world.contenders()?;
    for (contender, why) in &skipped {
        start.say(&format!("without `{}`: {why}", contender.label(Scenario::Cold)));
    }
    let link = world.link(options.bandwidth.as_ref())?;
    let mut measured = Vec::new();
    for round in 0..options.rounds {
        for engine in [Engine::Emptied, Engine::Warm] {
            for contender in &contenders {
                let one = world.one(round, engine, *contender)?;
                for figures in &one {
                    start.say(&report::bench::line(figures));
                }
                measured.extend(one);
            }
        }
    }
    drop(link);
    let about = report::bench::About {
        date: clock::now(),
        machine: machine::machine(),
        versions: machine::versions(&start)?,
        bandwidth: options.bandwidth.clone(),
        rounds: options.rounds,
        skipped,
        driver: machine::driver(&start)?,
        overhead: world.overhead(options.rounds)?,
        dry_run: world.dry_run(options.rounds)?,
        compile: if options.no_compile { None } else { Some(machine::compile_seconds(&start)?) },
    };
    let page = report::bench::page(&measured, &about);
    let path = start.root.join("docs").join(page_name(options));
    files::write_atomically(&path, page.as_bytes())?;
    start.say(&format!("wrote {}", path.display()));
    terminal::data(&match format {
        Format::Json => {
            format!("{}\n", serde_json::to_string_pretty(&report::bench::json(&measured, &about))?)
        }
        _ => page,
    });
    Ok(Exit::Done)
}

fn page_name(options: &Bench) -> &'static str {
    if options.bandwidth.is_some() { "performance-link.md" } else { "performance.md" }
}

/// What would be measured, and where it would be written.
fn foreseen(options: &Bench, format: Format) -> Result<Exit> {
    let runs = plan::bench::runs();
    let page = format!("docs/{}", page_name(options));
    terminal::data(&match format {
        Format::Json => {
            let listed = json!({ "rounds": options.rounds, "runs": runs, "writes": page });
            format!("{}\n", serde_json::to_string_pretty(&listed)?)
        }
        _ => format!(
            "# on the lab's own engine, in each of {} rounds\n{}\n# then write {page}\n",
            options.rounds,
            runs.join("\n"),
        ),
    });
    Ok(Exit::Done)
}

/// `contender` and why it is left out.
pub(super) type Skipped = (Contender, String);

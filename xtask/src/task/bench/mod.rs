//! `cargo xtask lab bench`: our push and release beside what people type today, on the same engine and
//! registry, in one run and in turns. It writes docs/performance.md.

mod machine;
mod world;

use anyhow::Result;

use crate::cli::{Bench, Format};
use crate::model::bench::{Contender, Engine, Scenario};
use crate::model::failure::Exit;
use crate::outside::{clock, files, terminal};
use crate::report;

use super::Start;
use world::World;

pub fn run(mut start: Start, options: &Bench) -> Result<Exit> {
    let format = start.human_or_json()?;
    start.global.lab = true;
    start.enter_lab()?;
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
        overhead: world.overhead(options.rounds)?,
        compile: if options.no_compile { None } else { Some(machine::compile_seconds(&start)?) },
    };
    let page = report::bench::page(&measured, &about);
    if !start.global.dry_run {
        let name = if about.bandwidth.is_some() { "performance-link.md" } else { "performance.md" };
        let path = start.root.join("docs").join(name);
        files::write_atomically(&path, page.as_bytes())?;
        start.say(&format!("wrote {}", path.display()));
    }
    terminal::data(&match format {
        Format::Json => {
            format!("{}\n", serde_json::to_string_pretty(&report::bench::json(&measured, &about))?)
        }
        _ => page,
    });
    Ok(Exit::Done)
}

/// `contender` and why it is left out.
pub(super) type Skipped = (Contender, String);

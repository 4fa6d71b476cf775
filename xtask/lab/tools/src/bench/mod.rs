//! `cargo xtask lab bench`: compares `push` and `release` with the commands that people type without xtask,
//! in turns on the same engine and registry, and measures a cold compile of xtask. It writes
//! docs/performance.md.

mod compile;
mod figures;
mod front;
mod machine;
mod page;
mod rate;
mod subject;
mod world;

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use xtask::command::Command;
use xtask::model::failure::{Exit, Failure};
use xtask::model::lab::EngineChoice;
use xtask::options::Format;
use xtask::outside::{clock, files, terminal};
use xtask::task::lab::{Bench, Part};

use figures::Measured;
use rate::Rate;
use subject::{EngineContent, Scenario};
use world::BenchLab;

pub fn run(mut command: Command, options: &Bench) -> Result<Exit> {
    let format = command.human_or_json()?;
    command.gathers_no_facts("lab bench")?;
    let rate = checked(&command, options)?;
    let path = command.root.join(page_name(options));
    if command.global.dry_run {
        return show_plan(options, format);
    }
    let mut published = None;
    if wants(options, Part::Publish) {
        published = Some(publish(&mut command, options.rounds, rate)?);
    }
    let mut pairs = None;
    if wants(options, Part::Compile) {
        pairs = Some(compile::measure(&command, options.rounds)?);
    }
    let publish = published.as_ref().map(|(measured, about)| page::section(measured, about));
    let compile = pairs
        .as_ref()
        .map(|pairs| compile::section(pairs, &page::date(clock::now()), &machine::machine()));
    write_page(&command, &path, publish.as_deref(), compile.as_deref())?;
    terminal::data(&match format {
        Format::Json => {
            let result = json!({
                "schema": 2,
                "publish": published.map(|(measured, about)| page::json(&measured, &about)),
                "compile": pairs.map(|pairs| compile::json(&pairs)),
            });
            format!("{}\n", serde_json::to_string_pretty(&result)?)
        }
        _ => [publish, compile].into_iter().flatten().collect(),
    });
    Ok(Exit::Done)
}

fn wants(options: &Bench, part: Part) -> bool {
    options.only.is_none_or(|only| only == part)
}

/// The rate of the link; refuses options that contradict each other.
fn checked(command: &Command, options: &Bench) -> Result<Option<Rate>> {
    if command.global.builder.is_some() {
        let message =
            "`--builder` cannot be used here: the benchmark empties the engine that it measures";
        return Err(Failure::usage(message).hint("cargo xtask lab bench").into());
    }
    let Some(text) = &options.bandwidth else { return Ok(None) };
    if !wants(options, Part::Publish) {
        let message = "`--bandwidth` cannot be used here: a compile uses no registry";
        return Err(Failure::usage(message).hint("cargo xtask lab bench --only compile").into());
    }
    let hint = "cargo xtask lab bench --bandwidth 100mbit";
    let wrong = |why| Failure::usage(format!("invalid `--bandwidth`: {why}: {text}")).hint(hint);
    Ok(Some(text.parse().map_err(wrong)?))
}

/// Measures every contender in the lab.
fn publish(
    command: &mut Command,
    rounds: u32,
    bandwidth: Option<Rate>,
) -> Result<(Vec<Measured>, page::About)> {
    command.global.lab = true;
    // The benchmark empties the engine, so it never uses one that the lab does not own.
    xtask::lab::enter_with(command, EngineChoice::Private)?;
    let world = BenchLab::new(command)?;
    let (contenders, skipped) = world.contenders()?;
    for (contender, why) in &skipped {
        command.say(&format!("without `{}`: {why}", contender.label(Scenario::Cold)));
    }
    let link = world.link(bandwidth.as_ref())?;
    let mut measured = Vec::new();
    for round in 0..rounds {
        for engine in [EngineContent::Emptied, EngineContent::Warm] {
            for contender in &contenders {
                let one = world.one(round, engine, *contender)?;
                for figures in &one {
                    command.say(&page::line(figures));
                }
                measured.extend(one);
            }
        }
    }
    drop(link);
    let about = page::About {
        date: page::date(clock::now()),
        machine: machine::machine(),
        versions: machine::versions(command)?,
        bandwidth,
        rounds,
        skipped,
        driver: machine::driver(command)?,
        overhead: world.overhead(rounds)?,
        dry_run: world.dry_run(rounds)?,
    };
    Ok((measured, about))
}

/// Writes the measured parts; the page keeps its other part.
fn write_page(
    command: &Command,
    path: &Path,
    publish: Option<&str>,
    compile: Option<&str>,
) -> Result<()> {
    let old = if path.is_file() { files::read(path)? } else { String::new() };
    files::write_atomically(path, page::page(&old, publish, compile).as_bytes())?;
    command.say(&format!("wrote {}", path.display()));
    Ok(())
}

fn page_name(options: &Bench) -> &'static str {
    if options.bandwidth.is_some() { "docs/performance-link.md" } else { "docs/performance.md" }
}

/// Shows the measurements and the page that they would be written to.
fn show_plan(options: &Bench, format: Format) -> Result<Exit> {
    let mut runs = Vec::new();
    if wants(options, Part::Publish) {
        runs.extend(subject::runs());
    }
    if wants(options, Part::Compile) {
        runs.extend(["cold compile: the nine crates", "cold compile: xtask"].map(str::to_owned));
    }
    let page = page_name(options);
    terminal::data(&match format {
        Format::Json => {
            let listed = json!({ "rounds": options.rounds, "runs": runs, "writes": page });
            format!("{}\n", serde_json::to_string_pretty(&listed)?)
        }
        _ => format!(
            "# in each of {} rounds, pushes and releases on the lab's own engine\n{}\n# then write {page}\n",
            options.rounds,
            runs.join("\n"),
        ),
    });
    Ok(Exit::Done)
}

//! `cargo xtask lab`: starts, shows and stops the lab on this machine.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::command::Command;
use crate::lab::{leave, planned, up};
use crate::model::failure::Exit;
use crate::model::lab::{
    BaseStatus, EngineChoice, EngineState, EngineStatus, RegistryStatus, Running, ServersStatus,
    Status,
};
use crate::options::Format;
use crate::outside::lab::{LabPaths, down, runner_for, world};
use crate::outside::terminal;
use crate::report;

use crate::tools;

#[derive(Debug, Clone, Subcommand)]
pub enum Lab {
    /// Start everything that is not running yet
    Up {
        /// The engine to use
        #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
        engine: EngineChoice,
    },
    /// Stop everything that `up` started
    Down {
        /// Also delete the lab's data: images, caches, stand-in bases
        #[arg(long)]
        purge: bool,
    },
    /// Show what is running, and where
    Status,
    /// Measure pushes and releases against the commands that people type today; writes docs/performance.md
    Bench(Bench),
}

#[derive(Debug, Clone, Args)]
pub struct Bench {
    /// Measure everything N times
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Put the registry behind a link of this rate, such as 100mbit
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<String>,
    /// Measure only this part; the page keeps its figures of the other part
    #[arg(long, value_enum, value_name = "PART")]
    pub only: Option<Part>,
}

/// What the benchmark measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Pushes and releases, in the lab
    Publish,
    /// A cold compile of xtask, in turns with its nine oldest crates
    Compile,
}

pub fn run(command: &Command, options: &Lab) -> Result<Exit> {
    let format = command.human_or_json()?;
    command.gathers_no_facts("lab")?;
    match options {
        Lab::Up { engine } if command.global.dry_run => {
            let plan = planned(command, *engine)?;
            terminal::data(&match format {
                Format::Json => format!("{}\n", serde_json::to_string_pretty(&plan)?),
                _ => report::lab::plan(&plan),
            });
            Ok(Exit::Done)
        }
        Lab::Up { engine } => {
            up(command, *engine)?;
            show_status(command, format)
        }
        Lab::Status => show_status(command, format),
        Lab::Bench(_) => tools::hand_over(command),
        Lab::Down { purge } => take_down(command, *purge, format),
    }
}

fn take_down(command: &Command, purge: bool, format: Format) -> Result<Exit> {
    let place = LabPaths::new(&command.target);
    let steps = down::foreseen(&place, purge);
    if !command.global.dry_run {
        leave(command)?;
        if purge {
            down::purge(&place)?;
        }
        command.say("the lab is down");
    }
    if format == Format::Json {
        terminal::data(&format!("{}\n", serde_json::to_string_pretty(&json!({ "steps": steps }))?));
    } else if command.global.dry_run {
        terminal::data(&steps.iter().flat_map(|step| [step, "\n"]).collect::<String>());
    }
    Ok(Exit::Done)
}

fn show_status(command: &Command, format: Format) -> Result<Exit> {
    let status = status(command);
    let text = match format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&status)?),
        _ => report::lab::status(&status),
    };
    terminal::data(&text);
    Ok(Exit::Done)
}

fn status(command: &Command) -> Status {
    let place = LabPaths::new(&command.target);
    let state = place.state();
    let running = world::running(&place, state.as_ref());
    let host = state.as_ref().and_then(|state| state.engine_host().map(str::to_owned));
    let kind = state.as_ref().map(|state| match state.engine {
        EngineState::Private { .. } => "private",
        EngineState::Existing { .. } => "existing",
    });
    let version = state.as_ref().and_then(|state| {
        let answers = running.engine || !state.is_private();
        answers.then(|| world::engine_version(&runner_for(&command.runner, state))).flatten()
    });
    let on = |port: u16| format!("http://127.0.0.1:{port}");
    let ports = state.as_ref().map(|state| state.ports);
    let bases = state.iter().flat_map(|state| &state.bases);
    Status {
        up: all_up(running, kind, version.is_some()),
        engine: EngineStatus { host, kind, running: version.is_some(), version },
        registry: RegistryStatus {
            address: ports.map(|ports| format!("127.0.0.1:{}", ports.front)),
            backend: ports.map(|ports| format!("127.0.0.1:{}", ports.registry)),
            running: running.registry,
        },
        servers: ServersStatus {
            actions_cache: ports.map(|ports| on(ports.actions_cache)),
            github_api: ports.map(|ports| on(ports.github_api)),
            front_control: ports.map(|ports| on(ports.front_control)),
            running: running.servers,
        },
        bases: bases
            .map(|(reference, base)| BaseStatus {
                reference: reference.clone(),
                stand_in: true,
                image: base.image.clone(),
            })
            .collect(),
        state: place.folder.display().to_string(),
    }
}

fn all_up(running: Running, kind: Option<&str>, engine_answers: bool) -> bool {
    running.registry && running.servers && kind.is_some() && engine_answers
}

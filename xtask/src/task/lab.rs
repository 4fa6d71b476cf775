//! `cargo xtask lab`: brings up, shows and takes down a whole world on this machine.

use anyhow::Result;
use serde_json::json;

use crate::cli::{Format, Lab};
use crate::lab::{leave, planned, up};
use crate::model::failure::Exit;
use crate::model::lab::{
    BaseStatus, EngineState, EngineStatus, RegistryStatus, Running, ServersStatus, Status,
};
use crate::outside::lab::{Place, down, runner_for, world};
use crate::outside::terminal;
use crate::report;

use super::Start;

pub fn run(start: &Start, command: &Lab) -> Result<Exit> {
    let format = start.human_or_json()?;
    start.gathers_no_facts("lab")?;
    match command {
        Lab::Up { engine } if start.global.dry_run => {
            let plan = planned(start, *engine)?;
            terminal::data(&match format {
                Format::Json => format!("{}\n", serde_json::to_string_pretty(&plan)?),
                _ => report::lab::plan(&plan),
            });
            Ok(Exit::Done)
        }
        Lab::Up { engine } => {
            up(start, *engine)?;
            show_status(start, format)
        }
        // `task::run` hands the benchmark to its own task.
        Lab::Status | Lab::Bench(_) => show_status(start, format),
        Lab::Down { purge } => take_down(start, *purge, format),
    }
}

fn take_down(start: &Start, purge: bool, format: Format) -> Result<Exit> {
    let place = Place::new(&start.target);
    let steps = down::foreseen(&place, purge);
    if !start.global.dry_run {
        leave(start)?;
        if purge {
            down::purge(&place)?;
        }
        start.say("the lab is down");
    }
    if format == Format::Json {
        terminal::data(&format!("{}\n", serde_json::to_string_pretty(&json!({ "steps": steps }))?));
    } else if start.global.dry_run {
        terminal::data(&steps.iter().flat_map(|step| [step, "\n"]).collect::<String>());
    }
    Ok(Exit::Done)
}

fn show_status(start: &Start, format: Format) -> Result<Exit> {
    let status = status(start);
    let text = match format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&status)?),
        _ => report::lab::status(&status),
    };
    terminal::data(&text);
    Ok(Exit::Done)
}

fn status(start: &Start) -> Status {
    let place = Place::new(&start.target);
    let state = place.state();
    let running = world::running(&place, state.as_ref());
    let host = state.as_ref().and_then(|state| state.engine_host().map(str::to_owned));
    let kind = state.as_ref().map(|state| match state.engine {
        EngineState::Private { .. } => "private",
        EngineState::Existing { .. } => "existing",
    });
    let version = state.as_ref().and_then(|state| {
        let answers = running.engine || !state.is_private();
        answers.then(|| world::engine_version(&runner_for(&start.runner, state))).flatten()
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

//! `cargo xtask lab`: brings up, shows and takes down a whole world on this machine. `--lab` on any
//! command comes here first.

mod up;

use anyhow::{Context, Result};
use serde_json::json;

use crate::cli::{Format, Lab};
use crate::model::facts::LabFacts;
use crate::model::failure::Exit;
use crate::model::invocation::Invocation;
use crate::model::lab::{
    BaseStatus, EngineChoice, EngineState, EngineStatus, RegistryStatus, Running, ServersStatus,
    Status,
};
use crate::model::reference::Repository;
use crate::model::token::Secret;
use crate::outside::lab::{Place, down, runner_for, servers, world};
use crate::outside::registry::{Client, Options};
use crate::outside::terminal;
use crate::report;

pub use up::where_checks_run;

use super::Start;

pub fn run(start: &Start, command: &Lab) -> Result<Exit> {
    let format = start.human_or_json()?;
    start.gathers_no_facts("lab")?;
    match command {
        Lab::Up { engine } if start.global.dry_run => {
            let plan = up::foreseen(start, *engine)?;
            terminal::data(&match format {
                Format::Json => format!("{}\n", serde_json::to_string_pretty(&plan)?),
                _ => report::lab::plan(&plan),
            });
            Ok(Exit::Done)
        }
        Lab::Up { engine } => {
            up::up(start, *engine)?;
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

/// Brings the lab up as far as it is not, and returns what plans need to know of it. A dry run plans with
/// the lab as it would be.
pub fn enter(start: &Start, choice: EngineChoice) -> Result<LabFacts> {
    let enter = if start.global.dry_run { up::would_be } else { up::up };
    let state = enter(start, choice)?;
    state.facts().context("the lab has no registry")
}

/// Makes the repository known to the stand-in for GitHub, and returns a token that may write there.
pub(super) fn github(start: &Start, api: &str, repository: &Repository) -> Result<Secret> {
    let (owner, name) =
        repository.as_str().split_once('/').context("the repository has no owner")?;
    let token = "lab-writer";
    let client = Client::new(Options::default());
    let permissions = json!({ "contents": "write", "packages": "write" });
    let writer = json!({ "token": token, "login": owner, "permissions": permissions });
    servers::github(&client, api, "tokens", &writer)?;
    let repository = json!({ "owner": owner, "name": name });
    let known = servers::github(&client, api, "repositories", &repository)?;
    let folder = known.pointer("/git_dir").and_then(serde_json::Value::as_str);
    let folder = folder.context("the lab's GitHub does not say where its repository is")?;
    // As on GitHub, a release is of a commit that was pushed.
    let push =
        ["push", "--quiet", "--force", folder, "HEAD:refs/heads/main", "refs/tags/*:refs/tags/*"];
    start.runner.output(&Invocation::new("git", push))?;
    Ok(Secret::new(token))
}

/// Whether anything of the lab runs.
pub fn is_up(start: &Start) -> bool {
    let place = Place::new(&start.target);
    let running = world::running(&place, place.state().as_ref());
    running.registry || running.servers || running.engine
}

/// Restarts the lab's own engine; false when this is not in the lab, or its engine is another's.
pub(super) fn restart_engine(start: &Start) -> Result<bool> {
    let place = Place::new(&start.target);
    let is_ours = start.global.lab && place.state().is_some_and(|state| state.is_private());
    if is_ours {
        let lock = place.lock()?;
        down::end_engine(&place);
        drop(lock);
        enter(start, EngineChoice::Private)?;
    }
    Ok(is_ours)
}

/// Takes the lab down and keeps its data.
pub fn leave(start: &Start) -> Result<()> {
    let place = Place::new(&start.target);
    if !place.folder.is_dir() {
        return Ok(());
    }
    let _lock = place.lock()?;
    down::down(&start.runner, &place)
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

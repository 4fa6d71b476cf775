//! `cargo xtask lab`: brings up, shows and takes down a whole world on this machine. `--lab` on any
//! command comes here first.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::json;

use crate::cli::{Format, Lab};
use crate::model::dockerfile::Dockerfile;
use crate::model::facts::LabFacts;
use crate::model::failure::Exit;
use crate::model::invocation::Invocation;
use crate::model::lab::{
    BaseStatus, EngineChoice, EngineState, EngineStatus, RegistryStatus, Running, STATE_SCHEMA,
    ServersStatus, State, Status,
};
use crate::model::reference::{Reference, Repository};
use crate::model::token::Secret;
use crate::outside::lab::{Place, bases, down, engine, install, runner_for, servers, world};
use crate::outside::registry::{Client, Options};
use crate::outside::{gather, terminal};
use crate::plan::lab::{Action, Base, FoundEngine, LabPlan, Program, World, plan};

use super::Start;

pub fn run(start: &Start, command: &Lab) -> Result<Exit> {
    let format = start.human_or_json()?;
    match command {
        Lab::Up { engine } if start.global.dry_run => show_plan(start, *engine),
        Lab::Up { engine } => {
            up(start, *engine)?;
            show_status(start, format)
        }
        // `task::run` hands the benchmark to its own task.
        Lab::Status | Lab::Bench(_) => show_status(start, format),
        Lab::Down { purge } => {
            leave(start)?;
            if *purge {
                down::purge(&Place::new(&start.target))?;
            }
            start.say("the lab is down");
            Ok(Exit::Done)
        }
    }
}

/// Brings the lab up as far as it is not, and returns what plans need to know of it.
pub fn enter(start: &Start) -> Result<LabFacts> {
    let state = up(start, EngineChoice::Auto)?;
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
        enter(start)?;
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

/// Up, whatever was there. Each step is told before it is taken, and the state is kept after each,
/// so that what is interrupted goes on where it stopped.
fn up(start: &Start, choice: EngineChoice) -> Result<State> {
    let place = Place::new(&start.target);
    let wanted = wanted_bases(start)?;
    if let Some(state) = ready(start, &place, &wanted, choice)? {
        return Ok(state);
    }
    servers::manifest()?;
    let _lock = place.lock()?;
    let (world, mut state) = look(start, &place, &wanted)?;
    let plan = plan(&world, choice, !start.global.no_install)?;
    settle(start, &place, &plan, &mut state)?;
    for step in &plan.steps {
        start.say(&format!("lab: {} ({})", step.action, step.reason));
        carry_out(start, &place, &mut state, &step.action)?;
        place.save(&state)?;
    }
    tell_stand_ins(start, &state, &wanted);
    Ok(state)
}

/// The state of a lab that has all that is wanted. This is the way of nearly every `--lab`, so it
/// asks no process anything.
fn ready(
    start: &Start,
    place: &Place,
    wanted: &BTreeSet<String>,
    choice: EngineChoice,
) -> Result<Option<State>> {
    let Some(state) = place.state() else { return Ok(None) };
    let running = world::running(place, Some(&state));
    let engine = match choice {
        EngineChoice::Auto => running.engine || !state.is_private(),
        EngineChoice::Private => running.engine && state.is_private(),
        EngineChoice::Existing => !state.is_private(),
    };
    if !running.registry || !running.servers || !engine {
        return Ok(None);
    }
    for name in wanted {
        let base = Reference::normalized(name)?;
        let good = match state.bases.get(name) {
            Some(stand_in) => bases::wanted(&start.runner, &state, &base)? == *stand_in,
            None => world::registry_answers(&base),
        };
        if !good {
            return Ok(None);
        }
    }
    tell_stand_ins(start, &state, wanted);
    Ok(Some(state))
}

/// The bases that the services here need.
fn wanted_bases(start: &Start) -> Result<BTreeSet<String>> {
    let (config, services) = gather::services_and_config(&start.root, &start.target)?;
    let mut wanted = BTreeSet::new();
    for service in &services {
        let own = config.service(&service.name);
        // A Dockerfile that cannot be read is the build's to complain about.
        if let Ok(dockerfile) = Dockerfile::parse(&service.dockerfile) {
            wanted.extend(dockerfile.bases(&own.build_args, own.target.as_deref()));
        }
    }
    Ok(wanted)
}

fn look(start: &Start, place: &Place, wanted: &BTreeSet<String>) -> Result<(World, State)> {
    let before = place.state();
    let running = world::running(place, before.as_ref());
    let state = match before.clone() {
        Some(state) if running.registry || running.servers || servers::are_free(&state.ports) => {
            state
        }
        Some(state) => State { ports: servers::choose_ports()?, ..state },
        None => State {
            schema: STATE_SCHEMA,
            engine: EngineState::Existing { host: None },
            ports: servers::choose_ports()?,
            bases: std::collections::BTreeMap::new(),
        },
    };
    let (linux, root) = world::linux_and_root();
    let has = |program: &Program| match program {
        Program::Buildx => world::has_buildx(&start.runner),
        other => world::find(other.command()).is_some(),
    };
    let engine = world::engine_version(&start.runner).map(|version| FoundEngine { version });
    let mut world = World {
        linux,
        root,
        distribution: world::distribution(),
        programs: Program::ALL.into_iter().filter(has).collect(),
        engine,
        running,
        private_before: before.as_ref().map(State::is_private),
        bases: Vec::new(),
    };
    for name in wanted {
        let reference = Reference::normalized(name)?;
        let known = state.bases.get(name);
        world.bases.push(Base {
            reference: name.clone(),
            pullable: known.is_none() && world::registry_answers(&reference),
            // Before apt is there nothing can be said; and nothing was made then either.
            present: bases::wanted(&start.runner, &state, &reference)
                .is_ok_and(|now| known == Some(&now)),
        });
    }
    Ok((world, state))
}

/// Fixes which engine it is before anything starts.
fn settle(start: &Start, place: &Place, plan: &LabPlan, state: &mut State) -> Result<()> {
    start.say(&format!(
        "lab: {} ({})",
        if plan.private { "a private engine" } else { "the engine that is there" },
        plan.engine_reason
    ));
    if plan.private && !state.is_private() {
        // `ip` may have to be installed before a subnet can be chosen; see `carry_out`.
        state.bases.clear();
        if world::find("ip").is_some() {
            state.engine = engine::choose(&start.runner, place, &state.engine)?;
        }
    } else if !plan.private {
        let host = crate::outside::environment::text("DOCKER_HOST");
        state.engine = EngineState::Existing { host };
    }
    place.save(state)
}

fn carry_out(start: &Start, place: &Place, state: &mut State, action: &Action) -> Result<()> {
    let runner = &start.runner;
    match action {
        Action::Install { packages, from_forky } => install::install(runner, packages, *from_forky),
        Action::StartRegistry => servers::start_registry(runner, place, state),
        Action::StartServers => servers::start_servers(runner, place, state),
        Action::StartEngine => {
            state.engine = engine::choose(runner, place, &state.engine)?;
            place.save(state)?;
            engine::start(runner, place, state)
        }
        Action::MakeBase { reference } => {
            let base = Reference::normalized(reference)?;
            let stand_in = bases::wanted(runner, state, &base)?;
            bases::make(&runner_for(runner, state), place, reference, &stand_in)
                .with_context(|| format!("cannot make a stand-in for {reference}"))?;
            state.bases.insert(reference.clone(), stand_in);
            Ok(())
        }
    }
}

/// It always says which bases are not what they are called.
fn tell_stand_ins(start: &Start, state: &State, wanted: &BTreeSet<String>) {
    let names: Vec<&str> =
        state.bases.keys().filter(|name| wanted.contains(*name)).map(String::as_str).collect();
    if !names.is_empty() {
        start.say(&format!("lab: stand-ins for {}", names.join(", ")));
    }
}

fn show_plan(start: &Start, choice: EngineChoice) -> Result<Exit> {
    let place = Place::new(&start.target);
    let (world, _) = look(start, &place, &wanted_bases(start)?)?;
    let plan = plan(&world, choice, !start.global.no_install)?;
    let engine = if plan.private { "a private engine" } else { "the engine that is there" };
    let mut text = format!("# engine: {engine} ({})\n", plan.engine_reason);
    for step in &plan.steps {
        let _ = writeln!(text, "{} ({})", step.action, step.reason);
    }
    terminal::data(&text);
    Ok(Exit::Done)
}

fn show_status(start: &Start, format: Format) -> Result<Exit> {
    let status = status(start);
    let text = match format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&status)?),
        _ => human(&status),
    };
    terminal::data(&text);
    Ok(Exit::Done)
}

fn status(start: &Start) -> Status {
    let place = Place::new(&start.target);
    let state = place.state();
    let running = world::running(&place, state.as_ref());
    let (host, kind) = match state.as_ref().map(|state| &state.engine) {
        Some(EngineState::Private { host, .. }) => (Some(host.clone()), Some("private")),
        Some(EngineState::Existing { host }) => (host.clone(), Some("existing")),
        None => (None, None),
    };
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

fn human(status: &Status) -> String {
    let state = |running: bool| if running { "up" } else { "down" };
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut text = String::new();
    let mut line = |name: &str, state: &str, detail: &str| {
        let _ = writeln!(text, "{}", format!("{name:<14} {state:<5} {detail}").trim_end());
    };
    let engine = &status.engine;
    let version = engine.version.as_deref().unwrap_or("");
    let kind = engine.kind.unwrap_or("-");
    line("engine", state(engine.running), format!("{kind} {version}").trim_end());
    line("", "", &shown(&engine.host));
    line("registry", state(status.registry.running), &shown(&status.registry.address));
    let servers = &status.servers;
    line("actions cache", state(servers.running), &shown(&servers.actions_cache));
    line("github api", state(servers.running), &shown(&servers.github_api));
    line("control", state(servers.running), &shown(&servers.front_control));
    for base in &status.bases {
        line("stand-in", "", &base.reference);
    }
    text
}

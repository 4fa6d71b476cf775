//! Brings the lab up: looks at the machine, plans, and carries out each step.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::model::dockerfile::Dockerfile;
use crate::model::lab::{EngineChoice, EngineState, LabState, STATE_SCHEMA};
use crate::model::reference::Reference;
use crate::outside::lab::{LabPaths, bases, engine, install, runner_for, servers, world};
use crate::outside::{environment, gather, terminal, tools};
use crate::plan::lab::{Base, FoundEngine, LabAction, LabPlan, Program, World, plan, runs};

use crate::command::Command;

/// Brings the lab up from any state. It announces each step before it starts and saves the state after it: an
/// interrupted `up` continues where it stopped.
pub fn up(command: &Command, choice: EngineChoice) -> Result<LabState> {
    let place = LabPaths::new(&command.target);
    let wanted = wanted_bases(command)?;
    if let Some(state) = ready(command, &place, &wanted, choice)? {
        return Ok(state);
    }
    servers::manifest()?;
    let _lock = place.lock()?;
    let (world, mut state) = look(command, &place, &wanted)?;
    let plan = plan(&world, choice, !command.global.no_install)?;
    settle(command, &place, &plan, &mut state)?;
    for step in &plan.steps {
        command.say(&format!("lab: {} ({})", step.action, step.reason));
        carry_out(command, &place, &mut state, &step.action)?;
        place.save(&state)?;
    }
    tell_stand_ins(&state, &wanted);
    Ok(state)
}

/// The state of a lab that lacks nothing. Nearly every `--lab` command takes this way, so it starts no
/// process.
fn ready(
    command: &Command,
    place: &LabPaths,
    wanted: &BTreeSet<String>,
    choice: EngineChoice,
) -> Result<Option<LabState>> {
    let Some(state) = place.state() else { return Ok(None) };
    if !runs(world::running(place, Some(&state)), state.is_private(), choice) {
        return Ok(None);
    }
    let bases = seen_bases(command, &state, wanted)?;
    if !bases.iter().all(Base::is_there) {
        return Ok(None);
    }
    tell_stand_ins(&state, wanted);
    Ok(Some(state))
}

/// The known facts about each base.
fn seen_bases(command: &Command, state: &LabState, wanted: &BTreeSet<String>) -> Result<Vec<Base>> {
    let one = |name: &String| {
        let reference = Reference::normalized(name)?;
        let known = state.bases.get(name);
        Ok(Base {
            reference: name.clone(),
            pullable: known.is_none() && world::registry_answers(&reference),
            // Without apt the hash of a stand-in is unknown, and no stand-in was made.
            present: known.is_some()
                && bases::wanted(&command.runner, state, &reference)
                    .is_ok_and(|now| known == Some(&now)),
        })
    };
    wanted.iter().map(one).collect()
}

/// The bases that the services here need.
fn wanted_bases(command: &Command) -> Result<BTreeSet<String>> {
    let (config, services) = gather::services_and_config(&command.root, &command.target)?;
    let mut wanted = BTreeSet::new();
    for service in &services {
        let own = config.service(&service.name);
        // The build reports a Dockerfile that cannot be read.
        if let Ok(dockerfile) = Dockerfile::parse(&service.dockerfile) {
            wanted.extend(dockerfile.bases(&own.build_args, own.target.as_deref()));
        }
    }
    Ok(wanted)
}

fn look(
    command: &Command,
    place: &LabPaths,
    wanted: &BTreeSet<String>,
) -> Result<(World, LabState)> {
    let before = place.state();
    let running = world::running(place, before.as_ref());
    let state = match before.clone() {
        Some(state) if running.registry || running.servers || servers::are_free(&state.ports) => {
            state
        }
        Some(state) => LabState { ports: servers::choose_ports()?, ..state },
        None => LabState {
            schema: STATE_SCHEMA,
            engine: EngineState::Existing { host: None },
            ports: servers::choose_ports()?,
            bases: BTreeMap::new(),
        },
    };
    let has = |program: &Program| match program {
        Program::Buildx => world::has_buildx(&command.runner),
        other => tools::find(other.command()).is_some(),
    };
    let root = world::is_root();
    let world = World {
        linux: cfg!(target_os = "linux"),
        root,
        sudo: !root && world::has_sudo(&command.runner),
        distribution: world::distribution(),
        programs: Program::ALL.into_iter().filter(has).collect(),
        engine: world::engine_version(&command.runner).map(|version| FoundEngine { version }),
        running,
        private_before: before.as_ref().map(LabState::is_private),
        bases: seen_bases(command, &state, wanted)?,
    };
    Ok((world, state))
}

/// The facts about this machine that the lab's plan needs.
pub fn seen(command: &Command) -> Result<World> {
    look(command, &LabPaths::new(&command.target), &wanted_bases(command)?).map(|(world, _)| world)
}

/// What `lab up` would do now.
pub fn planned(command: &Command, choice: EngineChoice) -> Result<LabPlan> {
    Ok(plan(&seen(command)?, choice, !command.global.no_install)?)
}

/// The lab as it would be after `up`. It only announces the steps.
pub fn would_be(command: &Command, choice: EngineChoice) -> Result<LabState> {
    let place = LabPaths::new(&command.target);
    let wanted = wanted_bases(command)?;
    if let Some(state) = ready(command, &place, &wanted, choice)? {
        return Ok(state);
    }
    let (world, mut state) = look(command, &place, &wanted)?;
    let plan = plan(&world, choice, !command.global.no_install)?;
    for step in &plan.steps {
        command.say(&format!("lab: would {} ({})", step.action, step.reason));
    }
    if plan.private && !state.is_private() {
        state.engine = engine::to_be(&place);
    }
    for step in &plan.steps {
        if let LabAction::MakeBase { reference } = &step.action {
            let stand_in =
                bases::wanted(&command.runner, &state, &Reference::normalized(reference)?)?;
            state.bases.insert(reference.clone(), stand_in);
        }
    }
    tell_stand_ins(&state, &wanted);
    Ok(state)
}

/// Chooses the engine before anything starts.
fn settle(command: &Command, place: &LabPaths, plan: &LabPlan, state: &mut LabState) -> Result<()> {
    command.say(&format!("lab: {} ({})", plan.engine(), plan.engine_reason));
    if plan.private && !state.is_private() {
        // `ip` may have to be installed before a subnet can be chosen; see `carry_out`.
        state.bases.clear();
        if tools::find("ip").is_some() {
            state.engine = engine::choose(&command.runner, place, &state.engine)?;
        }
    } else if !plan.private {
        let host = environment::text("DOCKER_HOST");
        state.engine = EngineState::Existing { host };
    }
    place.save(state)
}

fn carry_out(
    command: &Command,
    place: &LabPaths,
    state: &mut LabState,
    action: &LabAction,
) -> Result<()> {
    let runner = &command.runner;
    match action {
        LabAction::Install { packages } => install::install(runner, packages),
        LabAction::StartRegistry => servers::start_registry(runner, place, state),
        LabAction::StartServers => servers::start_servers(runner, place, state),
        LabAction::StartEngine => {
            state.engine = engine::choose(runner, place, &state.engine)?;
            place.save(state)?;
            engine::start(runner, place, state)
        }
        LabAction::MakeBase { reference } => {
            let base = Reference::normalized(reference)?;
            let stand_in = bases::wanted(runner, state, &base)?;
            bases::make(&runner_for(runner, state), place, reference, &stand_in)
                .with_context(|| format!("cannot make a stand-in for {reference}"))?;
            state.bases.insert(reference.clone(), stand_in);
            Ok(())
        }
    }
}

/// Names the bases that are stand-ins, even with `--quiet`.
fn tell_stand_ins(state: &LabState, wanted: &BTreeSet<String>) {
    let names: Vec<&str> =
        state.bases.keys().filter(|name| wanted.contains(*name)).map(String::as_str).collect();
    if !names.is_empty() {
        terminal::message(&format!("lab: stand-ins for {}", names.join(", ")));
    }
}

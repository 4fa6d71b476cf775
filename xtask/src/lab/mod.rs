//! The lab as commands use it: entering and leaving it, its engine and its GitHub.

mod up;

use anyhow::{Context, Result};

use crate::command::Command;
use crate::model::facts::LabFacts;
use crate::model::lab::EngineChoice;
use crate::outside::lab::{LabPaths, down, world};

pub use up::{planned, seen, up};

/// Brings the lab up if `--lab` is given. From then on processes use its engine.
pub fn enter(command: &mut Command) -> Result<()> {
    enter_with(command, EngineChoice::Auto)
}

/// The same with an engine of this kind.
pub fn enter_with(command: &mut Command, choice: EngineChoice) -> Result<()> {
    if command.global.lab && command.global.facts.is_none() {
        let lab = bring_up(command, choice)?;
        command.set_lab(lab);
    }
    Ok(())
}

/// Brings up the missing parts of the lab, and returns its facts. A dry run plans with the lab as `up` would
/// make it.
fn bring_up(command: &Command, choice: EngineChoice) -> Result<LabFacts> {
    let enter = if command.global.dry_run { up::would_be } else { up };
    let state = enter(command, choice)?;
    state.facts().context("the lab has no registry")
}

/// Whether anything of the lab runs.
pub fn is_up(command: &Command) -> bool {
    let place = LabPaths::new(&command.target);
    let running = world::running(&place, place.state().as_ref());
    running.registry || running.servers || running.engine
}

/// Restarts the lab's own engine; false outside the lab, or if the lab does not own its engine.
pub fn restart_engine(command: &Command) -> Result<bool> {
    let place = LabPaths::new(&command.target);
    let is_ours = command.global.lab && place.state().is_some_and(|state| state.is_private());
    if is_ours {
        let lock = place.lock()?;
        down::end_engine(&place);
        drop(lock);
        bring_up(command, EngineChoice::Private)?;
    }
    Ok(is_ours)
}

/// Takes the lab down and keeps its data.
pub fn leave(command: &Command) -> Result<()> {
    let place = LabPaths::new(&command.target);
    if !place.folder.is_dir() {
        return Ok(());
    }
    let _lock = place.lock()?;
    down::down(&command.runner, &place)
}

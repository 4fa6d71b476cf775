//! The commands. One file tells the story of one command; what they share is how a command starts.

pub mod build;
pub mod cache;
mod check;
pub mod doctor;
pub mod lab;
pub mod prune;
pub mod push;
pub mod release;
pub mod tools;
pub mod verify;

use anyhow::Result;

use crate::cli::{Cli, Command};
use crate::command::Command as Start;
use crate::model::failure::Exit;

/// Runs what was typed.
pub fn run(cli: Cli) -> Result<Exit> {
    let Cli { global, command } = cli;
    let start = Start::new(global)?;
    match command {
        Command::Build(options) => build::run(start, &options),
        Command::Push(options) => push::run(start, &options),
        Command::Release(options) => release::run(start, &options),
        Command::Verify(options) => verify::run(start, &options),
        Command::Doctor(options) => doctor::run(start, &options),
        Command::Prune(options) => prune::run(start, &options),
        Command::Cache { command } => cache::run(start, &command),
        Command::Lab { command } => lab::run(&start, &command),
        Command::Test(_) => tools::hand_over(&start),
    }
}

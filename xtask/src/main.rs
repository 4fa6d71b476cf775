//! `cargo xtask`.

use std::process::ExitCode;

use anyhow::Result;
use xtask::cli::{Cli, Task};
use xtask::command::Command;
use xtask::model::failure::Exit;
use xtask::task::{build, cache, doctor, lab, prune, push, release, test, verify};

fn main() -> ExitCode {
    xtask::cli::main(run)
}

fn run(cli: Cli) -> Result<Exit> {
    let command = Command::new(cli.global)?;
    match cli.task {
        Task::Build(options) => build::run(command, &options),
        Task::Push(options) => push::run(command, &options),
        Task::Release(options) => release::run(command, &options),
        Task::Verify(options) => verify::run(command, &options),
        Task::Doctor(options) => doctor::run(command, &options),
        Task::Prune(options) => prune::run(command, &options),
        Task::Cache { command: options } => cache::run(command, &options),
        Task::Lab { command: options } => lab::run(&command, &options),
        Task::Test(_) => test::run(&command),
    }
}

//! `cargo xtask test` and `cargo xtask lab bench`. `xtask` parses their options and runs this program, which
//! a build of images does not compile.

mod bench;
mod install;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use xtask::cli::{Cli, Task};
use xtask::command::Command;
use xtask::model::failure::{Exit, Failure};
use xtask::task::lab::Lab;

fn main() -> ExitCode {
    xtask::cli::main(run)
}

fn run(cli: Cli) -> Result<Exit> {
    let command = Command::new(cli.global)?;
    match cli.task {
        Task::Test(options) => test::run(&command, &options),
        Task::Lab { command: Lab::Bench(options) } => bench::run(command, &options),
        _ => {
            let message = "`xtask-tools` has only `test` and `lab bench`";
            Err(Failure::usage(message).hint("cargo xtask --help").into())
        }
    }
}

//! `cargo xtask`: builds, publishes and keeps the container images of a repository.
//!
//! The one idea is gather → plan → apply; `docs/architecture.md` draws the map.

use std::process::ExitCode;

use clap::Parser;

pub mod build;
pub mod cli;
pub mod command;
mod findings;
pub mod lab;
pub mod options;
mod packages;
pub mod publish;
pub mod task;
pub mod tools;

pub use {
    xtask_model as model, xtask_outside as outside, xtask_plan as plan, xtask_report as report,
};

use model::failure::Exit;

/// Parses the command line, does `work`, and turns a failure into its exit code.
pub fn main(work: fn(cli::Cli) -> anyhow::Result<Exit>) -> ExitCode {
    let cli = cli::Cli::parse();
    let done = outside::interrupt::listen().and_then(|()| work(cli));
    let exit = match done {
        Ok(exit) => exit,
        Err(error) => {
            let (exit, text) = report::error::rendered(&error);
            outside::terminal::message(&text);
            exit
        }
    };
    ExitCode::from(exit.code())
}

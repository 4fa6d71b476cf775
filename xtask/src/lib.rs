//! `cargo xtask`: builds, publishes and keeps the container images of a repository.
//!
//! The one idea is gather → plan → apply; `docs/architecture.md` draws the map.

use std::process::ExitCode;

use clap::Parser;

pub mod build;
pub mod cli;
pub mod command;
mod findings;
mod github;
pub mod lab;
pub mod options;
pub mod publish;
pub mod task;
pub mod tools;

pub use {
    xtask_model as model, xtask_outside as outside, xtask_plan as plan, xtask_report as report,
};

use model::failure::Exit;
use outside::registry::RegistryError;

/// Parses the command line, does `work`, and turns a failure into its exit code.
pub fn main(work: fn(cli::Cli) -> anyhow::Result<Exit>) -> ExitCode {
    let cli = cli::Cli::parse();
    let done = outside::interrupt::listen().and_then(|()| work(cli));
    let exit = match done {
        Ok(exit) => exit,
        Err(error) => {
            let (exit, text) = report::error::rendered(&error);
            outside::terminal::message(&text);
            match exit {
                Exit::Failed if may_pass(&error) => Exit::Unfinished,
                exit => exit,
            }
        }
    };
    ExitCode::from(exit.code())
}

/// Whether a registry did not do what it was asked, and may do it another time.
fn may_pass(error: &anyhow::Error) -> bool {
    let of_registry = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<RegistryError>().is_some_and(RegistryError::may_pass)
    };
    error.chain().any(of_registry)
}

//! `cargo xtask`. Parses the command line, runs the task, and turns a failure into its exit code.

use std::process::ExitCode;

use clap::Parser;
use xtask::model::failure::Exit;
use xtask::outside::registry::RegistryError;

fn main() -> ExitCode {
    let cli = xtask::cli::Cli::parse();
    let done = xtask::outside::interrupt::listen().and_then(|()| xtask::task::run(cli));
    let exit = match done {
        Ok(exit) => exit,
        Err(error) => {
            let (exit, text) = xtask::report::error::rendered(&error);
            xtask::outside::terminal::message(&text);
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

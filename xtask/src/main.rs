//! `cargo xtask`. Parses the command line, runs the task, and turns a failure into its exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = xtask::cli::Cli::parse();
    let done = xtask::outside::interrupt::listen().and_then(|()| xtask::task::run(cli));
    let exit = match done {
        Ok(exit) => exit,
        Err(error) => {
            let (exit, text) = xtask::report::error::rendered(&error);
            xtask::outside::terminal::message(&text);
            exit
        }
    };
    ExitCode::from(exit.code())
}

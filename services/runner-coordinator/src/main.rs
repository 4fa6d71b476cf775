//! The runner coordinator of AutoGit: watches over the runners that work for the Git server.
//!
//! `main` turns the command line and the environment into one call, and its result into an exit code: 0 for
//! success, 1 for a failure, 2 for a wrong command line or environment.

mod cli;
mod configuration;
mod engine;
mod probe;
mod service;
mod shutdown;

use std::env;
use std::io::Write as _;
use std::process::ExitCode;

use cli::Command;
use configuration::Configuration;

const EXIT_FAILURE: u8 = 1;
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let command = match cli::parse(arguments) {
        Ok(command) => command,
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    match command {
        Command::Help => say(cli::HELP),
        Command::Version => say(concat!("runner-coordinator ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Serve => with_configuration(service::run),
        Command::Health => with_configuration(|configuration| probe::health(&configuration)),
    }
}

fn with_configuration(run: impl FnOnce(Configuration) -> anyhow::Result<()>) -> ExitCode {
    // Keep a value that is not UTF-8, so that the error shows it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let variable = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    match Configuration::from_environment(variable) {
        Ok(configuration) => match run(configuration) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(EXIT_FAILURE, &error),
        },
        Err(error) => fail(EXIT_USAGE, &error),
    }
}

fn say(text: &str) -> ExitCode {
    // Ignore a closed pipe, as in `… --help | head -1`.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
    ExitCode::from(code)
}

//! The lab's stand-ins on loopback: the parts of GitHub that building, publishing, releasing and pruning use,
//! and a fault-injecting front before a real registry. It is one process, for the lab and tests, never for a
//! network. It is a separate crate, which keeps compiling `xtask` fast.
//!
//! - [`cli`] reads the arguments, [`serve`] starts the servers and waits.
//! - [`actions_cache`]: the Actions cache service, version 2, as BuildKit's daemon speaks it.
//! - [`github`]: the REST API for releases, git references and container packages.
//! - [`proxy`]: the registry front, which counts, breaks, authenticates, and keeps the ledger.
//! - [`ledger`]: the pushed package versions. The front fills it, the API shows it.
//! - [`registry`]: connections to the real registry.
//! - [`tokens`]: the permissions of each token, for the API and the front.
//! - [`watch`]: the traffic log, the fault rules and their control endpoints, the same for every server.
//! - [`http`]: the server itself, down to the sockets.
//! - [`state`], [`clock`], [`sync`]: files, time and locks.
//!
//! Imports: the services use `http` and `watch`, which know each other and no service; `ledger::packages` uses nothing.

mod actions_cache;
mod cli;
mod clock;
mod github;
mod http;
mod ledger;
mod proxy;
mod registry;
mod serve;
mod state;
mod sync;
mod tokens;
mod watch;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;

use actions_cache::token::Access;
use cli::Command;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, only the exit code reports the failure.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match cli::parse(std::env::args_os().skip(1))? {
        Command::Help => write!(io::stdout(), "{}", cli::HELP)?,
        Command::Serve(serve) => serve::run(&serve)?,
        Command::Token { scopes, expires_in } => {
            let now = i64::try_from(clock::seconds())?;
            writeln!(io::stdout(), "{}", Access::new(scopes, now + expires_in).token(now)?)?;
        }
    }
    Ok(())
}

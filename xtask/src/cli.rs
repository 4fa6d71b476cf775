//! The command line: the tasks and the options of all of them.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::model::failure::Exit;
use crate::options::Global;
use crate::outside::{interrupt, terminal};
use crate::report::error;
use crate::task::build::Build;
use crate::task::cache::Cache;
use crate::task::doctor::Doctor;
use crate::task::lab::Lab;
use crate::task::prune::Prune;
use crate::task::push::Push;
use crate::task::release::Release;
use crate::task::test::Test;
use crate::task::verify::Verify;

/// Builds, publishes and keeps the container images of this repository.
#[derive(Debug, Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    max_term_width = 80,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done · 1 failed, or a finding failed · 2 wrong usage or \
                  configuration · 3 refused, to keep something safe · 4 stopped early or could not \
                  look, run it again"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub task: Task,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Build services, and with --test start them
    Build(Build),
    /// Build and publish the dev channel; an unchanged service is only tagged
    Push(Push),
    /// Publish a version under its tags, and create the GitHub release
    Release(Release),
    /// Check published images and repository files
    Verify(Verify),
    /// Explain why a build here would be slow, denied or impossible, and what to do
    Doctor(Doctor),
    /// Plan which old images to delete, and with --apply delete them
    Prune(Prune),
    /// Show the cache tiers, or make the next build cold
    Cache {
        #[command(subcommand)]
        command: Cache,
    },
    /// Start, show or stop the lab
    Lab {
        #[command(subcommand)]
        command: Lab,
    },
    /// Run everything that CI checks
    Test(Test),
}

/// Parses the command line, does `work`, and turns a failure into its exit code.
pub fn main(work: fn(Cli) -> Result<Exit>) -> ExitCode {
    let cli = Cli::parse();
    let done = interrupt::listen().and_then(|()| work(cli));
    let exit = match done {
        Ok(exit) => exit,
        Err(error) => {
            let (exit, text) = error::rendered(&error);
            terminal::message(&text);
            exit
        }
    };
    ExitCode::from(exit.code())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

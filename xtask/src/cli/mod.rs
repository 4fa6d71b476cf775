//! The command line: what can be typed, and nothing of what it does.

mod building;
mod keeping;
mod publishing;
mod testing;

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use building::{Build, Progress};
pub use keeping::{Backend, Cache, Doctor, Prune, PruneCommand, Verify};
pub use publishing::{Publish, Push, Release};
pub use testing::{Bench, Ci, Lab, Test};

/// Builds, publishes and keeps the container images of this repository.
#[derive(Debug, Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    max_term_width = 80,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done · 1 failed · 2 wrong usage or configuration · \
                  3 refused, to keep something safe · 4 stopped early, run again"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct Global {
    /// Show what would be done and why, and change nothing
    #[arg(long, global = true, env = "XTASK_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub dry_run: bool,
    /// Form of the data on stdout; `bake` and `matrix` go with `build`
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Run in the lab: an engine, a registry and stand-ins, all on loopback
    #[arg(long, global = true)]
    pub lab: bool,
    /// Never install a package for the lab; say what is missing instead
    #[arg(long, global = true)]
    pub no_install: bool,
    /// The buildx builder to use
    #[arg(long, global = true, value_name = "NAME")]
    pub builder: Option<String>,
    /// Show each process call before it runs
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Show no progress, only data and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Save what was gathered to a file
    #[arg(long, global = true, value_name = "FILE")]
    pub record_facts: Option<PathBuf>,
    /// Plan from such a file, without looking at the world
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "record_facts")]
    pub facts: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Human,
    Json,
    /// A file for `docker buildx bake --file`
    Bake,
    /// The `matrix` of a GitHub job: the services to build
    Matrix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build services, and with --test also start them
    Build(Build),
    /// Build and publish the dev channel; what did not change is only tagged
    Push(Push),
    /// Publish a version under its tags, and create the GitHub release
    Release(Release),
    /// Say whether what is published, and what is in the repository, is what we think
    Verify(Verify),
    /// Say why a build here would be slow, denied or impossible, and what to type
    Doctor(Doctor),
    /// Delete old images, and never one that is needed; plans unless --apply
    Prune(Prune),
    /// Look at the cache tiers, or make the next build cold
    Cache {
        #[command(subcommand)]
        command: Cache,
    },
    /// Bring up, look at or take down the lab
    Lab {
        #[command(subcommand)]
        command: Lab,
    },
    /// Run what a workflow would run, as its file says
    Ci(Ci),
    /// Check everything that CI checks
    Test(Test),
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

//! The command line: what can be typed, and nothing of what it does.

mod keeping;

use clap::{Parser, Subcommand};

pub use crate::options::{Format, Global};
pub use crate::task::build::Build;
pub use crate::task::cache::Cache;
pub use crate::task::lab::Lab;
pub use crate::task::push::Push;
pub use crate::task::release::Release;
pub use crate::task::tools::{Bench, Part, Test};
pub use keeping::{Backend, Doctor, Prune, PruneCommand, Verify};

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

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build services, and with --test also start them
    Build(Build),
    /// Build and publish the dev channel; what did not change is only tagged
    Push(Push),
    /// Publish a version under its tags, and create the GitHub release
    Release(Release),
    /// Check published images, Dockerfiles and the hit rate of past builds
    Verify(Verify),
    /// Find out why a build here would be slow, denied or impossible
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

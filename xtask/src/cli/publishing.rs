//! What the commands take that publish.

use clap::Args;
use clap::builder::FalseyValueParser;

use super::Progress;
use crate::plan::release::Next;

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
#[derive(Debug, Clone, Args)]
pub struct Push {
    /// Services to publish; all when none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Publish only services whose inputs differ from this revision
    #[arg(long, value_name = "REV")]
    pub changed_since: Option<String>,
    /// Build although nothing changed
    #[arg(long, env = "XTASK_REBUILD", value_parser = FalseyValueParser::new())]
    pub rebuild: bool,
    /// Let a floating tag go back to an older commit
    #[arg(long)]
    pub allow_rollback: bool,
    #[command(flatten)]
    pub publish: Publish,
    /// Say for each service which input changed, and why it is built or not
    #[arg(long)]
    pub explain: bool,
    /// Publish a tree with changes that are not committed, marked as such
    #[arg(long)]
    pub allow_dirty: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Release {
    /// The version; without it that of the git tag that is checked out
    #[arg(value_name = "VERSION")]
    pub version: Option<String>,
    /// The version after the last one
    #[arg(long, value_enum, conflicts_with = "version")]
    pub next: Option<Next>,
    /// Publish the tested `dev-<sha>` image, without a build
    #[arg(long, env = "XTASK_PROMOTE", value_parser = FalseyValueParser::new())]
    pub promote: bool,
    /// Create the git tag, and push it
    #[arg(long)]
    pub create_tag: bool,
    /// Create no GitHub release
    #[arg(long)]
    pub no_github_release: bool,
    #[command(flatten)]
    pub publish: Publish,
}

/// Options of all commands that publish.
#[derive(Debug, Clone, Args)]
pub struct Publish {
    /// Services that are published at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Sign each digest with cosign: with the key that `COSIGN_KEY` names, or else keyless
    #[arg(long)]
    pub sign: bool,
    /// How to show progress
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
}

//! The arguments of `prune`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Clone, Args)]
#[command(subcommand_precedence_over_arg = true)]
pub struct Prune {
    #[command(subcommand)]
    pub command: Option<PruneCommand>,
    /// Services whose packages to prune; all by default
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// List again, plan again and delete; with a plan file, delete only what both plans agree on
    #[arg(long, value_name = "PLAN", num_args = 0..=1)]
    pub apply: Option<Option<PathBuf>>,
    /// Write the plan to a file, for --apply
    #[arg(long, value_name = "FILE", conflicts_with = "apply")]
    pub plan_file: Option<PathBuf>,
    /// Plan for the package in a file, without any registry
    #[arg(long, value_name = "FILE", conflicts_with_all = ["apply", "plan_file"])]
    pub inventory: Option<PathBuf>,
    /// Write the report of --apply to this file as well
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where packages are listed and deleted
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    pub backend: Backend,
    /// Send at most N requests to GitHub's API; requests that restore an image do not count
    #[arg(long, value_name = "N", default_value_t = 900)]
    pub budget: u64,
}

#[derive(Debug, Clone, Subcommand)]
pub enum PruneCommand {
    /// Explain why a version is kept or deleted
    Explain {
        /// For instance `git-server:dev`, or `git-server@` with a digest or its first digits
        #[arg(value_name = "SERVICE:TAG")]
        reference: String,
    },
    /// Restore what a run deleted
    Undo {
        #[arg(value_name = "REPORT")]
        report: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// GitHub for ghcr.io, the registry itself for any other
    Auto,
    /// GitHub's REST API
    Github,
    /// The registry's own API
    Registry,
}

//! Options that several commands share.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct Global {
    /// Show each step and its reason, and change nothing
    #[arg(long, global = true, env = "XTASK_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub dry_run: bool,
    /// Format of the data on stdout; `bake` and `matrix` belong to `build` and `push`
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Run in the lab: an engine, a registry and stand-ins, all on loopback
    #[arg(long, global = true)]
    pub lab: bool,
    /// Install no package for the lab; report what is missing instead
    #[arg(long, global = true)]
    pub no_install: bool,
    /// The buildx builder to use
    #[arg(long, global = true, value_name = "NAME")]
    pub builder: Option<String>,
    /// Show each process before it runs
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Show data and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Save the gathered facts to a file
    #[arg(long, global = true, value_name = "FILE")]
    pub record_facts: Option<PathBuf>,
    /// Plan from a file of saved facts, without reading anything else
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

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A live display on a terminal, plain lines elsewhere
    Auto,
    /// Plain lines
    Plain,
    /// buildx's own display
    Native,
}

/// Options of the commands that publish.
#[derive(Debug, Clone, Args)]
pub struct Publishing {
    /// Publish up to N services at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Sign each digest with cosign: with the key that `COSIGN_KEY` names, or keyless
    #[arg(long)]
    pub sign: bool,
    /// How to show progress
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
}

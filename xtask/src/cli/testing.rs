//! What the commands take that check and measure: `test` and `lab`.

use clap::{Args, Subcommand};

use crate::model::bench::Rate;
use crate::model::lab::EngineChoice;

#[derive(Debug, Clone, Args)]
pub struct Test {
    /// Checks to run; all when none is named, `--dry-run` lists them
    #[arg(value_name = "CHECK")]
    pub checks: Vec<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Lab {
    /// Bring everything up; what is up stays as it is
    Up {
        /// The engine to use
        #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
        engine: EngineChoice,
    },
    /// Take everything down that `up` started
    Down {
        /// Delete the lab's data too: images, caches, stand-in bases
        #[arg(long)]
        purge: bool,
    },
    /// Show what is up and where
    Status,
    /// Measure pushes and releases beside what people type today; writes docs/performance.md
    Bench(Bench),
}

#[derive(Debug, Clone, Args)]
pub struct Bench {
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Put the registry behind a link of this rate, such as 100mbit
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<Rate>,
    /// Leave out how long xtask takes to compile
    #[arg(long)]
    pub no_compile: bool,
}

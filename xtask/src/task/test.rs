//! `cargo xtask test`: everything CI checks. The checks themselves are in `xtask-tools`.

use anyhow::Result;
use clap::Args;

use crate::command::Command;
use crate::model::failure::Exit;
use crate::tools;

#[derive(Debug, Clone, Args)]
pub struct Test {
    /// Checks to run; all by default, `--dry-run` lists them
    #[arg(value_name = "CHECK")]
    pub checks: Vec<String>,
}

pub fn run(command: &Command) -> Result<Exit> {
    tools::hand_over(command)
}

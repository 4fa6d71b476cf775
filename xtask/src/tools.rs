//! `cargo xtask test` and `lab bench`: both run in the crate `xtask-tools`, which a build of images does not
//! compile.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command::Command;
use crate::model::failure::{Exit, Failure};
use crate::model::invocation::Invocation;
use crate::outside::{environment, interrupt};

const PACKAGE: &str = "xtask-tools";

/// The variable that names this program to the tools, which measure it.
pub const OWN_PROGRAM: &str = "XTASK_PROGRAM";

/// Runs the same command line in `xtask-tools` and returns its exit code.
pub fn hand_over(command: &Command) -> Result<Exit> {
    if !is_member(command)? {
        let message = format!("this repository has no crate `{PACKAGE}`");
        let hint = "copy `xtask/lab/tools` from the repository that xtask came from, and add it to \
                    `members` in Cargo.toml";
        return Err(Failure::usage(message).hint(hint).into());
    }
    let words = ["run", "--quiet", "--package", PACKAGE, "--"].map(str::to_owned).into_iter();
    let call = Invocation::new("cargo", words.chain(environment::arguments()))
        .with_variable(OWN_PROGRAM, environment::own_program()?);
    let code = command.runner.delegate(&call)?;
    let exits = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Refused, Exit::Unfinished];
    if let Some(exit) = exits.into_iter().find(|exit| code == Some(i32::from(exit.code()))) {
        return Ok(exit);
    }
    interrupt::check()?;
    Err(Failure::failed(format!("`{PACKAGE}` did not run to its end")).into())
}

/// Whether the tools are a member of this workspace.
fn is_member(command: &Command) -> Result<bool> {
    #[derive(Deserialize)]
    struct CargoMetadata {
        packages: Vec<Member>,
    }
    #[derive(Deserialize)]
    struct Member {
        name: String,
    }
    let call =
        Invocation::new("cargo", ["metadata", "--no-deps", "--offline", "--format-version=1"]);
    let metadata: CargoMetadata = serde_json::from_str(&command.runner.output(&call)?)
        .context("cannot read the answer of `cargo metadata`")?;
    Ok(metadata.packages.iter().any(|package| package.name == PACKAGE))
}

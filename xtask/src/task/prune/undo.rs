//! `cargo xtask prune undo`: restores what a run deleted, which only GitHub can.

use std::path::Path;

use anyhow::Result;

use crate::model::failure::{Exit, Failure};
use crate::outside::github::Change;
use crate::outside::terminal;

use super::pruner::Pruner;
use super::stored;

pub fn run(pruner: &Pruner<'_>, path: &Path) -> Result<Exit> {
    let report = stored::report(path)?;
    if pruner.github.is_none() {
        return Err(Failure::failed("only GitHub can restore deleted versions, for 30 days")
            .hint("push the images again: cargo xtask push")
            .into());
    }
    let mut exit = Exit::Done;
    let mut restored = 0;
    let packages = if pruner.command.global.dry_run { None } else { pruner.packages()? };
    for package in &report.packages {
        // Children are restored before the index that needs them.
        for gone in package.deleted.iter().rev() {
            let Some(id) = gone.id else { continue };
            let outcome = match &packages {
                None => "would be restored".to_owned(),
                Some(packages) => match packages.restore(&package.package, id)? {
                    Change::Done => {
                        restored += 1;
                        "restored".to_owned()
                    }
                    Change::NotFound => "not found: expired, or already restored".to_owned(),
                    Change::Refused(reason) => {
                        exit = Exit::Failed;
                        format!("refused: {reason}")
                    }
                },
            };
            terminal::data(&format!("{} {}: {outcome}\n", package.package, gone.digest.short()));
        }
    }
    if packages.is_some() && restored == 0 {
        return Err(Failure::failed("nothing was restored").into());
    }
    Ok(exit)
}

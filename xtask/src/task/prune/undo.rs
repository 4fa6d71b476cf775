//! `cargo xtask prune undo`: restores what a run deleted, where the registry can.

use std::path::Path;

use anyhow::{Context, Result};

use crate::model::failure::{Exit, Failure};
use crate::model::pruning::Report;
use crate::outside::packages::{Deletion, PACE};
use crate::outside::{clock, files, terminal};

use super::{Pruner, known_schema};

pub fn run(pruner: &Pruner<'_>, path: &Path) -> Result<Exit> {
    let report: Report = serde_json::from_str(&files::read(path)?)
        .with_context(|| format!("`{}` is no report of prune", path.display()))?;
    known_schema(report.schema, path)?;
    if pruner.api.is_none() {
        return Err(Failure::failed("only GitHub restores what was deleted, for 30 days")
            .hint("push the images again: cargo xtask push")
            .into());
    }
    let mut exit = Exit::Done;
    let mut restored = 0;
    let packages = if pruner.start.global.dry_run { None } else { pruner.packages()? };
    for package in &report.packages {
        // Children come back before the index that needs them.
        for gone in package.deleted.iter().rev() {
            let Some(id) = gone.id else { continue };
            let outcome = match &packages {
                None => "would be restored".to_owned(),
                Some(packages) => match packages.restore(&package.package, id)? {
                    Deletion::Done => {
                        restored += 1;
                        "restored".to_owned()
                    }
                    Deletion::NotFound => {
                        "not there to be restored, or restored already".to_owned()
                    }
                    Deletion::Refused(reason) => {
                        exit = Exit::Failed;
                        format!("refused: {reason}")
                    }
                },
            };
            terminal::data(&format!("{} {}: {outcome}\n", package.package, gone.digest.short()));
            if packages.is_some() {
                clock::sleep(PACE)?;
            }
        }
    }
    if packages.is_some() && restored == 0 {
        return Err(Failure::failed("nothing was restored").into());
    }
    Ok(exit)
}

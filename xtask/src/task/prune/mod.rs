//! `cargo xtask prune`: deletes expired versions of packages, never one that is needed. It plans by default;
//! `--apply` lists again, plans again and deletes; `undo` restores.

mod apply;
mod explain;
mod options;
mod planned;
mod pruner;
mod recheck;
mod stored;
mod undo;

use anyhow::Result;

use crate::model::failure::{Exit, Failure};
use crate::outside::gather::GatherOptions;
use crate::plan::selection::select;

use crate::command::Command;
use crate::lab;
pub use options::Prune;
use options::PruneCommand;
use pruner::Pruner;

pub fn run(mut command: Command, options: &Prune) -> Result<Exit> {
    let format = command.human_or_json()?;
    if let Some(path) = &options.inventory {
        return planned::of_file(path, format);
    }
    let changes =
        options.apply.is_some() || matches!(options.command, Some(PruneCommand::Undo { .. }));
    if changes && command.global.facts.is_some() {
        let message = "`--facts` plans from a file, so nothing can be deleted or restored";
        return Err(Failure::usage(message).hint("cargo xtask prune --facts FILE").into());
    }
    lab::enter(&mut command)?;
    let facts = command.facts(&GatherOptions::default())?;
    let pruner = Pruner::new(&command, &facts, options)?;
    match &options.command {
        Some(PruneCommand::Explain { reference }) => {
            return explain::run(&pruner, reference, format);
        }
        Some(PruneCommand::Undo { report }) => return undo::run(&pruner, report),
        None => {}
    }
    let services = select(&facts, &options.services)?.chosen;
    let services: Vec<_> = services.iter().map(|(service, _)| service.name.clone()).collect();
    let agreed = options.apply.as_ref().and_then(|path| path.as_deref());
    let agreed = agreed.map(|path| stored::agreed(path, &facts)).transpose()?;
    if options.apply.is_some() && !command.global.dry_run {
        apply::run(&pruner, &services, agreed, format)
    } else {
        planned::run(&pruner, &services, agreed.as_ref(), format)
    }
}

//! `cargo xtask prune` without `--apply`: plans, and shows the plans.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};

use crate::model::failure::Exit;
use crate::model::inventory::Inventory;
use crate::model::pruning::{Agreed, SCHEMA};
use crate::model::reference::Digest;
use crate::model::service::ServiceName;
use crate::options::Format;
use crate::outside::{files, job_outputs, terminal};
use crate::plan::retention::{RetentionPlan, plan};
use crate::report::{self, WIDTH};

use super::pruner::{Pruner, absent, nothing_found};

/// One package and its plan.
struct Planned {
    name: String,
    inventory: Inventory,
    plan: RetentionPlan,
}

pub fn run(
    pruner: &Pruner<'_>,
    services: &[ServiceName],
    agreed: Option<&BTreeSet<Digest>>,
    format: Format,
) -> Result<Exit> {
    let packages = pruner.packages()?;
    let mut plans = Vec::new();
    for service in services {
        let Some(inventory) = pruner.inventory(packages.as_ref(), service)? else {
            pruner.command.say(&absent(service));
            continue;
        };
        let mut plan = plan(&inventory);
        if let Some(agreed) = agreed {
            plan = plan.agreed(&inventory, agreed);
        }
        pruner.forecast(packages.as_ref(), service, &inventory, &plan);
        plans.push(Planned { name: service.to_string(), inventory, plan });
    }
    if plans.is_empty() {
        return Err(nothing_found(services));
    }
    if let Some(path) = &pruner.options.plan_file {
        let delete = plans.iter().flat_map(|one| one.plan.delete.clone()).collect();
        let agreed = Agreed { schema: SCHEMA, delete };
        files::write_atomically(path, &serde_json::to_vec_pretty(&agreed)?)?;
    }
    show(&plans, services.len() == 1, format)
}

/// Plans for a package in a file, without any registry.
pub fn of_file(path: &Path, format: Format) -> Result<Exit> {
    let inventory: Inventory = serde_json::from_str(&files::read(path)?)
        .with_context(|| format!("cannot read as an inventory: `{}`", path.display()))?;
    let plan = plan(&inventory);
    show(&[Planned { name: "inventory".to_owned(), inventory, plan }], true, format)
}

/// Shows plans; with `alone`, one package was asked for, and JSON is its plan alone.
fn show(plans: &[Planned], alone: bool, format: Format) -> Result<Exit> {
    let width = terminal::width().unwrap_or(WIDTH);
    terminal::data(&match (format, plans) {
        (Format::Json, [Planned { plan, .. }]) if alone => {
            format!("{}\n", serde_json::to_string_pretty(plan)?)
        }
        (Format::Json, plans) => {
            let all: BTreeMap<_, _> = plans.iter().map(|one| (&one.name, &one.plan)).collect();
            format!("{}\n", serde_json::to_string_pretty(&all)?)
        }
        (_, plans) => {
            let text = |one: &Planned| {
                report::retention::text(&one.name, &one.inventory, &one.plan, width)
            };
            plans.iter().map(text).collect::<Vec<_>>().join("\n")
        }
    });
    for Planned { name, inventory, plan } in plans {
        job_outputs::summary(&report::retention::page(name, inventory, plan))?;
    }
    let refused = plans.iter().any(|one| one.plan.refuse.is_some());
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

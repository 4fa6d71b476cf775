//! The files of `prune`: agreed plans and reports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::command::Command;
use crate::model::facts::Facts;
use crate::model::failure::Failure;
use crate::model::pruning::{Agreed, Report, SCHEMA};
use crate::model::reference::Digest;
use crate::outside::{files, records};

/// The deletions of a plan that `--plan-file` wrote.
pub fn agreed(path: &Path, facts: &Facts) -> Result<BTreeSet<Digest>> {
    let name = path.to_string_lossy();
    if !path.exists() && facts.services.iter().any(|service| service.name.as_str() == name) {
        let message = format!("`{name}` is a service, but `--apply` expects a plan file");
        let hint = format!("cargo xtask prune {name} --apply");
        return Err(Failure::usage(message).hint(hint).into());
    }
    let agreed: Agreed = read(path, "plan")?;
    known_schema(agreed.schema, path)?;
    Ok(agreed.delete.into_iter().collect())
}

pub fn report(path: &Path) -> Result<Report> {
    let report: Report = read(path, "report")?;
    known_schema(report.schema, path)?;
    Ok(report)
}

/// The readable reports of earlier runs, and the one of `--report`.
pub fn earlier(command: &Command, given: Option<&PathBuf>) -> Vec<Report> {
    let paths = records::newest_first(&reports(command)).into_iter().chain(given.cloned());
    paths.filter_map(|path| read(&path, "report").ok()).collect()
}

/// The folder of all reports.
pub fn reports(command: &Command) -> PathBuf {
    command.target.join("xtask").join("prune")
}

fn read<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    serde_json::from_str(&files::read(path)?)
        .with_context(|| format!("cannot read as a {what} of prune: `{}`", path.display()))
}

fn known_schema(schema: u32, path: &Path) -> Result<()> {
    if schema == SCHEMA {
        return Ok(());
    }
    let path = path.display();
    let message = format!("`{path}` has the schema {schema}; expected {SCHEMA}");
    Err(Failure::failed(message).hint("use the xtask that wrote it").into())
}

//! `cargo xtask prune --apply`: lists again, plans again, deletes one version after the other, and looks
//! at what is left. The report is on the disk before the first deletion and after each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};

use crate::cli::Format;
use crate::model::failure::{Exit, Failure, Interrupted};
use crate::model::inventory::{Inventory, Version};
use crate::model::pruning::{Agreed, PackageReport, Refused, Report};
use crate::model::reference::Digest;
use crate::model::service::ServiceName;
use crate::outside::packages::{Deletion, PACE, Packages};
use crate::outside::registry::{Client, RegistryError};
use crate::outside::{clock, files, github, terminal};
use crate::plan::retention::agenda::Agenda;
use crate::plan::retention::plan;
use crate::plan::retention::reclaim::Blobs;
use crate::report::{self, WIDTH};

use super::{Pruner, meanwhile, reports};

pub fn run(
    pruner: &Pruner<'_>,
    services: &[ServiceName],
    agreed: Option<&Path>,
    format: Format,
) -> Result<Exit> {
    let agreed = agreed.map(read_agreed).transpose()?;
    let started = clock::now();
    let path = report_path(pruner, started);
    let mut run = Run {
        pruner,
        packages: None,
        agreed,
        path,
        report: Report::new(started),
        refused: false,
        last: None,
    };
    // What cannot be reported is not done.
    run.save()?;
    run.packages = pruner.packages()?;
    let stopped = services.iter().try_for_each(|service| run.package(service)).err();
    run.report.finished = stopped.is_none();
    run.report.requests =
        run.packages.as_ref().map_or(0, Packages::requests) + pruner.client.requests();
    run.save()?;
    run.tell(format)?;
    match stopped {
        Some(error) => Err(error),
        None if run.report.has_refusals() => Ok(Exit::Failed),
        None if run.refused => Ok(Exit::Refused),
        None => Ok(Exit::Done),
    }
}

fn read_agreed(path: &Path) -> Result<BTreeSet<Digest>> {
    let agreed: Agreed = serde_json::from_str(&files::read(path)?)
        .with_context(|| format!("`{}` is no plan of prune", path.display()))?;
    Ok(agreed.delete.into_iter().collect())
}

fn report_path(pruner: &Pruner<'_>, started: u64) -> PathBuf {
    let own = || reports(pruner.start).join(format!("{started}-{}.json", std::process::id()));
    pruner.options.report.clone().unwrap_or_else(own)
}

/// One run over some packages.
struct Run<'r> {
    pruner: &'r Pruner<'r>,
    packages: Option<Packages<'r>>,
    agreed: Option<BTreeSet<Digest>>,
    path: PathBuf,
    report: Report,
    /// Whether a package was refused as a whole.
    refused: bool,
    /// When something was deleted last.
    last: Option<Instant>,
}

impl Run<'_> {
    /// Prunes the package of one service.
    fn package(&mut self, service: &ServiceName) -> Result<()> {
        let inventory = self.pruner.inventory(self.packages.as_ref(), service)?;
        let plan = plan(&inventory);
        if let Some(detail) = &plan.refuse_detail {
            self.pruner.start.say(&format!("{service}: nothing is deleted: {detail}"));
            self.refused = true;
            return Ok(());
        }
        let agreed = self.agreed.take();
        let agenda = Agenda::new(&inventory, &plan, agreed.as_ref());
        self.forecast(service, agenda.going().count());
        let repository = self.pruner.repository(service)?;
        let name = Pruner::package(&repository);
        let mut report = PackageReport::new(repository, name, agenda.going());
        let at = self.report.packages.len();
        self.report.packages.push(report.clone());
        let deleted = self.delete(at, agenda, &inventory, &mut report);
        // However the deletions ended: what is gone may be needed.
        let (client, packages) = (&self.pruner.client, self.packages.as_ref());
        let mended = meanwhile::mend(client, packages, &mut report, &inventory);
        self.agreed = agreed;
        self.keep(at, &report)?;
        deleted.and(mended)
    }

    /// How long it will take, before it begins.
    fn forecast(&self, service: &ServiceName, count: usize) {
        let pace = if self.packages.is_some() { PACE } else { Duration::ZERO };
        let time = pace * u32::try_from(count).unwrap_or(u32::MAX);
        let time = report::quantity::seconds(time.as_secs_f64());
        self.pruner.start.say(&format!(
            "{service}: {count} deletions, about {} requests, at least {time}",
            count * 2
        ));
    }

    /// Deletes in order; what is below a refusal is left alone. The report is saved after each.
    fn delete<'i>(
        &mut self,
        at: usize,
        mut agenda: Agenda<'i>,
        inventory: &'i Inventory,
        report: &mut PackageReport,
    ) -> Result<()> {
        let mut blobs = Blobs::new(inventory);
        let mut stopped: Option<(Digest, Error)> = None;
        while let Some(version) = agenda.advance() {
            let digest = version.digest.clone();
            match self.one(inventory, report, version) {
                Ok(Ok(())) => report.gone(version, blobs.gone(version)),
                Ok(Err(reason)) => {
                    agenda.leave_alone(&digest);
                    report.refused.push(Refused { digest, reason });
                }
                Err(error) => {
                    stopped = Some((digest, error));
                    break;
                }
            }
            self.keep(at, report)?;
        }
        report.left_over = agenda.left_over(stopped.as_ref().map(|(digest, _)| digest));
        self.keep(at, report)?;
        stopped.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Deletes one version, unless its tags have moved since it was listed.
    fn one(
        &mut self,
        inventory: &Inventory,
        report: &PackageReport,
        version: &Version,
    ) -> Result<std::result::Result<(), String>> {
        let (client, packages) = (&self.pruner.client, self.packages.as_ref());
        if let Some(reason) = meanwhile::changed(client, packages, report, inventory, version)? {
            return Ok(Err(reason));
        }
        let Some(packages) = packages else {
            return at_registry(client, report, version);
        };
        if let Some(last) = self.last {
            clock::sleep(PACE.saturating_sub(last.elapsed()))?;
        }
        let id = version.id.context("the version has no number")?;
        let outcome = packages.delete(&report.package, id)?;
        self.last = Some(Instant::now());
        Ok(match outcome {
            Deletion::Done => Ok(()),
            Deletion::NotFound => {
                Err("not found: it is gone, or the token is no admin of the package".to_owned())
            }
            Deletion::Refused(reason) => Err(reason),
        })
    }

    /// Notes how far the package at `at` is.
    fn keep(&mut self, at: usize, report: &PackageReport) -> Result<()> {
        if let Some(kept) = self.report.packages.get_mut(at) {
            kept.clone_from(report);
        }
        self.save()
    }

    fn save(&self) -> Result<()> {
        files::write_atomically(&self.path, &serde_json::to_vec_pretty(&self.report)?)
    }

    fn tell(&self, format: Format) -> Result<()> {
        if format == Format::Json {
            terminal::data(&format!("{}\n", serde_json::to_string_pretty(&self.report)?));
            return Ok(());
        }
        let table = report::retention::outcome(&self.report);
        terminal::data(&table.text(terminal::width().unwrap_or(WIDTH)));
        github::summary(&table.markdown())?;
        let say = |text: String| self.pruner.start.say(&text);
        for refused in self.report.packages.iter().flat_map(|package| &package.refused) {
            say(format!("{} stays: {}", refused.digest.short(), refused.reason));
        }
        let path = self.path.display();
        say(format!("report: {path}; undo: cargo xtask prune undo {path}"));
        Ok(())
    }
}

/// Deletes one version by digest, at a registry that is not GitHub's.
fn at_registry(
    client: &Client,
    report: &PackageReport,
    version: &Version,
) -> Result<std::result::Result<(), String>> {
    match client.delete_manifest(&report.repository.at(version.digest.clone())) {
        Ok(()) | Err(RegistryError::NotFound) => Ok(Ok(())),
        Err(RegistryError::Interrupted) => Err(Interrupted.into()),
        Err(RegistryError::Refused { status: 405, .. }) => {
            Err(Failure::failed("the registry does not allow deletions")
                .hint("set `storage.delete.enabled: true` in its configuration")
                .into())
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}

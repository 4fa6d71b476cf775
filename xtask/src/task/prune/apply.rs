//! `cargo xtask prune --apply`: lists again, plans again, deletes one version after the other, and checks
//! what is left. The report is written before the first deletion and after each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};

use crate::model::failure::{Exit, Failure};
use crate::model::inventory::{Inventory, PackageVersion};
use crate::model::pruning::{PackageReport, Refused, Report, Stays};
use crate::model::reference::Digest;
use crate::model::remote::RemoteError;
use crate::model::service::ServiceName;
use crate::options::Format;
use crate::outside::gather::client;
use crate::outside::github::{Change, Packages};
use crate::outside::registry::Client;
use crate::outside::retry::retry;
use crate::outside::{clock, files, job_outputs, terminal};
use crate::plan::retention::agenda::Agenda;
use crate::plan::retention::reclaim::{Blobs, reclaimable};
use crate::plan::retention::{RetentionPlan, Verdict, plan};
use crate::report::{self, WIDTH};

use super::pruner::{Pruner, absent, nothing_found};
use super::{recheck, stored};
use crate::packages;

/// The least time between two writings of the report.
const SAVING: Duration = Duration::from_millis(500);

pub fn run(
    pruner: &Pruner<'_>,
    services: &[ServiceName],
    agreed: Option<BTreeSet<Digest>>,
    format: Format,
) -> Result<Exit> {
    let started = clock::now();
    let name = format!("{started}-{}.json", std::process::id());
    let own = stored::reports(pruner.command).join(name);
    let mut run = PruneRun {
        pruner,
        packages: None,
        agreed,
        places: std::iter::once(own).chain(pruner.options.report.clone()).collect(),
        report: Report::new(started),
        saved: Instant::now(),
        checked: 0,
        refused: false,
    };
    // Without a report nothing is deleted.
    run.save()?;
    let stopped = run.all(services).err();
    run.report.finished = stopped.is_none();
    run.save()?;
    run.show(format)?;
    match stopped {
        Some(error) => Err(error),
        None if run.report.has_refusals() => Ok(Exit::Failed),
        None if run.refused => Ok(Exit::Refused),
        None => Ok(Exit::Done),
    }
}

/// One run over some packages.
struct PruneRun<'r> {
    pruner: &'r Pruner<'r>,
    packages: Option<Packages<'r>>,
    agreed: Option<BTreeSet<Digest>>,
    /// Where the report is written: beside those of all runs, and where `--report` says.
    places: Vec<PathBuf>,
    report: Report,
    saved: Instant,
    /// Requests of the checks after the deletions.
    checked: u64,
    /// Whether a plan refused a whole package.
    refused: bool,
}

/// How the deletion of one version ended.
enum Deletion {
    Done,
    /// The version stays, for this reason.
    Refused(String),
}

impl PruneRun<'_> {
    /// Prunes one package after the other.
    fn all(&mut self, services: &[ServiceName]) -> Result<()> {
        self.packages = self.pruner.packages()?;
        let mut found = 0;
        for service in services {
            if let Some(inventory) = self.pruner.inventory(self.packages.as_ref(), service)? {
                found += 1;
                self.package(service, &inventory)?;
            } else {
                self.pruner.command.say(&absent(service));
                self.untouched(service, absent(service))?;
            }
        }
        if found == 0 { Err(nothing_found(services)) } else { Ok(()) }
    }

    /// Reports a package of which nothing is deleted.
    fn untouched(&mut self, service: &ServiceName, reason: String) -> Result<()> {
        let mut report = self.new_report(service)?;
        report.refuse = Some(reason);
        self.report.packages.push(report);
        self.save()
    }

    fn new_report(&self, service: &ServiceName) -> Result<PackageReport> {
        let repository = self.pruner.repository(service)?;
        let name = packages::package_name(&repository);
        Ok(PackageReport::new(repository, name))
    }

    /// Prunes the package of one service.
    fn package(&mut self, service: &ServiceName, inventory: &Inventory) -> Result<()> {
        let plan = plan(inventory);
        if let Some(detail) = &plan.refuse_detail {
            self.pruner.command.say(&format!("{service}: nothing is deleted: {detail}"));
            self.refused = true;
            return self.untouched(service, detail.clone());
        }
        let agreed = self.agreed.take();
        let agenda = Agenda::new(inventory, &plan, agreed.as_ref());
        let shown = match &agreed {
            Some(agreed) => plan.clone().agreed(inventory, agreed),
            None => plan.clone(),
        };
        self.pruner.forecast(self.packages.as_ref(), service, inventory, &shown);
        let mut report = self.new_report(service)?;
        report.kept = stays(&shown);
        report.reclaimable = reclaimable(inventory, &shown.delete);
        report.unlisted = unlisted(agenda.planned());
        let at = self.report.packages.len();
        self.report.packages.push(report.clone());
        self.save()?;
        let deleted = self.delete(at, agenda, inventory, &mut report);
        // However the deletions ended, a tag may need what is gone.
        let checked = self.check(&mut report, inventory);
        self.agreed = agreed;
        self.keep(at, &report)?;
        self.save()?;
        if let (Err(stopped), Err(_)) = (&deleted, &checked) {
            terminal::message(&report::error::rendered(stopped).1);
        }
        checked.and(deleted)
    }

    /// Checks what is left, and restores what it needs of what is gone.
    fn check(&mut self, report: &mut PackageReport, inventory: &Inventory) -> Result<()> {
        // A new client: what was read before the deletions may be gone.
        let after = client(self.pruner.facts);
        let packages = self.packages.as_ref();
        let sides = recheck::Sides { before: &self.pruner.client, after: &after, packages };
        let restored = recheck::restore_needed(&sides, report, inventory);
        self.checked += after.requests();
        for missing in &report.missing {
            let (package, tag, digest) = (&report.package, &missing.tag, missing.digest.short());
            self.pruner
                .command
                .say(&format!("{package}: `{tag}` needs {digest}, which is missing"));
        }
        restored
    }

    /// Deletes in order; everything that a refused version needs stays. The report is saved on the way.
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
                Ok(Deletion::Done) => report.gone(version, blobs.gone(version)),
                Ok(Deletion::Refused(reason)) => {
                    agenda.leave_alone(&digest);
                    report.refused.push(Refused { digest, reason });
                }
                Err(error) => {
                    stopped = Some((digest, error));
                    break;
                }
            }
            if self.saved.elapsed() >= SAVING {
                self.keep(at, report)?;
                self.save()?;
            }
        }
        report.left_over = agenda.left_over(stopped.as_ref().map(|(digest, _)| digest));
        self.keep(at, report)?;
        self.save()?;
        stopped.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Deletes one version, unless its tags have changed since it was listed.
    fn one(
        &self,
        inventory: &Inventory,
        report: &PackageReport,
        version: &PackageVersion,
    ) -> Result<Deletion> {
        let (client, packages) = (&self.pruner.client, self.packages.as_ref());
        if let Some(reason) = recheck::changed(client, packages, report, inventory, version)? {
            return Ok(Deletion::Refused(reason));
        }
        let Some(packages) = packages else {
            return at_registry(client, report, version);
        };
        let id = version.id.context("the version has no number")?;
        Ok(match packages.delete(&report.package, id)? {
            Change::Done => Deletion::Done,
            Change::NotFound => Deletion::Refused(
                "not found: it is gone, or the token has no admin rights to the package".to_owned(),
            ),
            Change::Refused(reason) => Deletion::Refused(reason),
        })
    }

    /// Copies the state of the package at `at` into the report.
    fn keep(&mut self, at: usize, report: &PackageReport) -> Result<()> {
        let kept = self.report.packages.get_mut(at).context("the package has no report")?;
        kept.clone_from(report);
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        self.report.requests = self.pruner.client.requests() + self.checked;
        let text = serde_json::to_vec_pretty(&self.report)?;
        self.places.iter().try_for_each(|path| files::write_atomically(path, &text))?;
        self.saved = Instant::now();
        Ok(())
    }

    fn show(&self, format: Format) -> Result<()> {
        let can_undo = self.packages.is_some();
        job_outputs::summary(&report::retention::summary(&self.report, can_undo)?)?;
        if format == Format::Json {
            terminal::data(&format!("{}\n", serde_json::to_string_pretty(&self.report)?));
            return Ok(());
        }
        let table = report::retention::outcome(&self.report);
        terminal::data(&table.text(terminal::width().unwrap_or(WIDTH)));
        let say = |text: String| self.pruner.command.say(&text);
        for refused in self.report.packages.iter().flat_map(|package| &package.refused) {
            say(format!("{} stays: {}", refused.digest.short(), refused.reason));
        }
        if let Some(path) = self.places.last() {
            let path = path.display();
            let undo = format!("; undo: cargo xtask prune undo {path}");
            let gone = self.report.packages.iter().any(|package| !package.deleted.is_empty());
            let undo = if can_undo && gone { &*undo } else { "" };
            say(format!("report: {path}{undo}"));
        }
        Ok(())
    }
}

/// The planned deletions without a tag, also those that this run may not delete yet.
fn unlisted<'i>(
    planned: impl Iterator<Item = &'i PackageVersion>,
) -> BTreeMap<Digest, Option<f64>> {
    let untagged = planned.filter(|version| version.tags.is_empty());
    untagged.map(|version| (version.digest.clone(), version.created)).collect()
}

/// The versions that stay, for the report.
fn stays(plan: &RetentionPlan) -> Vec<Stays> {
    let kept = plan.verdicts.iter().filter(|verdict| verdict.keep).cloned();
    kept.map(|Verdict { digest, tags, reason, .. }| Stays { digest, tags, reason }).collect()
}

/// Deletes one version by digest, at any registry but GitHub's.
fn at_registry(
    client: &Client,
    report: &PackageReport,
    version: &PackageVersion,
) -> Result<Deletion> {
    let reference = report.repository.at(version.digest.clone());
    match retry(|| client.delete_manifest(&reference)) {
        Ok(()) | Err(RemoteError::NotFound) => Ok(Deletion::Done),
        Err(error) if error.exit() == Exit::Unfinished => Err(error.into()),
        Err(RemoteError::Refused { status: 405, .. }) => {
            Err(Failure::failed("the registry does not allow deletions")
                .hint("set `storage.delete.enabled: true` in its configuration")
                .into())
        }
        Err(error) => Ok(Deletion::Refused(error.to_string())),
    }
}

//! `cargo xtask prune --apply`: lists again, plans again, deletes one version after the other, and looks
//! at what is left. The report is on the disk before the first deletion and after each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};

use crate::cli::Format;
use crate::model::failure::{Exit, Failure, Interrupted};
use crate::model::inventory::{Inventory, Version};
use crate::model::pruning::{PackageReport, Refused, Report, Stays};
use crate::model::reference::Digest;
use crate::model::service::ServiceName;
use crate::outside::packages::{Deletion, PACE, Packages};
use crate::outside::registry::{Client, RegistryError};
use crate::outside::{clock, files, github, terminal};
use crate::plan::retention::agenda::Agenda;
use crate::plan::retention::reclaim::{Blobs, reclaimable};
use crate::plan::retention::{RetentionPlan, Verdict, plan};
use crate::report::{self, WIDTH};

use super::{Pruner, absent, meanwhile, nothing_there, reports};
use crate::outside::gather::client;

/// How often the report is written at most while versions go. GitHub's go more slowly.
const SAVING: Duration = Duration::from_millis(500);

pub fn run(
    pruner: &Pruner<'_>,
    services: &[ServiceName],
    agreed: Option<BTreeSet<Digest>>,
    format: Format,
) -> Result<Exit> {
    let started = clock::now();
    let name = format!("{started}-{}.json", std::process::id());
    let own = reports(pruner.start).join(name);
    let mut run = Run {
        pruner,
        packages: None,
        agreed,
        places: std::iter::once(own).chain(pruner.options.report.clone()).collect(),
        report: Report::new(started),
        saved: Instant::now(),
        checked: 0,
        refused: false,
        last: None,
    };
    // What cannot be reported is not done.
    run.save()?;
    let stopped = run.all(services).err();
    run.report.finished = stopped.is_none();
    run.save()?;
    run.tell(format)?;
    match stopped {
        Some(error) => Err(error),
        None if run.report.has_refusals() => Ok(Exit::Failed),
        None if run.refused => Ok(Exit::Refused),
        None => Ok(Exit::Done),
    }
}

/// One run over some packages.
struct Run<'r> {
    pruner: &'r Pruner<'r>,
    packages: Option<Packages<'r>>,
    agreed: Option<BTreeSet<Digest>>,
    /// Where the report goes: among those of all runs, and where it is wanted.
    places: Vec<PathBuf>,
    report: Report,
    saved: Instant,
    /// Requests of the looks at what is left.
    checked: u64,
    /// Whether a package was refused as a whole.
    refused: bool,
    /// When something was deleted last.
    last: Option<Instant>,
}

impl Run<'_> {
    /// Prunes one package after the other.
    fn all(&mut self, services: &[ServiceName]) -> Result<()> {
        self.packages = self.pruner.packages()?;
        let mut there = 0;
        for service in services {
            if let Some(inventory) = self.pruner.inventory(self.packages.as_ref(), service)? {
                there += 1;
                self.package(service, &inventory)?;
            } else {
                self.pruner.start.say(&absent(service));
                self.untouched(service, absent(service))?;
            }
        }
        if there == 0 { Err(nothing_there(services)) } else { Ok(()) }
    }

    /// Notes a package of which nothing is deleted.
    fn untouched(&mut self, service: &ServiceName, reason: String) -> Result<()> {
        let mut report = self.new_report(service)?;
        report.refuse = Some(reason);
        self.report.packages.push(report);
        self.save()
    }

    fn new_report(&self, service: &ServiceName) -> Result<PackageReport> {
        let repository = self.pruner.repository(service)?;
        let name = Pruner::package(&repository);
        Ok(PackageReport::new(repository, name))
    }

    /// Prunes the package of one service.
    fn package(&mut self, service: &ServiceName, inventory: &Inventory) -> Result<()> {
        let plan = plan(inventory);
        if let Some(detail) = &plan.refuse_detail {
            self.pruner.start.say(&format!("{service}: nothing is deleted: {detail}"));
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
        // However the deletions ended: what is gone may be needed.
        let mended = self.mend(&mut report, inventory);
        self.agreed = agreed;
        self.keep(at, &report)?;
        self.save()?;
        if let (Err(stopped), Err(_)) = (&deleted, &mended) {
            terminal::message(&report::error::rendered(stopped).1);
        }
        mended.and(deleted)
    }

    /// Looks at what is left, and brings back what is needed of what is gone.
    fn mend(&mut self, report: &mut PackageReport, inventory: &Inventory) -> Result<()> {
        // What was read before the deletions says nothing about what is there after them.
        let after = client(self.pruner.facts);
        let sides = meanwhile::Sides {
            before: &self.pruner.client,
            after: &after,
            packages: self.packages.as_ref(),
        };
        let mended = meanwhile::mend(&sides, report, inventory);
        self.checked += after.requests();
        for missing in &report.missing {
            let (tag, digest) = (&missing.tag, missing.digest.short());
            let package = &report.package;
            self.pruner
                .start
                .say(&format!("{package}: `{tag}` leads to {digest}, which is not there"));
        }
        mended
    }

    /// Deletes in order; what is below a refusal is left alone. The report is saved on the way.
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

    fn tell(&self, format: Format) -> Result<()> {
        let can_undo = self.packages.is_some();
        github::summary(&report::retention::summary(&self.report, can_undo)?)?;
        if format == Format::Json {
            terminal::data(&format!("{}\n", serde_json::to_string_pretty(&self.report)?));
            return Ok(());
        }
        let table = report::retention::outcome(&self.report);
        terminal::data(&table.text(terminal::width().unwrap_or(WIDTH)));
        let say = |text: String| self.pruner.start.say(&text);
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

/// What is to go and has no tag, also what this run may not delete yet.
fn unlisted<'i>(planned: impl Iterator<Item = &'i Version>) -> BTreeMap<Digest, Option<f64>> {
    let untagged = planned.filter(|version| version.tags.is_empty());
    untagged.map(|version| (version.digest.clone(), version.created)).collect()
}

/// What stays, for the report.
fn stays(plan: &RetentionPlan) -> Vec<Stays> {
    let kept = plan.verdicts.iter().filter(|verdict| verdict.keep).cloned();
    kept.map(|Verdict { digest, tags, reason, .. }| Stays { digest, tags, reason }).collect()
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

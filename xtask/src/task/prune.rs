//! `cargo xtask prune`: deletes what is old, never what is needed. It plans by default; `--apply` lists
//! again, plans again, and deletes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cli::{self, Backend, Format, PruneCommand};
use crate::model::facts::Facts;
use crate::model::failure::{Exit, Failure, Interrupted};
use crate::model::inventory::{Inventory, Version};
use crate::model::reference::{Digest, Reference, Tag};
use crate::model::service::ServiceName;
use crate::outside::gather::Wanted;
use crate::outside::packages::{Deletion, OutOfBudget, PACE, Packages};
use crate::outside::registry::{Client, Options, RegistryError};
use crate::outside::releases::GitHubApi;
use crate::outside::{clock, files, github, inventory, published, records, terminal};
use crate::plan::retention::{RetentionPlan, below, plan};
use crate::plan::selection::select;
use crate::report::{self, WIDTH};

use super::Start;
use super::publish::again;

/// What a run did, as its report keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub schema: u32,
    /// Seconds since 1970.
    pub started: u64,
    pub finished: bool,
    pub packages: Vec<PackageReport>,
    pub requests: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackageReport {
    pub repository: Reference,
    pub package: String,
    pub deleted: Vec<Gone>,
    pub refused: Vec<Refused>,
    /// What was to go and did not: the budget ended, or it is needed by what was refused.
    pub left_over: Vec<Digest>,
    /// What still has to go and no tag leads to, with the times it was made: a registry that lists tags
    /// only does not know of it once its index is gone, and the next run learns of it here.
    #[serde(default)]
    pub unlisted: BTreeMap<Digest, Option<f64>>,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    pub digest: Digest,
    pub id: Option<u64>,
    pub tags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub digest: Digest,
    pub reason: String,
}

pub fn run(mut start: Start, options: &cli::Prune) -> Result<Exit> {
    let format = start.human_or_json()?;
    if let Some(path) = &options.inventory {
        let inventory: Inventory = serde_json::from_str(&files::read(path)?)
            .with_context(|| format!("`{}` is no inventory", path.display()))?;
        return show(&[("inventory".to_owned(), inventory)], format);
    }
    start.enter_lab()?;
    let facts = start.facts(&Wanted::default())?;
    let pruner = Pruner::new(&start, &facts, options)?;
    match &options.command {
        Some(PruneCommand::Explain { reference }) => pruner.explain(reference),
        Some(PruneCommand::Undo { report }) => pruner.undo(report),
        None => {
            let services = select(&facts, &options.services)?.chosen;
            let services: Vec<_> =
                services.iter().map(|(service, _)| service.name.clone()).collect();
            match &options.apply {
                None => pruner.plan(&services, format),
                Some(path) => pruner.apply(&services, path.as_deref(), format),
            }
        }
    }
}

fn show(inventories: &[(String, Inventory)], format: Format) -> Result<Exit> {
    let plans: Vec<_> =
        inventories.iter().map(|(name, inventory)| (name, inventory, plan(inventory))).collect();
    let width = terminal::width().unwrap_or(WIDTH);
    terminal::data(&match format {
        Format::Json => match plans.as_slice() {
            // One package is one object: its plan.
            [(_, _, plan)] => format!("{}\n", serde_json::to_string_pretty(plan)?),
            plans => {
                let all: BTreeMap<_, _> =
                    plans.iter().map(|(name, _, plan)| (name, plan)).collect();
                format!("{}\n", serde_json::to_string_pretty(&all)?)
            }
        },
        _ => plans
            .iter()
            .map(|(name, inventory, plan)| report::retention::text(name, inventory, plan, width))
            .collect::<Vec<_>>()
            .join("\n"),
    });
    let refused = plans.iter().any(|(.., plan)| plan.refuse.is_some());
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

struct Pruner<'p> {
    start: &'p Start,
    facts: &'p Facts,
    options: &'p cli::Prune,
    client: Client,
    /// `None` for a registry that is not GitHub's.
    api: Option<GitHubApi>,
    /// What earlier runs did.
    earlier: Vec<Report>,
}

impl<'p> Pruner<'p> {
    fn new(start: &'p Start, facts: &'p Facts, options: &'p cli::Prune) -> Result<Self> {
        let on_github = match options.backend {
            Backend::Auto => facts.registry().as_str() == "ghcr.io",
            Backend::Github => true,
            Backend::Registry => false,
        };
        let api = on_github.then(|| super::github::api(start, facts)).transpose()?;
        let earlier = records::newest_first(&reports(start))
            .into_iter()
            .chain(options.report.clone())
            .filter_map(|path| serde_json::from_str(&files::read(&path).ok()?).ok());
        let earlier = earlier.collect();
        Ok(Self { start, facts, options, client: Client::new(Options::default()), api, earlier })
    }

    fn packages(&self) -> Result<Option<Packages<'_>>> {
        let Some(api) = &self.api else { return Ok(None) };
        let (repository, _) = self.facts.repository().context("no repository is known")?;
        Packages::of(api, &self.client, &repository, self.options.budget).map(Some)
    }

    fn repository(&self, service: &ServiceName) -> Result<Reference> {
        Ok(self.facts.published(service).ok_or_else(crate::plan::build::no_repository)?)
    }

    /// The package's name: the repository without its owner.
    fn package(repository: &Reference) -> String {
        let path = repository.repository.as_str();
        path.split_once('/').map_or(path, |(_, name)| name).to_owned()
    }

    fn inventory(
        &self,
        packages: Option<&Packages<'_>>,
        service: &ServiceName,
    ) -> Result<Inventory> {
        let repository = self.repository(service)?;
        let versions = match packages {
            Some(packages) => {
                let package = Self::package(&repository);
                inventory::of_github(packages, &self.client, &repository, &package)?
            }
            None => {
                let of_it = self.earlier.iter().flat_map(|report| &report.packages);
                let of_it = of_it.filter(|package| package.repository == repository);
                let unlisted = of_it.flat_map(|package| package.unlisted.clone()).collect();
                inventory::of_registry(&self.client, &repository, &unlisted)?
            }
        };
        let runner = &self.start.runner;
        let mut policy = self.facts.config.retention.policy();
        policy.in_use = inventory::pinned(runner)?;
        policy.commits = inventory::commits(runner)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let now = clock::now() as f64;
        Ok(Inventory { now, policy, versions, complete: true })
    }

    fn plan(&self, services: &[ServiceName], format: Format) -> Result<Exit> {
        let packages = self.packages()?;
        let mut inventories = Vec::new();
        for service in services {
            inventories.push((service.to_string(), self.inventory(packages.as_ref(), service)?));
        }
        if let Some(path) = &self.options.plan_file {
            let agreed = Agreed {
                schema: 1,
                delete: inventories
                    .iter()
                    .flat_map(|(_, inventory)| plan(inventory).delete)
                    .collect(),
            };
            files::write_atomically(path, &serde_json::to_vec_pretty(&agreed)?)?;
        }
        show(&inventories, format)
    }

    fn explain(&self, reference: &str) -> Result<Exit> {
        let (service, name) = reference.split_once([':', '@']).ok_or_else(|| {
            Failure::usage(format!("`{reference}` names no version"))
                .hint("cargo xtask prune explain git-server:dev")
        })?;
        let service = ServiceName::new(service.rsplit('/').next().unwrap_or_default())
            .map_err(|error| Failure::usage(error.to_string()))?;
        let inventory = self.inventory(self.packages()?.as_ref(), &service)?;
        let is_it = |version: &&Version| {
            version.tags.iter().any(|tag| tag == name) || version.digest.as_str() == name
        };
        let found = inventory.versions.iter().find(is_it).ok_or_else(|| {
            Failure::failed(format!("`{service}` has no version `{name}`"))
                .hint("cargo xtask prune")
        })?;
        let text = report::retention::explained(&plan(&inventory), &found.digest);
        terminal::data(&text.unwrap_or_default());
        Ok(Exit::Done)
    }

    fn apply(
        &self,
        services: &[ServiceName],
        agreed: Option<&Path>,
        format: Format,
    ) -> Result<Exit> {
        let agreed: Option<BTreeSet<Digest>> = match agreed {
            Some(path) => {
                let text = files::read(path)?;
                let agreed: Agreed = serde_json::from_str(&text)
                    .with_context(|| format!("`{}` is no plan of prune", path.display()))?;
                Some(agreed.delete.into_iter().collect())
            }
            None => None,
        };
        let packages = self.packages()?;
        let mut report = Report {
            schema: 1,
            started: clock::now(),
            finished: false,
            packages: Vec::new(),
            requests: 0,
        };
        let path = self.report_path(report.started);
        // What cannot be reported is not done.
        save(&path, &report)?;
        let mut refused = false;
        let mut stopped = None;
        for service in services {
            let inventory = self.inventory(packages.as_ref(), service)?;
            let plan = plan(&inventory);
            if let Some(detail) = &plan.refuse_detail {
                self.start.say(&format!("{service}: nothing is deleted: {detail}"));
                refused = true;
                continue;
            }
            self.forecast(service, &plan);
            let repository = self.repository(service)?;
            let mut package = PackageReport {
                package: Self::package(&repository),
                repository,
                deleted: Vec::new(),
                refused: Vec::new(),
                left_over: Vec::new(),
                unlisted: unlisted(&inventory, &plan),
                bytes: 0,
            };
            report.packages.push(package.clone());
            let run = Run {
                pruner: self,
                packages: packages.as_ref(),
                inventory: &inventory,
                agreed: agreed.as_ref(),
            };
            let done = run.delete(&plan, &mut package, |package| {
                if let Some(last) = report.packages.last_mut() {
                    last.clone_from(package);
                }
                save(&path, &report)
            });
            if let Err(error) = done {
                stopped = Some(error);
                break;
            }
            self.check(&inventory, &plan, &package)?;
        }
        report.finished = stopped.is_none();
        report.requests = packages.as_ref().map_or(0, Packages::requests) + self.client.requests();
        save(&path, &report)?;
        self.tell(&report, &path, format)?;
        match stopped {
            Some(error) if error.is::<OutOfBudget>() => {
                Err(Failure::unfinished(format!("{error}")).hint("run it again later").into())
            }
            Some(error) => Err(error),
            None if report.packages.iter().any(|package| !package.refused.is_empty()) => {
                Ok(Exit::Failed)
            }
            None if refused => Ok(Exit::Refused),
            None => Ok(Exit::Done),
        }
    }

    /// How long it will take, before it begins.
    fn forecast(&self, service: &ServiceName, plan: &RetentionPlan) {
        let count = plan.delete.len();
        let time = if self.api.is_some() {
            PACE * u32::try_from(count).unwrap_or(u32::MAX)
        } else {
            Duration::ZERO
        };
        let time = report::quantity::seconds(time.as_secs_f64());
        self.start.say(&format!(
            "{service}: {count} deletions, about {} requests, at least {time}",
            count * 2
        ));
    }

    /// What is kept must still be whole. What this run took by mistake of others is restored.
    fn check(
        &self,
        inventory: &Inventory,
        plan: &RetentionPlan,
        package: &PackageReport,
    ) -> Result<()> {
        let kept = plan.verdicts.iter().filter(|verdict| verdict.keep && !verdict.tags.is_empty());
        let gone: BTreeSet<&Digest> = package.deleted.iter().map(|gone| &gone.digest).collect();
        // What was read before the deletions says nothing about what is there after them.
        let client = Client::new(Options::default());
        for verdict in kept {
            let known = inventory.versions.iter().find(|version| version.digest == verdict.digest);
            if known.is_none_or(|version| version.manifest != crate::model::inventory::Readable::Ok)
            {
                continue;
            }
            let closure =
                again(|| published::closure(&client, &package.repository, &verdict.digest))?;
            if let Some(missing) = closure.missing.iter().find(|missing| gone.contains(missing)) {
                self.restore(package, missing)?;
                return Err(Failure::failed(format!(
                    "{} needs {missing}, which this run had deleted; it is restored",
                    verdict.tags.join(", ")
                ))
                .hint("cargo xtask verify")
                .into());
            }
        }
        Ok(())
    }

    fn restore(&self, package: &PackageReport, digest: &Digest) -> Result<Deletion> {
        let Some(packages) = self.packages()? else {
            return Err(Failure::failed("a registry that is not GitHub's restores nothing").into());
        };
        let id =
            package.deleted.iter().find(|gone| gone.digest == *digest).and_then(|gone| gone.id);
        packages.restore(&package.package, id.context("the version has no number")?)
    }

    fn undo(&self, path: &Path) -> Result<Exit> {
        let report: Report = serde_json::from_str(&files::read(path)?)
            .with_context(|| format!("`{}` is no report of prune", path.display()))?;
        let Some(packages) = self.packages()? else {
            return Err(Failure::failed("only GitHub restores what was deleted, for 30 days")
                .hint("push the images again: cargo xtask push")
                .into());
        };
        let mut failed = false;
        for package in &report.packages {
            // Children come back before the index that needs them.
            for gone in package.deleted.iter().rev() {
                let Some(id) = gone.id else { continue };
                let outcome = match packages.restore(&package.package, id)? {
                    Deletion::Done => "restored".to_owned(),
                    Deletion::NotFound => {
                        "not there to be restored, or restored already".to_owned()
                    }
                    Deletion::Refused(reason) => {
                        failed = true;
                        format!("refused: {reason}")
                    }
                };
                terminal::data(&format!(
                    "{} {}: {outcome}\n",
                    package.package,
                    gone.digest.short()
                ));
                clock::sleep(PACE)?;
            }
        }
        Ok(if failed { Exit::Failed } else { Exit::Done })
    }

    fn report_path(&self, started: u64) -> PathBuf {
        self.options.report.clone().unwrap_or_else(|| {
            reports(self.start).join(format!("{started}-{}.json", std::process::id()))
        })
    }

    fn tell(&self, report: &Report, path: &Path, format: Format) -> Result<()> {
        if format == Format::Json {
            terminal::data(&format!("{}\n", serde_json::to_string_pretty(report)?));
            return Ok(());
        }
        let mut table =
            report::table::Table::new(["package", ">deleted", ">refused", ">left over", ">bytes"]);
        for package in &report.packages {
            table.row([
                package.package.clone(),
                package.deleted.len().to_string(),
                package.refused.len().to_string(),
                package.left_over.len().to_string(),
                report::quantity::bytes(package.bytes),
            ]);
        }
        terminal::data(&table.text(terminal::width().unwrap_or(WIDTH)));
        github::summary(&table.markdown())?;
        for refused in report.packages.iter().flat_map(|package| &package.refused) {
            self.start.say(&format!("{} stays: {}", refused.digest.short(), refused.reason));
        }
        self.start.say(&format!("report: {}; undo: cargo xtask prune undo {0}", path.display()));
        Ok(())
    }
}

/// What two looks must agree on before something is deleted.
#[derive(Debug, Serialize, Deserialize)]
struct Agreed {
    schema: u32,
    delete: Vec<Digest>,
}

/// The deletions of one package.
struct Run<'r> {
    pruner: &'r Pruner<'r>,
    packages: Option<&'r Packages<'r>>,
    inventory: &'r Inventory,
    agreed: Option<&'r BTreeSet<Digest>>,
}

impl Run<'_> {
    /// Deletes in order; what is below a refusal is left alone. `keep` saves the report after each.
    fn delete(
        &self,
        plan: &RetentionPlan,
        report: &mut PackageReport,
        mut keep: impl FnMut(&PackageReport) -> Result<()>,
    ) -> Result<()> {
        let mut left_alone: BTreeSet<Digest> = BTreeSet::new();
        let mut last: Option<Instant> = None;
        for (done, digest) in plan.delete.iter().enumerate() {
            let version = self.inventory.versions.iter().find(|version| version.digest == *digest);
            let Some(version) = version else { continue };
            if left_alone.contains(digest)
                || self.agreed.is_some_and(|agreed| !agreed.contains(digest))
            {
                left_alone.extend(below(self.inventory, digest));
                report.left_over.push(digest.clone());
                continue;
            }
            let outcome = self.one(report, version, &mut last);
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(error) => {
                    report.left_over.extend(plan.delete.iter().skip(done).cloned());
                    keep(report)?;
                    return Err(error);
                }
            };
            match outcome {
                Ok(()) => {
                    report.bytes += version.size.unwrap_or(0);
                    report.unlisted.remove(digest);
                    report.deleted.push(Gone {
                        digest: digest.clone(),
                        id: version.id,
                        tags: version.tags.clone(),
                    });
                }
                Err(reason) => {
                    report.refused.push(Refused { digest: digest.clone(), reason });
                    left_alone.extend(below(self.inventory, digest));
                }
            }
            keep(report)?;
        }
        Ok(())
    }

    /// Deletes one version, unless its tags have moved since it was listed.
    fn one(
        &self,
        report: &PackageReport,
        version: &Version,
        last: &mut Option<Instant>,
    ) -> Result<std::result::Result<(), String>> {
        for tag in &version.tags {
            let reference = report.repository.with_tag(Tag::new(tag.clone())?);
            let there = again(|| match self.pruner.client.head_manifest(&reference) {
                Ok(head) => Ok(Some(head.digest)),
                Err(RegistryError::NotFound) => Ok(None),
                Err(error) => Err(error),
            })?;
            if there.as_ref().is_some_and(|there| *there != version.digest) {
                return Ok(Err(format!("`{tag}` has moved meanwhile")));
            }
        }
        let Some(packages) = self.packages else {
            let reference = report.repository.at(version.digest.clone());
            return match self.pruner.client.delete_manifest(&reference) {
                Ok(()) | Err(RegistryError::NotFound) => Ok(Ok(())),
                Err(RegistryError::Interrupted) => Err(Interrupted.into()),
                Err(RegistryError::Refused { status: 405, .. }) => {
                    Err(Failure::failed("the registry does not allow deletions")
                        .hint("set `storage.delete.enabled: true` in its configuration")
                        .into())
                }
                Err(error) => Ok(Err(error.to_string())),
            };
        };
        if let Some(last) = last {
            clock::sleep(PACE.saturating_sub(last.elapsed()))?;
        }
        let id = version.id.context("the version has no number")?;
        let outcome = packages.delete(&report.package, id)?;
        *last = Some(Instant::now());
        Ok(match outcome {
            Deletion::Done => Ok(()),
            Deletion::NotFound => {
                Err("not found: it is gone, or the token is no admin of the package".to_owned())
            }
            Deletion::Refused(reason) => Err(reason),
        })
    }
}

/// The versions that go and have no tag of their own.
fn unlisted(inventory: &Inventory, plan: &RetentionPlan) -> BTreeMap<Digest, Option<f64>> {
    let goes =
        |version: &&Version| version.tags.is_empty() && plan.delete.contains(&version.digest);
    let going = inventory.versions.iter().filter(goes);
    going.map(|version| (version.digest.clone(), version.created)).collect()
}

/// Where reports are kept.
fn reports(start: &Start) -> PathBuf {
    start.target.join("xtask").join("prune")
}

fn save(path: &Path, report: &Report) -> Result<()> {
    files::write_atomically(path, &serde_json::to_vec_pretty(report)?)
}

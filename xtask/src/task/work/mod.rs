//! Building the services of a plan, side by side: what `build`, `push` and `release` share. It tests
//! what was built, exports its cache, and writes the records.

mod attempt;
mod explanation;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cli::Progress;
use crate::model::build::BuildSpec;
use crate::model::facts::Facts;
use crate::model::failure::Interrupted;
use crate::model::manifest::Manifest;
use crate::model::record::{self, BuildResult, ExportOutcome, ExportRecord};
use crate::model::record::{ImageRecord, Record, TierRecord};
use crate::model::service::ServiceName;
use crate::model::solve::{Solve, Stall, Steps};
use crate::model::tier::CacheTier;
use crate::outside::build::{Built, End};
use crate::outside::display::{Display, Kind};
use crate::outside::records::{self, Log};
use crate::outside::{clock, parallel, smoke, terminal};
use crate::plan::build::{BuildPlan, ServicePlan, exporting};
use crate::plan::cache::{self, NotExported, TierPlan};
use crate::report::{self, WIDTH, workflow};

use super::Start;

/// The builds of one plan.
pub(super) struct Work<'w> {
    pub start: &'w Start,
    pub facts: &'w Facts,
    pub plan: &'w BuildPlan,
    pub display: Display,
    pub width: usize,
    progress: Progress,
    jobs: u16,
    /// When the builder was restarted last; held while it is.
    freed: Mutex<Option<Instant>>,
}

impl<'w> Work<'w> {
    pub fn new(
        start: &'w Start,
        facts: &'w Facts,
        plan: &'w BuildPlan,
        progress: Progress,
        jobs: u16,
    ) -> Self {
        let kind = match (progress, facts.environment.github.is_some()) {
            _ if start.global.quiet || progress == Progress::Native => Kind::Quiet,
            (_, true) => Kind::Grouped,
            (Progress::Auto, _) if terminal::is_live() => Kind::Live,
            _ => Kind::Plain,
        };
        let width = terminal::width().unwrap_or(WIDTH);
        let freed = Mutex::default();
        Self { start, facts, plan, display: Display::new(kind), width, progress, jobs, freed }
    }

    /// Creates the builder, where the plan wants a new one, and says which it is, where it is not the one
    /// that buildx takes by itself.
    pub fn prepare(&self) -> Result<()> {
        let builder = &self.plan.builder;
        if builder.name.is_some() || self.start.global.verbose {
            let choice = &builder.choice;
            self.display.message(&format!("builder: {} ({})", choice.value, choice.reason));
        }
        builder.create.iter().try_for_each(|create| self.start.runner.output(create).map(drop))
    }

    /// What `done` makes of each service, in their order.
    pub fn each<T: Send>(&self, done: impl Fn(&ServicePlan) -> T + Sync) -> Vec<T> {
        // buildx's own display needs the terminal for itself.
        let jobs = if self.progress == Progress::Native { 1 } else { self.jobs };
        parallel::at_once(&self.plan.services, usize::from(jobs), done)
    }

    /// Builds one service, tests it, does what is to be done `then` while its cache is exported, and
    /// writes its record.
    pub fn service(
        &self,
        service: &ServicePlan,
        then: impl Fn(&Built) -> Result<()>,
    ) -> Result<Record> {
        let (record, done) = self.recorded(service, then);
        done.map(|()| record)
    }

    /// The same, with the record also of what ended with an error.
    pub fn recorded(
        &self,
        service: &ServicePlan,
        then: impl Fn(&Built) -> Result<()>,
    ) -> (Record, Result<()>) {
        let name = &service.service;
        let mut record = self.begun(service);
        let done = self.carried_out(service, &mut record, then);
        if let Err(error) = &done {
            if error.is::<Interrupted>() {
                record.result = BuildResult::Interrupted;
            }
            record.error.get_or_insert_with(|| format!("{error:#}"));
        }
        match records::save(&self.start.target, name, &record) {
            Ok(path) if self.start.global.verbose => {
                self.display.message(&format!("{name}: record {}", path.display()));
            }
            Ok(_) => {}
            Err(error) => self.display.error(&format!("{name}: no record is kept: {error:#}")),
        }
        let title = workflow::group(&format!("{name}: {}", record.result));
        self.display.finish(name.as_str(), (&title, workflow::END_GROUP));
        (record, done)
    }

    fn carried_out(
        &self,
        service: &ServicePlan,
        record: &mut Record,
        then: impl Fn(&Built) -> Result<()>,
    ) -> Result<()> {
        let log = Log::create(&self.start.target, &service.service)?;
        record.log = log.shown(&self.start.root);
        let (built, spec) = self.attempted(service, &log, record)?;
        fill(record, &built);
        if !built.success() {
            self.explain(service, &built, &record.log);
            return Ok(());
        }
        self.test(service, &built, record);
        let is_good = record.result == BuildResult::Built;
        // The image is pushed by now: what is to be done with it needs no cache, nor the cache it.
        std::thread::scope(|scope| {
            scope.spawn(|| self.export(service, &spec, &log, record));
            if is_good { then(&built) } else { Ok(()) }
        })
    }

    /// The record of a build that has not begun.
    fn begun(&self, service: &ServicePlan) -> Record {
        let tier = |plan: &TierPlan| TierRecord {
            tier: plan.tier,
            reference: plan.reference.clone(),
            outcome: plan.outcome,
            detail: plan.reason.clone(),
            seconds: plan.seconds,
        };
        Record {
            schema: record::SCHEMA,
            service: service.service.clone(),
            root: self.start.root.display().to_string(),
            channel: self.plan.channel,
            revision: self.facts.git.as_ref().map(crate::plan::labels::revision),
            started: clock::now(),
            seconds: 0.0,
            result: BuildResult::Failed,
            attempts: Vec::new(),
            error: None,
            tiers: service.tiers.iter().map(tier).collect(),
            exports: Vec::new(),
            steps: Vec::new(),
            bases: Vec::new(),
            totals: Steps::default(),
            bytes_pulled: 0,
            warnings: Vec::new(),
            image: None,
            log: String::new(),
            // It is data that becomes JSON with `--dry-run` too.
            plan: serde_json::to_value(service).unwrap_or_default(),
        }
    }

    fn test(&self, service: &ServicePlan, built: &Built, record: &mut Record) {
        let Some(contract) = &service.smoke_test else { return };
        let name = &service.service;
        let image = built.image.as_ref().map_or("", |image| image.id.as_str());
        self.display.lines(name.as_str(), vec![format!("{name} | smoke test of {image}")]);
        let waits = |elapsed| self.waits(name, elapsed);
        match smoke::test(&self.start.runner, name, image, contract, waits) {
            Ok(passed) => {
                let time = report::quantity::seconds(passed.seconds_to_healthy);
                self.display.message(&format!("{name}: healthy after {time}"));
            }
            Err(error) => {
                let interrupted = error.is::<Interrupted>();
                record.result =
                    if interrupted { BuildResult::Interrupted } else { BuildResult::TestFailed };
                record.error = Some(format!("{error:#}"));
                self.display.error(&format!("{name}: the smoke test failed: {error:#}"));
            }
        }
    }

    /// Shows that a smoke test still waits.
    fn waits(&self, name: &ServiceName, elapsed: Duration) {
        match self.display.kind() {
            Kind::Live => {
                let time = report::quantity::seconds(elapsed.as_secs_f64());
                self.display.block(name.as_str(), &[format!("{name}  smoke test · {time}")]);
            }
            // No line is new, but that it is at work is told from time to time.
            _ => self.display.lines(name.as_str(), Vec::new()),
        }
    }

    /// Exports the cache after the build, which was `spec`. What goes wrong there fails no build, and is
    /// told.
    fn export(&self, service: &ServicePlan, spec: &BuildSpec, log: &Log, record: &mut Record) {
        // Of a build with buildx's own display nothing is known.
        let executed = record.totals.cached < record.totals.total || record.totals.total == 0;
        let lost = |tier| {
            let planned = service.tiers.iter().find(|plan| plan.tier == tier)?.outcome;
            let now = record.tiers.iter().find(|record| record.tier == tier)?.outcome;
            (now != planned).then_some(now)
        };
        let mut exports = cache::after(&service.exports, executed, lost);
        if let Some(spec) = exporting(spec, &exports) {
            log.heading("export of the cache");
            let exported = self.build(service, &spec, log);
            let problem = self.export_problem(service, exported.as_ref());
            let none = Solve::default();
            let solve = exported.as_ref().map_or(&none, |built| &built.solve);
            for export in exports.iter_mut().filter(|export| export.to.is_some()) {
                export.exported(solve, problem.as_deref());
                let (name, tier) = (&service.service, export.tier);
                if export.outcome == ExportOutcome::Failed {
                    let detail = &export.detail;
                    self.display
                        .error(&format!("{name}: the cache was not exported to {tier}: {detail}"));
                } else if tier == CacheTier::Cache
                    && let Some(warning) = self.nearly_full(service)
                {
                    self.display.error(&format!("{name}: {tier}: {warning}"));
                    export.detail = format!("{}; {warning}", export.detail);
                }
            }
        }
        record.exports = with_image(service).chain(exports).chain(left_out(service)).collect();
    }

    /// A warning when the cache that was just exported nears what BuildKit imports.
    fn nearly_full(&self, service: &ServicePlan) -> Option<String> {
        let reference = self.facts.cache_place(&service.service)?.cache().ok()?;
        // That it cannot be read is told by the next look at the tiers.
        let stored = super::gate::client(self.facts).manifest(&reference).ok()?;
        match stored.parse().ok()? {
            Manifest::Cache(cache) => cache::nearly_full(cache.config.size),
            _ => None,
        }
    }

    /// Why an export as a whole did not come to its end.
    fn export_problem(
        &self,
        service: &ServicePlan,
        exported: Result<&Built, &anyhow::Error>,
    ) -> Option<String> {
        let built = match exported {
            Ok(built) => built,
            Err(error) => return Some(format!("{error:#}")),
        };
        match built.end {
            End::Exited(0) => None,
            End::Exited(_) => Some(built.solve.whole_error()),
            End::Interrupted => Some("it was interrupted".to_owned()),
            End::Stalled(Stall::Export) => Some("the tier does not answer".to_owned()),
            End::Stalled(stall) => {
                let freed = self.free_builder(service, stall, &built.solve);
                Some(match freed {
                    Ok(_) => format!("an import hung: {}", built.solve.open_imports().join(", ")),
                    Err(error) => format!("{error:#}"),
                })
            }
        }
    }
}

/// What a build came to.
fn fill(record: &mut Record, built: &Built) {
    let Built { end, seconds, solve, image } = built;
    let stopped = |why: &str| {
        let open = solve.open_steps().join(", ");
        if open.is_empty() { why.to_owned() } else { format!("{why} in {open}") }
    };
    (record.result, record.error) = match end {
        End::Exited(0) => (BuildResult::Built, None),
        End::Exited(_) => (BuildResult::Failed, Some(solve.whole_error())),
        End::Interrupted => (BuildResult::Interrupted, Some(stopped("stopped by an interrupt"))),
        End::Stalled(stall) => (BuildResult::Hung, Some(attempt::stalled(*stall, solve))),
    };
    record.seconds = *seconds;
    record.steps = Record::steps(solve);
    record.bases = Record::bases(solve);
    record.totals = solve.steps();
    record.bytes_pulled = solve.bytes_pulled();
    record.warnings.clone_from(&solve.warnings);
    record.image = image.as_ref().map(|image| ImageRecord {
        digest: image.digest.clone(),
        id: image.id.clone(),
        size: image.size,
        reference: None,
    });
}

/// The exports that went with the image.
fn with_image(service: &ServicePlan) -> impl Iterator<Item = ExportRecord> {
    service.build.cache_to.iter().map(|argument| ExportRecord {
        tier: CacheTier::Dev,
        to: Some(argument.clone()),
        outcome: ExportOutcome::WithImage,
        detail: "so that the image itself is a cache tier".to_owned(),
        seconds: 0.0,
    })
}

/// The tiers that are not written.
fn left_out(service: &ServicePlan) -> impl Iterator<Item = ExportRecord> {
    service.not_exported.iter().map(|NotExported { tier, reason }| ExportRecord {
        tier: *tier,
        to: None,
        outcome: ExportOutcome::LeftOut,
        detail: reason.clone(),
        seconds: 0.0,
    })
}

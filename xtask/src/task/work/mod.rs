//! Building the services of a plan, side by side: what `build`, `push` and `release` share. It tests
//! what was built, exports its cache, and writes the records.

mod attempt;
mod explanation;

use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::cli::Progress;
use crate::model::facts::Facts;
use crate::model::failure::Interrupted;
use crate::model::record::{self, BuildResult, ImageRecord, Record, TierRecord};
use crate::model::solve::Solve;
use crate::outside::build::{self, Built};
use crate::outside::display::{Display, Kind};
use crate::outside::{clock, parallel, records, smoke, terminal};
use crate::plan::build::{BuildPlan, ServicePlan};
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

    /// Creates the builder, where the plan wants a new one.
    pub fn prepare(&self) -> Result<()> {
        let builder = &self.plan.builder;
        if builder.create.is_some() || self.start.global.verbose {
            let choice = &builder.choice;
            self.display.message(&format!("builder: {} ({})", choice.value, choice.reason));
        }
        builder.create.iter().try_for_each(|create| self.start.runner.output(create).map(drop))
    }

    /// What `done` makes of each service, in their order.
    pub fn each<T: Send>(&self, done: impl Fn(&ServicePlan) -> Result<T> + Sync) -> Vec<Result<T>> {
        // buildx's own display needs the terminal for itself.
        let jobs = if self.progress == Progress::Native { 1 } else { self.jobs };
        parallel::at_once(&self.plan.services, usize::from(jobs), done)
    }

    /// Builds one service, tests it, does what is to be done `then`, exports its cache, and writes
    /// its record.
    pub fn service(
        &self,
        service: &ServicePlan,
        then: impl Fn(&Built) -> Result<()>,
    ) -> Result<Record> {
        let started = clock::now();
        if self.progress == Progress::Native {
            build::hand_over(&self.start.runner, &service.build)?;
        }
        let mut attempts = Vec::new();
        let built = match self.attempted(service, &mut attempts) {
            Err(error) if error.is::<Interrupted>() => None,
            other => Some(other.with_context(|| format!("cannot build {}", service.service))?),
        };
        let mut record = self.record(service, built.as_ref(), started)?;
        record.attempts = attempts;
        let mut done = Ok(());
        if let Some(built) = &built {
            if built.success() {
                self.test(service, built, &mut record);
                if record.result == BuildResult::Built {
                    done = then(built);
                }
                if done.is_ok() {
                    self.export(service, &mut record);
                }
            } else {
                self.explain(service, built)?;
            }
        }
        let path = records::save(&self.start.target, &service.service, &record)?;
        if self.start.global.verbose {
            self.display.message(&format!("{}: record {}", service.service, path.display()));
        }
        let title = workflow::group(&format!("{}: {}", service.service, record.result));
        self.display.finish(service.service.as_str(), (&title, workflow::END_GROUP));
        done.map(|()| record)
    }

    fn record(&self, service: &ServicePlan, built: Option<&Built>, started: u64) -> Result<Record> {
        let none = Solve::default();
        let solve = built.map_or(&none, |built| &built.solve);
        let result = match built {
            None => BuildResult::Interrupted,
            Some(built) if built.success() => BuildResult::Built,
            Some(built) if built.code.is_none() => BuildResult::Hung,
            Some(_) => BuildResult::Failed,
        };
        let tiers = service.tiers.iter().map(|plan| {
            let mut tier = TierRecord {
                tier: plan.tier,
                reference: plan.reference.clone(),
                outcome: plan.outcome,
                detail: plan.reason.clone(),
                seconds: plan.seconds,
            };
            tier.imported(solve);
            tier
        });
        let image = built.and_then(|built| built.image.as_ref()).map(|image| ImageRecord {
            digest: image.digest.clone(),
            id: image.id.clone(),
            size: image.size,
            reference: None,
        });
        Ok(Record {
            schema: record::SCHEMA,
            service: service.service.clone(),
            root: self.start.root.display().to_string(),
            channel: self.plan.channel,
            revision: self.facts.git.as_ref().map(crate::plan::labels::revision),
            started,
            seconds: built.map_or(0.0, |built| built.seconds),
            result,
            error: (result == BuildResult::Failed)
                .then(|| solve.error().unwrap_or_default().to_owned()),
            tiers: tiers.collect(),
            export_error: None,
            attempts: Vec::new(),
            steps: Record::steps(solve),
            totals: solve.steps(),
            bytes_pulled: solve.bytes_pulled(),
            warnings: solve.warnings.clone(),
            image,
            log: self.log(service),
            plan: serde_json::to_value(service)?,
        })
    }

    /// The log's path as a person would type it.
    fn log(&self, service: &ServicePlan) -> String {
        let path = records::log_path(&self.start.target, &service.service);
        path.strip_prefix(&self.start.root).unwrap_or(&path).display().to_string()
    }

    fn test(&self, service: &ServicePlan, built: &Built, record: &mut Record) {
        let Some(contract) = &service.smoke_test else { return };
        let name = &service.service;
        let image = built.image.as_ref().map_or("", |image| image.id.as_str());
        self.display.lines(name.as_str(), vec![format!("{name} | smoke test of {image}")]);
        match smoke::test(&self.start.runner, name, image, contract) {
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

    /// Exports the cache after the build. What goes wrong there fails no build, and is told.
    fn export(&self, service: &ServicePlan, record: &mut Record) {
        let executed = record.totals.cached < record.totals.total;
        let Some(spec) = service.export(executed) else { return };
        let exported = self.build(service, &spec);
        let problem = match &exported {
            Ok(built) => built.solve.export_error().map(str::to_owned).or_else(|| {
                (!built.success()).then(|| built.solve.error().unwrap_or_default().to_owned())
            }),
            Err(error) => Some(format!("{error:#}")),
        };
        if let Some(problem) = problem {
            self.display
                .error(&format!("{}: the cache was not exported: {problem}", service.service));
            record.export_error = Some(problem);
        }
    }
}

//! Building the services of a plan, side by side: what `build`, `push` and `release` share. It follows
//! each build, tries again what is worth it, writes the records, and tells why a build failed.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cli::Progress;
use crate::model::build::BuildSpec;
use crate::model::facts::{Engine, Facts, ServiceFacts};
use crate::model::failure::Interrupted;
use crate::model::invocation::Invocation;
use crate::model::record::{self, Attempt, BuildResult, ImageRecord, Record, TierRecord};
use crate::model::service::ServiceName;
use crate::model::solve::{Solve, Stall};
use crate::outside::build::{self, Built, Image};
use crate::outside::display::{Display, Kind};
use crate::outside::{clock, docker, parallel, records, smoke, terminal};
use crate::plan::build::{BuildPlan, ServicePlan};
use crate::plan::retry;
use crate::report::build_failure::Failed;
use crate::report::progress::{self, Told};
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

/// How long after a restart other builds may still find that the builder hung.
const RECOVERY: Duration = Duration::from_secs(90);

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

    /// Builds, and tries again what is worth it.
    fn attempted(&self, service: &ServicePlan, attempts: &mut Vec<Attempt>) -> Result<Built> {
        let mut spec = service.build.clone();
        let mut done = 0;
        loop {
            // While the builder is restarted nothing begins.
            drop(self.freed.lock());
            let built = self.build(service, &spec)?;
            done += 1;
            let (verdict, error) = match &built.solve {
                _ if built.success() => return Ok(built),
                solve if let Some(stall) = built.stall => {
                    let freed = self.free_builder(service, stall, solve)?;
                    (retry::stalled(stall, freed), solve.open_imports().join(", "))
                }
                solve => (retry::judge(&solve.whole_error()), solve.whole_error()),
            };
            let Some((next, reason)) = retry::next(&spec, verdict, &error, done) else {
                return Ok(built);
            };
            spec = next;
            let wait = retry::wait(done + 1, clock::chance(), None);
            self.display.message(&format!(
                "{}: {reason}; attempt {} of {} in {}",
                service.service,
                done + 1,
                retry::ATTEMPTS,
                report::quantity::seconds(wait.as_secs_f64())
            ));
            attempts.push(Attempt {
                error,
                reason: reason.to_owned(),
                seconds: built.seconds,
                waited: wait.as_secs_f64(),
            });
            clock::sleep(wait)?;
        }
    }

    /// A builder that waits in an import waits for ever, and holds up all other builds. One in a
    /// container is restarted, and the lab's own engine; another engine is its owner's to restart.
    /// Returns whether it was.
    fn free_builder(&self, service: &ServicePlan, stall: Stall, solve: &Solve) -> Result<bool> {
        let name = &service.service;
        let what = match stall {
            Stall::Import => {
                format!("BuildKit hangs in a cache import from {}", solve.open_imports().join(", "))
            }
            Stall::Beginning => "the builder does not begin".to_owned(),
        };
        self.display.error(&format!("{name}: {what}"));
        let mut freed = self.freed.lock().unwrap_or_else(PoisonError::into_inner);
        if freed.is_some_and(|last| last.elapsed() < RECOVERY) {
            // Another service has found it before, and freed it for all.
            return Ok(true);
        }
        let builder = &self.plan.builder;
        match (&builder.name, builder.driver.as_str()) {
            (Some(builder), "docker-container") => {
                let container = format!("buildx_buildkit_{builder}0");
                self.start.runner.output(&Invocation::new("docker", ["restart", &container]))?;
            }
            _ if super::lab::restart_engine(self.start)? => {}
            _ => {
                self.display.error("it stays so until it is restarted: systemctl restart docker");
                return Ok(false);
            }
        }
        *freed = Some(Instant::now());
        Ok(true)
    }

    fn build(&self, service: &ServicePlan, spec: &BuildSpec) -> Result<Built> {
        let name = &service.service;
        let log = records::log_path(&self.start.target, name);
        let begun = Instant::now();
        let mut told = Told::default();
        let mut drawn: Option<Instant> = None;
        let known = self.known(name);
        build::build(&self.start.runner, spec, &log, known, |solve| match self.display.kind() {
            Kind::Live => {
                // The stream brings thousands of lines a second; a person sees ten pictures.
                if drawn.is_none_or(|last| last.elapsed().as_millis() >= 100) {
                    drawn = Some(Instant::now());
                    let elapsed = begun.elapsed().as_secs_f64();
                    let expected = service.expected_seconds;
                    let block = progress::block(name, solve, elapsed, expected, self.width);
                    self.display.block(name.as_str(), &block);
                }
            }
            Kind::Plain | Kind::Grouped => {
                let lines = told.new_lines(name, solve);
                let lines = lines.iter().map(|line| workflow::disarmed(line)).collect();
                self.display.lines(name.as_str(), lines);
            }
            Kind::Quiet => {}
        })
    }

    /// The image of the last build here.
    fn known(&self, name: &ServiceName) -> Option<Image> {
        let last =
            records::newest(&self.start.target, &self.start.root, name, 1).into_iter().next()?;
        last.image.map(|ImageRecord { digest, id, size, .. }| Image { digest, id, size })
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

    /// Says why a build failed.
    fn explain(&self, service: &ServicePlan, built: &Built) -> Result<()> {
        if self.facts.engine == Engine::Unasked
            && let Some(problem) = crate::plan::builder::problem(&docker::read(&self.start.runner)?)
        {
            return Err(problem.into());
        }
        let name = &service.service;
        if built.code.is_none() {
            return Ok(());
        }
        let of_service = |facts: &&ServiceFacts| facts.name == *name;
        let failed = Failed {
            service: name,
            dockerfile: &service.build.dockerfile,
            text: self.facts.services.iter().find(of_service).map_or("", |s| s.dockerfile.as_str()),
            solve: &built.solve,
            log: &self.log(service),
        };
        let explained = failed.explained();
        if self.facts.environment.github.is_none() {
            self.display.error(&explained);
        } else {
            let lines: Vec<String> = explained.lines().map(workflow::disarmed).collect();
            self.display.error(&lines.join("\n"));
            let title = format!("{name} does not build");
            let file = &service.build.dockerfile;
            let line = workflow::error(file, failed.line(), &title, &failed.reason());
            self.display.error(&line);
        }
        Ok(())
    }
}

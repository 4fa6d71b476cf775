//! The attempts at one build: each is watched, a builder that hangs is freed, and what is worth it is
//! tried again.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cli::Progress;
use crate::model::build::BuildSpec;
use crate::model::invocation::Invocation;
use crate::model::record::{Attempt, ImageRecord, Record};
use crate::model::service::ServiceName;
use crate::model::solve::{Solve, Stall};
use crate::outside::build::{self, Built, End, Image};
use crate::outside::clock;
use crate::outside::display::Kind;
use crate::outside::records::{self, Log};
use crate::plan::build::ServicePlan;
use crate::plan::retry::{self, Verdict};
use crate::report::progress::{self, Told};
use crate::report::{quantity, workflow};

use super::Work;

/// How long after a restart other builds may still find that the builder hung.
const RECOVERY: Duration = Duration::from_secs(90);

impl Work<'_> {
    /// Builds, and tries again what is worth it. Returns the last build and what it was; the attempts
    /// before it and what they told of the cache tiers go into the record.
    pub(super) fn attempted(
        &self,
        service: &ServicePlan,
        log: &Log,
        record: &mut Record,
    ) -> Result<(Built, BuildSpec)> {
        let mut spec = service.build.clone();
        let mut number = 0;
        loop {
            number += 1;
            // While the builder is restarted nothing begins.
            drop(self.freed.lock());
            let built = self.started(service, &spec, log)?;
            let told = &built.solve;
            record.tiers.iter_mut().for_each(|tier| tier.imported(told, built.seconds));
            let Some((verdict, error)) = self.judged(service, &built)? else {
                return Ok((built, spec));
            };
            let Some((next, reason)) = retry::next(&spec, verdict, &error, number) else {
                return Ok((built, spec));
            };
            let name = &service.service;
            let asked = retry::asked(&error);
            let Some(wait) = retry::wait(number + 1, clock::chance(), asked) else {
                let asked = quantity::seconds(asked.unwrap_or_default().as_secs_f64());
                self.display.error(&format!("{name}: {reason}; it asks to wait {asked}"));
                return Ok((built, spec));
            };
            let shown = quantity::seconds(wait.as_secs_f64());
            let attempt = format!("attempt {} of {}", number + 1, retry::ATTEMPTS);
            self.display.message(&format!("{name}: {reason}; {attempt} in {shown}"));
            log.heading(&format!("{attempt}: {reason}"));
            let dropped = dropped(service, &spec, &next, reason, record);
            record.attempts.push(Attempt {
                error,
                reason: reason.to_owned(),
                seconds: built.seconds,
                waited: wait.as_secs_f64(),
                dropped,
            });
            if clock::sleep(wait).is_err() {
                return Ok((Built { end: End::Interrupted, ..built }, spec));
            }
            spec = next;
        }
    }

    /// What to make of a build, and its error; `None` when there is nothing to mend.
    fn judged(&self, service: &ServicePlan, built: &Built) -> Result<Option<(Verdict, String)>> {
        let solve = &built.solve;
        Ok(match built.end {
            End::Exited(0) | End::Interrupted => None,
            End::Stalled(stall) => {
                let freed = stall != Stall::Export && self.free_builder(service, stall, solve)?;
                Some((retry::stalled(stall, freed), solve.open_imports().join(", ")))
            }
            End::Exited(_) if self.progress == Progress::Native => None,
            End::Exited(_) => {
                let error = solve.whole_error();
                if !solve.vertices.is_empty() {
                    return Ok(Some((retry::judge(&error), error)));
                }
                if self.was_freed() {
                    return Ok(Some((Verdict::Retry("the builder was restarted"), error)));
                }
                // A build that never began may have no engine at all.
                match self.start.engine_problem()? {
                    Some(problem) => return Err(problem.into()),
                    None => Some((retry::judge(&error), error)),
                }
            }
        })
    }

    /// A builder that waits in an import waits for ever, and holds up all other builds. One in a
    /// container is restarted, and the lab's own engine; another engine is its owner's to restart.
    /// Returns whether it was.
    pub(super) fn free_builder(
        &self,
        service: &ServicePlan,
        stall: Stall,
        solve: &Solve,
    ) -> Result<bool> {
        self.display.error(&format!("{}: {}", service.service, stalled(stall, solve)));
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
            _ if crate::task::lab::restart_engine(self.start)? => {}
            _ => {
                self.display.error("it stays so until it is restarted: systemctl restart docker");
                return Ok(false);
            }
        }
        *freed = Some(Instant::now());
        Ok(true)
    }

    /// Whether the builder was restarted a short while ago; while it is, this waits.
    fn was_freed(&self) -> bool {
        let freed = self.freed.lock().unwrap_or_else(PoisonError::into_inner);
        freed.is_some_and(|last| last.elapsed() < RECOVERY)
    }

    /// Builds, or tells what is missing where docker does not even start.
    fn started(&self, service: &ServicePlan, spec: &BuildSpec, log: &Log) -> Result<Built> {
        self.build(service, spec, log).or_else(|error| match self.start.engine_problem()? {
            Some(problem) => Err(problem.into()),
            None => Err(error.context(format!("cannot build {}", service.service))),
        })
    }

    pub(super) fn build(
        &self,
        service: &ServicePlan,
        spec: &BuildSpec,
        log: &Log,
    ) -> Result<Built> {
        let name = &service.service;
        let known = self.known(name);
        if self.progress == Progress::Native {
            return build::hand_over(&self.start.runner, spec, known);
        }
        let begun = Instant::now();
        let mut told = Told::default();
        let mut drawn: Option<Instant> = None;
        build::build(&self.start.runner, spec, log, known, |solve| match self.display.kind() {
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
}

/// What the builder waits for, in words.
pub(super) fn stalled(stall: Stall, solve: &Solve) -> String {
    match stall {
        Stall::Import => {
            format!("BuildKit hangs in a cache import from {}", solve.open_imports().join(", "))
        }
        Stall::Export => "BuildKit hangs in the export of the cache".to_owned(),
        Stall::Beginning => "the builder does not begin".to_owned(),
    }
}

/// The cache sources that the next attempt does without; their tiers tell why.
fn dropped(
    service: &ServicePlan,
    last: &BuildSpec,
    next: &BuildSpec,
    reason: &str,
    record: &mut Record,
) -> Vec<String> {
    let gone = |source: &&String| !next.cache_from.contains(source);
    let dropped: Vec<String> = last.cache_from.iter().filter(gone).cloned().collect();
    for plan in &service.tiers {
        if plan.argument.as_ref().is_some_and(|argument| dropped.contains(argument)) {
            let mut tiers = record.tiers.iter_mut();
            tiers.find(|tier| tier.tier == plan.tier).into_iter().for_each(|t| t.dropped(reason));
        }
    }
    dropped
}

//! The attempts at one build: a builder that hangs is restarted, and a failure that may pass is retried.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::lab;
use crate::model::build::BuildSpec;
use crate::model::invocation::Invocation;
use crate::model::record::{Attempt, ImageRecord, Record};
use crate::model::retry::POLICY;
use crate::model::service::ServiceName;
use crate::model::solve::{Solve, Stall};
use crate::options::Progress;
use crate::outside::build::{self, Built, End, Image};
use crate::outside::clock;
use crate::outside::display::Kind;
use crate::outside::records::{self, Log};
use crate::plan::build::ServicePlan;
use crate::plan::retry::{self, Reaction};
use crate::report::progress::{self, PrintedLines};
use crate::report::{quantity, workflow};

use super::builds::Builds;

/// How long after a restart other builds may still report that the builder hung.
const RECOVERY: Duration = Duration::from_secs(90);

impl Builds<'_> {
    /// Builds, and retries a failure that may pass. Returns the last build and its specification. The record
    /// gets the earlier attempts and what they showed about the cache tiers.
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
            // Wait while the builder is being restarted.
            drop(self.restarted.lock());
            let built = self.started(service, &spec, log)?;
            let solve = &built.solve;
            record.tiers.iter_mut().for_each(|tier| tier.imported(solve, built.seconds));
            let verdict = self.judged(service, &built)?;
            record.may_pass = matches!(verdict, Some((Reaction::Outage(_), _)));
            let Some((verdict, error)) = verdict else { return Ok((built, spec)) };
            let Some((next, reason)) = retry::next(&spec, verdict, &error, number) else {
                return Ok((built, spec));
            };
            let name = &service.service;
            let asked = retry::asked(&error);
            let Some(wait) = POLICY.wait(number, clock::chance(), asked) else {
                let asked = quantity::seconds(asked.unwrap_or_default().as_secs_f64());
                self.display.error(&format!("{name}: {reason}; the server asks to wait {asked}"));
                return Ok((built, spec));
            };
            let shown = quantity::seconds(wait.as_secs_f64());
            let attempt = format!("attempt {} of {}", number + 1, POLICY.attempts);
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

    /// The verdict on a build and its error; `None` when it is final.
    fn judged(&self, service: &ServicePlan, built: &Built) -> Result<Option<(Reaction, String)>> {
        let solve = &built.solve;
        Ok(match built.end {
            End::Exited(0) | End::Interrupted => None,
            End::Stalled(stall) => {
                let restarted =
                    stall != Stall::Export && self.restart_builder(service, stall, solve)?;
                Some((retry::stalled(stall, restarted), solve.open_imports().join(", ")))
            }
            End::Exited(_) if self.progress == Progress::Native => None,
            End::Exited(_) => {
                let error = solve.whole_error();
                if !solve.vertices.is_empty() {
                    return Ok(Some((retry::judge(&error), error)));
                }
                if self.was_restarted() {
                    return Ok(Some((Reaction::Retry("the builder was restarted"), error)));
                }
                // A build that never began may lack an engine.
                match self.command.engine_problem()? {
                    Some(problem) => return Err(problem.into()),
                    None => Some((retry::judge(&error), error)),
                }
            }
        })
    }

    /// Restarts a builder that hangs in an import, because it blocks all other builds. Only a builder in a
    /// container and the lab's own engine are restarted; any other engine belongs to its owner. Returns
    /// whether the builder was restarted.
    pub(super) fn restart_builder(
        &self,
        service: &ServicePlan,
        stall: Stall,
        solve: &Solve,
    ) -> Result<bool> {
        self.display.error(&format!("{}: {}", service.service, stalled(stall, solve)));
        let mut restarted = self.restarted.lock().unwrap_or_else(PoisonError::into_inner);
        if restarted.is_some_and(|last| last.elapsed() < RECOVERY) {
            // Another service has restarted it already.
            return Ok(true);
        }
        let builder = self.builder;
        match (&builder.name, builder.driver.as_str()) {
            (Some(builder), "docker-container") => {
                let container = format!("buildx_buildkit_{builder}0");
                self.command.runner.output(&Invocation::new("docker", ["restart", &container]))?;
            }
            _ if lab::restart_engine(self.command)? => {}
            _ => {
                self.display.error("restart it to go on: systemctl restart docker");
                return Ok(false);
            }
        }
        *restarted = Some(Instant::now());
        Ok(true)
    }

    /// Whether the builder was restarted recently; waits while it is being restarted.
    fn was_restarted(&self) -> bool {
        let restarted = self.restarted.lock().unwrap_or_else(PoisonError::into_inner);
        restarted.is_some_and(|last| last.elapsed() < RECOVERY)
    }

    /// Builds, or reports what is missing when docker cannot start at all.
    fn started(&self, service: &ServicePlan, spec: &BuildSpec, log: &Log) -> Result<Built> {
        self.build(service, spec, log).or_else(|error| match self.command.engine_problem()? {
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
            return build::hand_over(&self.command.runner, spec, known);
        }
        let begun = Instant::now();
        let mut printed = PrintedLines::default();
        let mut drawn: Option<Instant> = None;
        build::build(&self.command.runner, spec, log, known, |solve| match self.display.kind() {
            Kind::Live => {
                // The stream has thousands of lines a second; draw ten times.
                if drawn.is_none_or(|last| last.elapsed().as_millis() >= 100) {
                    drawn = Some(Instant::now());
                    let elapsed = begun.elapsed().as_secs_f64();
                    let expected = service.expected_seconds;
                    let block = progress::block(name, solve, elapsed, expected, self.width);
                    self.display.block(name.as_str(), &block);
                }
            }
            Kind::Plain | Kind::Grouped => {
                let lines = printed.new_lines(name, solve);
                let lines = lines.iter().map(|line| workflow::disarmed(line)).collect();
                self.display.lines(name.as_str(), lines);
            }
            Kind::Quiet => {}
        })
    }

    /// The image of the last build on this machine.
    fn known(&self, name: &ServiceName) -> Option<Image> {
        let last = records::newest(&self.command.target, &self.command.root, name, 1)
            .into_iter()
            .next()?;
        last.image.map(|ImageRecord { digest, id, size, .. }| Image { digest, id, size })
    }
}

/// What the builder waits for, in words.
pub(super) fn stalled(stall: Stall, solve: &Solve) -> String {
    match stall {
        Stall::Import => {
            format!(
                "BuildKit hangs while it imports the cache from {}",
                solve.open_imports().join(", ")
            )
        }
        Stall::Export => "BuildKit hangs while it exports the cache".to_owned(),
        Stall::Beginning => "the builder does not start".to_owned(),
    }
}

/// The cache sources that the next attempt leaves out; their tiers record the reason.
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

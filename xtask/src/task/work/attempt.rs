//! The attempts at one build: each is watched, a builder that hangs is freed, and what is worth it is
//! tried again.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::model::build::BuildSpec;
use crate::model::invocation::Invocation;
use crate::model::record::{Attempt, ImageRecord};
use crate::model::service::ServiceName;
use crate::model::solve::{Solve, Stall};
use crate::outside::build::{self, Built, Image};
use crate::outside::display::Kind;
use crate::outside::{clock, records};
use crate::plan::build::ServicePlan;
use crate::plan::retry;
use crate::report::progress::{self, Told};
use crate::report::{self, workflow};

use super::Work;

/// How long after a restart other builds may still find that the builder hung.
const RECOVERY: Duration = Duration::from_secs(90);

impl Work<'_> {
    /// Builds, and tries again what is worth it.
    pub(super) fn attempted(
        &self,
        service: &ServicePlan,
        attempts: &mut Vec<Attempt>,
    ) -> Result<Built> {
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
            _ if crate::task::lab::restart_engine(self.start)? => {}
            _ => {
                self.display.error("it stays so until it is restarted: systemctl restart docker");
                return Ok(false);
            }
        }
        *freed = Some(Instant::now());
        Ok(true)
    }

    pub(super) fn build(&self, service: &ServicePlan, spec: &BuildSpec) -> Result<Built> {
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
}

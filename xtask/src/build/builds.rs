//! The builds of one plan, with their shared display, builder and limit of jobs.

use std::sync::Mutex;
use std::time::Instant;

use anyhow::Result;

use crate::command::Command;
use crate::model::channel::Channel;
use crate::model::facts::Facts;
use crate::model::record::Record;
use crate::options::Progress;
use crate::outside::display::{Display, Kind};
use crate::outside::{parallel, terminal};
use crate::plan::build::ServicePlan;
use crate::plan::builder::BuilderPlan;

/// The builds of one plan.
pub struct Builds<'w> {
    pub command: &'w Command,
    pub facts: &'w Facts,
    pub channel: Channel,
    pub builder: &'w BuilderPlan,
    pub display: Display,
    pub width: usize,
    pub progress: Progress,
    jobs: u16,
    /// When the builder was last restarted. Locked during a restart.
    pub restarted: Mutex<Option<Instant>>,
}

impl<'w> Builds<'w> {
    pub fn new(
        command: &'w Command,
        facts: &'w Facts,
        channel: Channel,
        builder: &'w BuilderPlan,
        progress: Progress,
        jobs: u16,
    ) -> Self {
        let kind = match (progress, facts.environment.github.is_some()) {
            _ if command.global.quiet || progress == Progress::Native => Kind::Quiet,
            (_, true) => Kind::Grouped,
            (Progress::Auto, _) if terminal::is_live() => Kind::Live,
            _ => Kind::Plain,
        };
        let width = terminal::progress_width();
        let restarted = Mutex::default();
        Self {
            command,
            facts,
            channel,
            builder,
            display: Display::new(kind),
            width,
            progress,
            jobs,
            restarted,
        }
    }

    /// Creates the builder where the plan needs a new one, and names the builder unless it is the one that
    /// buildx uses anyway.
    pub fn prepare(&self) -> Result<()> {
        let builder = self.builder;
        if builder.name.is_some() || self.command.global.verbose {
            let choice = &builder.choice;
            self.display.message(&format!("builder: {} ({})", choice.value, choice.reason));
        }
        builder.create.iter().try_for_each(|create| self.command.runner.output(create).map(drop))
    }

    /// Builds all services side by side, each with its cache export, and returns their records.
    pub fn all(&self, services: &[ServicePlan]) -> Vec<(Record, Result<()>)> {
        // buildx's own display needs the terminal for itself.
        let jobs = if self.progress == Progress::Native { 1 } else { self.jobs };
        parallel::at_once(services, usize::from(jobs), |service| {
            self.finish(self.export(self.run(service)))
        })
    }
}

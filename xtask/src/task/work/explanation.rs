//! Why a build failed, told to the person and to the job.

use anyhow::Result;

use crate::model::facts::{Engine, ServiceFacts};
use crate::outside::build::Built;
use crate::outside::docker;
use crate::plan::build::ServicePlan;
use crate::report::build_failure::Failed;
use crate::report::workflow;

use super::Work;

impl Work<'_> {
    /// Says why a build failed.
    pub(super) fn explain(&self, service: &ServicePlan, built: &Built) -> Result<()> {
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

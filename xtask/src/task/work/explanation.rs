//! Why a build failed, told to the person and to the job.

use crate::cli::Progress;
use crate::model::facts::ServiceFacts;
use crate::outside::build::{Built, End};
use crate::plan::build::ServicePlan;
use crate::report::build_failure::Failed;
use crate::report::workflow;

use super::Work;

impl Work<'_> {
    /// Says why a build failed. Where buildx drew on the terminal it has said so, and a build that was
    /// stopped did not fail.
    pub(super) fn explain(&self, service: &ServicePlan, built: &Built, log: &str) {
        if !matches!(built.end, End::Exited(_)) || self.progress == Progress::Native {
            return;
        }
        let name = &service.service;
        let of_service = |facts: &&ServiceFacts| facts.name == *name;
        let failed = Failed {
            service: name,
            dockerfile: &service.build.dockerfile,
            text: self.facts.services.iter().find(of_service).map_or("", |s| s.dockerfile.as_str()),
            solve: &built.solve,
            log,
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
    }
}

//! Why a build failed, for people and as an annotation of the GitHub job.

use crate::model::facts::ServiceFacts;
use crate::options::Progress;
use crate::outside::build::{Built, End};
use crate::plan::build::ServicePlan;
use crate::report::build_failure::FailedBuild;
use crate::report::workflow;

use super::builds::Builds;

impl Builds<'_> {
    /// Explains a failed build. buildx's own display already explains it, and a stopped build did not fail.
    pub(super) fn explain(&self, service: &ServicePlan, built: &Built, log: &str) {
        if !matches!(built.end, End::Exited(_)) || self.progress == Progress::Native {
            return;
        }
        let name = &service.service;
        let of_service = |facts: &&ServiceFacts| facts.name == *name;
        let failed = FailedBuild {
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
            let title = format!("{name} failed to build");
            let file = &service.build.dockerfile;
            let line = workflow::error(file, failed.line(), &title, &failed.reason());
            self.display.error(&line);
        }
    }
}

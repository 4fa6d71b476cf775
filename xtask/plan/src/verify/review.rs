//! The review of one service's package: the facts about it, and how its findings are made.

use xtask_model::config::Config;
use xtask_model::facts::{Facts, ServiceFacts};
use xtask_model::inspection::Package;
use xtask_model::platform::Platform;
use xtask_model::reference::Tag;

use crate::finding::{Finding, Level};

/// Fixes most problems of a dev image.
pub const REBUILD: &str = "cargo xtask push --rebuild";

/// One service and its package.
pub struct Review<'a> {
    pub facts: &'a Facts,
    pub service: &'a ServiceFacts,
    pub package: &'a Package,
    /// This machine's `linux/…`: the platform of an image when none is configured.
    pub own_platform: Option<&'a Platform>,
}

impl Review<'_> {
    pub fn config(&self) -> &Config {
        &self.facts.config
    }

    /// A finding about the package.
    pub fn finding(&self, check: &'static str, level: Level, detail: impl Into<String>) -> Finding {
        Finding::new(self.service.name.as_str(), check, level, detail)
    }

    /// A finding about the image that a tag points to.
    pub fn of_tag(
        &self,
        tag: &Tag,
        check: &'static str,
        level: Level,
        detail: impl Into<String>,
    ) -> Finding {
        Finding::new(format!("{}:{tag}", self.service.name), check, level, detail)
    }
}

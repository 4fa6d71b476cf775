//! What will be done for one service, as data.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Choice;
use crate::cache::{self, Export, NotExported, TierPlan};
use xtask_model::build::{BuildSpec, Output, Provenance};
use xtask_model::config::SmokeTest;
use xtask_model::inputs::Inputs;
use xtask_model::invocation::Invocation;
use xtask_model::record::{ExportOutcome, ExportRecord};
use xtask_model::reference::Reference;
use xtask_model::service::ServiceName;

/// The plan for one service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServicePlan {
    pub service: ServiceName,
    pub choices: Vec<Choice>,
    /// The repository of its published images, if known.
    pub repository: Option<Reference>,
    /// Names of the bases, as the Dockerfile resolves them.
    pub bases: Vec<String>,
    pub tiers: Vec<TierPlan>,
    pub build: BuildSpec,
    /// The command of `build`, which runs in the root folder.
    pub command: Invocation,
    /// Exports of the cache that follow the build.
    pub exports: Vec<Export>,
    /// Tiers that the cache is not exported to.
    pub not_exported: Vec<NotExported>,
    /// The inputs of the image, if all of them are known.
    pub inputs: Option<Inputs>,
    pub smoke_test: Option<SmokeTest>,
    /// Seconds that earlier builds like this one took.
    pub expected_seconds: Option<f64>,
}

impl ServicePlan {
    /// The build with all its exports at once, for a tool that has no second phase.
    pub fn whole(&self) -> BuildSpec {
        let mut whole = self.build.clone();
        whole.cache_to.extend(self.exports.iter().map(|export| export.argument.clone()));
        whole
    }

    /// The build that exports the cache after this one; `executed` says whether this one executed a step.
    /// `None` when there is nothing to export.
    pub fn export(&self, executed: bool) -> Option<BuildSpec> {
        let after = cache::after(&self.exports, executed, |_| None);
        exporting(&self.build, &after)
    }
}

/// The build that makes the due exports of `after` once `built` is done. It repeats the cache sources,
/// because after a lazy hit the builder does not have the blobs. It uses the builder's own cache even after
/// a build without one, which has filled it.
pub fn exporting(built: &BuildSpec, after: &[ExportRecord]) -> Option<BuildSpec> {
    let due = after.iter().filter(|export| export.outcome == ExportOutcome::Exported);
    let cache_to: Vec<_> = due.filter_map(|export| export.to.clone()).collect();
    (!cache_to.is_empty()).then(|| BuildSpec {
        cache_to,
        output: Output::CacheOnly,
        provenance: Provenance::None,
        sbom: false,
        annotations: BTreeMap::new(),
        no_cache: false,
        ..built.clone()
    })
}

//! The export of a build's cache, after the image was pushed.

use anyhow::Result;

use crate::model::build::BuildSpec;
use crate::model::manifest::Manifest;
use crate::model::record::{ExportOutcome, ExportRecord, Record};
use crate::model::solve::{Solve, Stall};
use crate::model::tier::CacheTier;
use crate::outside::build::{Built, End};
use crate::outside::gather;
use crate::outside::records::Log;
use crate::plan::build::{ServicePlan, exporting};
use crate::plan::cache::{self, NotExported};

use super::builds::Builds;
use super::run::Run;

impl Builds<'_> {
    /// Exports the cache of a build that succeeded. A failed export is reported, and fails no build.
    pub fn export<'p>(&self, mut run: Run<'p>) -> Run<'p> {
        let exports = match &run.last {
            Some((built, spec, log)) if built.success() => {
                self.exported(run.service, spec, log, &run.record)
            }
            _ => return run,
        };
        let service = run.service;
        run.record.exports = with_image(service).chain(exports).chain(left_out(service)).collect();
        run
    }

    fn exported(
        &self,
        service: &ServicePlan,
        spec: &BuildSpec,
        log: &Log,
        record: &Record,
    ) -> Vec<ExportRecord> {
        // buildx's own display says nothing about single steps.
        let executed = record.totals.cached < record.totals.total || record.totals.total == 0;
        let lost = |tier| {
            let planned = service.tiers.iter().find(|plan| plan.tier == tier)?.outcome;
            let now = record.tiers.iter().find(|record| record.tier == tier)?.outcome;
            (now != planned).then_some(now)
        };
        let mut exports = cache::after(&service.exports, executed, lost);
        let Some(spec) = exporting(spec, &exports) else { return exports };
        log.heading("export of the cache");
        let built = self.build(service, &spec, log);
        let problem = self.export_problem(service, built.as_ref());
        let none = Solve::default();
        let solve = built.as_ref().map_or(&none, |built| &built.solve);
        for export in exports.iter_mut().filter(|export| export.to.is_some()) {
            export.exported(solve, problem.as_deref());
            self.report_export(service, export);
        }
        exports
    }

    /// Reports an export that failed, or a cache that is nearly too large to be imported.
    fn report_export(&self, service: &ServicePlan, export: &mut ExportRecord) {
        let (name, tier) = (&service.service, export.tier);
        if export.outcome == ExportOutcome::Failed {
            let detail = &export.detail;
            self.display.error(&format!("{name}: cannot export the cache to {tier}: {detail}"));
        } else if tier == CacheTier::Cache
            && let Some(warning) = self.nearly_full(service)
        {
            self.display.error(&format!("{name}: {tier}: {warning}"));
            export.detail = format!("{}; {warning}", export.detail);
        }
    }

    /// A warning when the exported cache is nearly too large for BuildKit to import.
    fn nearly_full(&self, service: &ServicePlan) -> Option<String> {
        let reference = self.facts.cache_place(&service.service)?.cache();
        // An unreadable cache is reported when the tiers are next read.
        let stored = gather::client(self.facts).manifest(&reference).ok()?;
        match stored.parse().ok()? {
            Manifest::Cache(cache) => cache::nearly_full(cache.config.size),
            _ => None,
        }
    }

    /// Why the export as a whole failed.
    fn export_problem(
        &self,
        service: &ServicePlan,
        exported: Result<&Built, &anyhow::Error>,
    ) -> Option<String> {
        let built = match exported {
            Ok(built) => built,
            Err(error) => return Some(format!("{error:#}")),
        };
        match built.end {
            End::Exited(0) => None,
            End::Exited(_) => Some(built.solve.whole_error()),
            End::Interrupted => Some("it was interrupted".to_owned()),
            End::Stalled(Stall::Export) => Some("the tier does not answer".to_owned()),
            End::Stalled(stall) => {
                let restarted = self.restart_builder(service, stall, &built.solve);
                Some(match restarted {
                    Ok(_) => format!("an import hung: {}", built.solve.open_imports().join(", ")),
                    Err(error) => format!("{error:#}"),
                })
            }
        }
    }
}

/// The exports that are part of the image.
fn with_image(service: &ServicePlan) -> impl Iterator<Item = ExportRecord> {
    service.build.cache_to.iter().map(|argument| ExportRecord {
        tier: CacheTier::Dev,
        to: Some(argument.clone()),
        outcome: ExportOutcome::WithImage,
        detail: "makes the image itself a cache tier".to_owned(),
        seconds: 0.0,
    })
}

/// The tiers without an export.
fn left_out(service: &ServicePlan) -> impl Iterator<Item = ExportRecord> {
    service.not_exported.iter().map(|NotExported { tier, reason }| ExportRecord {
        tier: *tier,
        to: None,
        outcome: ExportOutcome::LeftOut,
        detail: reason.clone(),
        seconds: 0.0,
    })
}

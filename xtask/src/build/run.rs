//! One build from its first attempt to its record.

use std::time::Duration;

use anyhow::Result;

use crate::model::build::BuildSpec;
use crate::model::failure::Interrupted;
use crate::model::record::{self, BuildResult, ImageRecord, Record, TierRecord};
use crate::model::service::ServiceName;
use crate::model::solve::Steps;
use crate::outside::build::{Built, End, Image};
use crate::outside::display::Kind;
use crate::outside::records::{self, Log};
use crate::outside::{clock, smoke};
use crate::plan::build::ServicePlan;
use crate::plan::cache::TierPlan;
use crate::report::{self, workflow};

use super::attempts::stalled;
use super::builds::Builds;

/// A build that has ended, before its record is saved.
pub struct Run<'p> {
    pub service: &'p ServicePlan,
    pub record: Record,
    /// The last build and its log; `None` if no attempt finished.
    pub(super) last: Option<(Built, BuildSpec, Log)>,
    done: Result<()>,
}

impl Run<'_> {
    /// Whether it was built and passed its tests.
    pub fn succeeded(&self) -> bool {
        self.done.is_ok() && self.record.result == BuildResult::Built
    }

    pub fn image(&self) -> Option<&Image> {
        self.last.as_ref()?.0.image.as_ref()
    }
}

impl Builds<'_> {
    /// Builds one service, with its retries and its smoke test.
    pub fn run<'p>(&self, service: &'p ServicePlan) -> Run<'p> {
        let mut run = Run { service, record: self.begun(service), last: None, done: Ok(()) };
        run.done = self.carry_out(&mut run);
        run
    }

    fn carry_out(&self, run: &mut Run<'_>) -> Result<()> {
        let Run { service, record, last, .. } = run;
        let log = Log::create(&self.command.target, &service.service)?;
        record.log = log.shown(&self.command.root);
        let (built, spec) = self.attempted(service, &log, record)?;
        fill(record, &built);
        if built.success() {
            self.test(service, &built, record);
        } else {
            self.explain(service, &built, &record.log);
        }
        *last = Some((built, spec, log));
        Ok(())
    }

    /// Saves the record and closes the display of the service. The error is one that the record does not
    /// explain, such as a missing engine.
    pub fn finish(&self, run: Run<'_>) -> (Record, Result<()>) {
        let Run { service, mut record, done, .. } = run;
        let name = &service.service;
        if let Err(error) = &done {
            if error.is::<Interrupted>() {
                record.result = BuildResult::Interrupted;
            }
            record.error.get_or_insert_with(|| format!("{error:#}"));
        }
        match records::save(&self.command.target, name, &record) {
            Ok(path) if self.command.global.verbose => {
                self.display.message(&format!("{name}: record {}", path.display()));
            }
            Ok(_) => {}
            Err(error) => self.display.error(&format!("{name}: cannot save its record: {error:#}")),
        }
        let title = workflow::group(&format!("{name}: {}", record.result));
        self.display.finish(name.as_str(), (&title, workflow::END_GROUP));
        (record, done)
    }

    /// The record of a build that has not begun.
    fn begun(&self, service: &ServicePlan) -> Record {
        let tier = |plan: &TierPlan| TierRecord {
            tier: plan.tier,
            reference: plan.reference.clone(),
            outcome: plan.outcome,
            detail: plan.reason.clone(),
            seconds: plan.seconds,
        };
        Record {
            schema: record::SCHEMA,
            service: service.service.clone(),
            root: self.command.root.display().to_string(),
            channel: self.channel,
            revision: self.facts.git.as_ref().map(crate::plan::labels::revision),
            started: clock::now(),
            seconds: 0.0,
            result: BuildResult::Failed,
            attempts: Vec::new(),
            error: None,
            may_pass: false,
            tiers: service.tiers.iter().map(tier).collect(),
            exports: Vec::new(),
            steps: Vec::new(),
            bases: Vec::new(),
            totals: Steps::default(),
            bytes_pulled: 0,
            warnings: Vec::new(),
            image: None,
            log: String::new(),
            // The same data is printed as JSON by `--dry-run`.
            plan: serde_json::to_value(service).unwrap_or_default(),
        }
    }

    fn test(&self, service: &ServicePlan, built: &Built, record: &mut Record) {
        let Some(contract) = &service.smoke_test else { return };
        let name = &service.service;
        let image = built.image.as_ref().map_or("", |image| image.id.as_str());
        self.display.lines(name.as_str(), vec![format!("{name} | smoke test of {image}")]);
        let waits = |elapsed| self.waits(name, elapsed);
        match smoke::test(&self.command.runner, name, image, contract, waits) {
            Ok(passed) => {
                let time = report::quantity::seconds(passed.seconds_to_healthy);
                self.display.message(&format!("{name}: healthy after {time}"));
            }
            Err(error) => {
                let interrupted = error.is::<Interrupted>();
                record.result =
                    if interrupted { BuildResult::Interrupted } else { BuildResult::TestFailed };
                record.error = Some(format!("{error:#}"));
                self.display.error(&format!("{name}: the smoke test failed: {error:#}"));
            }
        }
    }

    /// Shows that a smoke test is still waiting.
    fn waits(&self, name: &ServiceName, elapsed: Duration) {
        match self.display.kind() {
            Kind::Live => {
                let time = report::quantity::seconds(elapsed.as_secs_f64());
                self.display.block(name.as_str(), &[format!("{name}  smoke test · {time}")]);
            }
            // Without a new line, this reports from time to time that the test is still running.
            _ => self.display.lines(name.as_str(), Vec::new()),
        }
    }
}

/// Fills the record of a build that has ended.
fn fill(record: &mut Record, built: &Built) {
    let Built { end, seconds, solve, image } = built;
    let stopped = |why: &str| {
        let open = solve.open_steps().join(", ");
        if open.is_empty() { why.to_owned() } else { format!("{why} in {open}") }
    };
    (record.result, record.error) = match end {
        End::Exited(0) => (BuildResult::Built, None),
        End::Exited(_) => (BuildResult::Failed, Some(solve.whole_error())),
        End::Interrupted => (BuildResult::Interrupted, Some(stopped("stopped by an interrupt"))),
        End::Stalled(stall) => (BuildResult::Hung, Some(stalled(*stall, solve))),
    };
    record.seconds = *seconds;
    record.steps = Record::steps(solve);
    record.bases = Record::bases(solve);
    record.totals = solve.steps();
    record.bytes_pulled = solve.bytes_pulled();
    record.warnings.clone_from(&solve.warnings);
    record.image = image.as_ref().map(|image| ImageRecord {
        digest: image.digest.clone(),
        id: image.id.clone(),
        size: image.size,
        reference: None,
    });
}

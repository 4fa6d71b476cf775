//! `cargo xtask build`: gather, plan, then build each service, and show what came of it.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use crate::cli::{self, Format, Progress};
use crate::model::build::BuildSpec;
use crate::model::facts::{Engine, Facts, ServiceFacts};
use crate::model::failure::{Exit, Failure, Interrupted};
use crate::model::record::{self, BuildResult, ImageRecord, Record, TierRecord};
use crate::model::solve::Solve;
use crate::outside::build::{self, Built};
use crate::outside::display::{Display, Kind};
use crate::outside::gather::Wanted;

use crate::outside::{clock, docker, interrupt, parallel, records, smoke, terminal};
use crate::plan::build::{BuildOptions, BuildPlan, ServicePlan, must_look, plan};
use crate::report::build_failure::Failed;
use crate::report::progress::{self, Told};
use crate::report::{self, WIDTH, workflow};

use super::Start;

pub fn run(mut start: Start, options: &cli::Build) -> Result<Exit> {
    let shown_only =
        start.global.dry_run || matches!(start.global.format, Format::Bake | Format::Matrix);
    start.enter_lab()?;
    let facts = start.facts(&Wanted {
        changed_since: options.changed_since.as_deref(),
        secrets: &options.secret,
        tiers: !options.check,
        services: &options.services,
    })?;
    let build_options = BuildOptions {
        services: options.services.clone(),
        channel: options.channel,
        builder: start.global.builder.clone(),
        build_args: options.build_arg.iter().cloned().collect(),
        secrets: options.secret.iter().cloned().collect(),
        platforms: options.platform.clone(),
        no_cache: options.no_cache,
        test: options.test,
        only_shown: shown_only,
    };
    let facts = with_engine(&start, facts, &build_options)?;
    let plan = plan(&facts, &build_options)?;
    if shown_only {
        show(&plan, start.global.format)?;
        return Ok(Exit::Done);
    }
    if options.check {
        return super::check::run(&start, &facts, &plan);
    }
    if plan.channel.publishes() {
        let channel = plan.channel;
        return Err(Failure::usage(format!(
            "`build` publishes nothing, and the channel is {channel}"
        ))
        .hint("cargo xtask push, or cargo xtask build --channel local")
        .into());
    }
    Work::new(&start, &facts, &plan, options).done()
}

/// The facts with the engine looked at, where the plan needs to know it.
fn with_engine(start: &Start, mut facts: Facts, options: &BuildOptions) -> Result<Facts> {
    if start.global.facts.is_none() && must_look(&facts, options) {
        facts.engine = docker::read(&start.runner)?;
        start.keep_facts(&facts)?;
    }
    Ok(facts)
}

fn show(plan: &BuildPlan, format: Format) -> Result<()> {
    let targets = || plan.services.iter().map(|service| (service.service.as_str(), &service.build));
    let names = || plan.services.iter().map(|service| service.service.as_str());
    terminal::data(&match format {
        Format::Human => report::plan::script(plan),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(plan)?),
        Format::Bake => {
            format!("{}\n", serde_json::to_string_pretty(&report::bake::bake(targets()))?)
        }
        Format::Matrix => format!("{}\n", json!({ "service": names().collect::<Vec<_>>() })),
    });
    Ok(())
}

/// The builds of one plan.
struct Work<'w> {
    start: &'w Start,
    facts: &'w Facts,
    plan: &'w BuildPlan,
    options: &'w cli::Build,
    display: Display,
    width: usize,
}

impl<'w> Work<'w> {
    fn new(
        start: &'w Start,
        facts: &'w Facts,
        plan: &'w BuildPlan,
        options: &'w cli::Build,
    ) -> Self {
        let kind = match (options.progress, facts.environment.github.is_some()) {
            _ if start.global.quiet || options.progress == Progress::Native => Kind::Quiet,
            (_, true) => Kind::Grouped,
            (Progress::Auto, _) if terminal::is_live() => Kind::Live,
            _ => Kind::Plain,
        };
        let width = terminal::width().unwrap_or(WIDTH);
        Self { start, facts, plan, options, display: Display::new(kind), width }
    }

    fn done(self) -> Result<Exit> {
        for choice in &self.plan.choices {
            if choice.what == "builder" && self.start.global.verbose {
                self.display.message(&format!("builder: {} ({})", choice.value, choice.reason));
            }
        }
        if let Some(create) = &self.plan.builder.create {
            let choice = &self.plan.builder.choice;
            self.display.message(&format!("builder: {} ({})", choice.value, choice.reason));
            self.start.runner.output(create)?;
        }
        let jobs = if self.options.progress == Progress::Native { 1 } else { self.options.jobs };
        let results = parallel::at_once(&self.plan.services, usize::from(jobs), |service| {
            self.service(service)
        });
        let done = results.into_iter().collect::<Result<Vec<Record>>>()?;
        self.report(&done)
    }

    fn report(&self, records: &[Record]) -> Result<Exit> {
        match self.start.global.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(&json!({
                    "schema": record::SCHEMA,
                    "channel": self.plan.channel,
                    "records": records,
                    "left_out": self.plan.left_out,
                }))?;
                terminal::data(&format!("{text}\n"));
            }
            _ if records.is_empty() => self.display.message("nothing to build"),
            _ => terminal::data(&report::build::table(records).text(self.width)),
        }
        let has = |result| records.iter().any(|record| record.result == result);
        if interrupt::wanted() || has(BuildResult::Interrupted) {
            return Err(Interrupted.into());
        }
        let good = records.iter().all(|record| record.result == BuildResult::Built);
        Ok(if good { Exit::Done } else { Exit::Failed })
    }

    /// Builds one service, tests it, exports its cache, and writes its record.
    fn service(&self, service: &ServicePlan) -> Result<Record> {
        let started = clock::now();
        if self.options.progress == Progress::Native {
            build::hand_over(&self.start.runner, &service.build)?;
        }
        let built = self.build(service, &service.build);
        let built = match built {
            Err(error) if error.is::<Interrupted>() => None,
            other => Some(other.with_context(|| format!("cannot build {}", service.service))?),
        };
        let mut record = self.record(service, built.as_ref(), started)?;
        if let Some(built) = &built {
            if built.success() {
                self.test(service, built, &mut record);
                self.export(service, &mut record);
            } else {
                self.explain(service, built)?;
            }
        }
        let path = records::save(&self.start.target, &service.service, &record)?;
        if self.start.global.verbose {
            self.display.message(&format!("{}: record {}", service.service, path.display()));
        }
        let title = workflow::group(&format!("{}: {}", service.service, record.result));
        self.display.finish(service.service.as_str(), (&title, workflow::END_GROUP));
        Ok(record)
    }

    fn build(&self, service: &ServicePlan, spec: &BuildSpec) -> Result<Built> {
        let name = &service.service;
        let log = records::log_path(&self.start.target, name);
        let begun = Instant::now();
        let mut told = Told::default();
        let mut drawn: Option<Instant> = None;
        build::build(&self.start.runner, spec, &log, |solve| match self.display.kind() {
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
                self.display.lines(name.as_str(), told.new_lines(name, solve));
            }
            Kind::Quiet => {}
        })
    }

    fn record(&self, service: &ServicePlan, built: Option<&Built>, started: u64) -> Result<Record> {
        let none = Solve::default();
        let solve = built.map_or(&none, |built| &built.solve);
        let result = match built {
            None => BuildResult::Interrupted,
            Some(built) if built.success() => BuildResult::Built,
            Some(built) if built.code.is_none() => BuildResult::Hung,
            Some(_) => BuildResult::Failed,
        };
        let tiers = service.tiers.iter().map(|plan| {
            let mut tier = TierRecord {
                tier: plan.tier,
                reference: plan.reference.clone(),
                outcome: plan.outcome,
                detail: plan.reason.clone(),
                seconds: plan.seconds,
            };
            tier.imported(solve);
            tier
        });
        let image = built.and_then(|built| built.image.as_ref()).map(|image| ImageRecord {
            digest: image.digest.clone(),
            id: image.id.clone(),
            size: image.size,
            reference: None,
        });
        Ok(Record {
            schema: record::SCHEMA,
            service: service.service.clone(),
            channel: self.plan.channel,
            revision: self.facts.git.as_ref().map(crate::plan::labels::revision),
            started,
            seconds: built.map_or(0.0, |built| built.seconds),
            result,
            error: (result == BuildResult::Failed)
                .then(|| solve.error().unwrap_or_default().to_owned()),
            tiers: tiers.collect(),
            export_error: None,
            steps: Record::steps(solve),
            totals: solve.steps(),
            bytes_pulled: solve.bytes_pulled(),
            warnings: solve.warnings.clone(),
            image,
            log: self.log(service),
            plan: serde_json::to_value(service)?,
        })
    }

    /// The log's path as a person would type it.
    fn log(&self, service: &ServicePlan) -> String {
        let path = records::log_path(&self.start.target, &service.service);
        path.strip_prefix(&self.start.root).unwrap_or(&path).display().to_string()
    }

    fn test(&self, service: &ServicePlan, built: &Built, record: &mut Record) {
        let Some(contract) = &service.smoke_test else { return };
        let name = &service.service;
        let image = built.image.as_ref().map_or("", |image| image.id.as_str());
        self.display.lines(name.as_str(), vec![format!("{name} | smoke test of {image}")]);
        match smoke::test(&self.start.runner, name, image, contract) {
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

    /// Exports the cache after the build. What goes wrong there fails no build, and is told.
    fn export(&self, service: &ServicePlan, record: &mut Record) {
        let executed = record.totals.cached < record.totals.total;
        let Some(spec) = service.export(executed) else { return };
        let exported = self.build(service, &spec);
        let problem = match &exported {
            Ok(built) => built.solve.export_error().map(str::to_owned).or_else(|| {
                (!built.success()).then(|| built.solve.error().unwrap_or_default().to_owned())
            }),
            Err(error) => Some(format!("{error:#}")),
        };
        if let Some(problem) = problem {
            self.display
                .error(&format!("{}: the cache was not exported: {problem}", service.service));
            record.export_error = Some(problem);
        }
    }

    /// Says why a build failed.
    fn explain(&self, service: &ServicePlan, built: &Built) -> Result<()> {
        if self.facts.engine == Engine::Unasked
            && let Some(problem) = crate::plan::builder::problem(&docker::read(&self.start.runner)?)
        {
            return Err(problem.into());
        }
        let name = &service.service;
        if built.code.is_none() {
            let open = built.solve.open_imports().join(", ");
            self.display.error(&format!("{name}: BuildKit hung in a cache import from {open}"));
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
        self.display.error(&failed.explained());
        if self.facts.environment.github.is_some() {
            let title = format!("{name} does not build");
            let file = &service.build.dockerfile;
            let line = workflow::error(file, failed.line(), &title, &failed.reason());
            self.display.error(&line);
        }
        Ok(())
    }
}

//! A running command: its options, the repository, and the facts it gathers.

use std::path::PathBuf;

use anyhow::Result;

use crate::model::facts::{Engine, Facts, LabFacts};
use crate::model::failure::Failure;
use crate::options::{Format, Global};
use crate::outside::gather::{self, GatherOptions};
use crate::outside::process::Runner;
use crate::outside::{docker, environment, terminal};
use crate::plan::build::{BuildOptions, must_look};
use crate::report::plan::ShellPlace;

/// A running command: its options, and the processes and folders it works with.
#[derive(Clone)]
pub struct Command {
    pub global: Global,
    pub root: PathBuf,
    /// Where records, logs and the lab live: `target/xtask` and `target/lab`.
    pub target: PathBuf,
    pub runner: Runner,
    lab: Option<LabFacts>,
}

impl Command {
    pub fn new(global: Global) -> Result<Self> {
        let root = environment::root()?;
        let target = environment::target_folder(&root);
        let runner = Runner::new(&root, global.verbose);
        Ok(Self { global, root, target, runner, lab: None })
    }

    /// The same command with a different runner.
    #[must_use]
    pub fn with_runner(&self, runner: Runner) -> Self {
        Self { runner, ..self.clone() }
    }

    /// From here on facts are gathered in the lab, and processes use its engine.
    pub fn set_lab(&mut self, lab: LabFacts) {
        if let Some(host) = &lab.engine_host {
            self.runner = self.runner.clone().with_variable("DOCKER_HOST", host.clone());
        }
        self.lab = Some(lab);
    }

    /// The facts: from the world, or from the file of `--facts`.
    pub fn facts(&self, wanted: &GatherOptions<'_>) -> Result<Facts> {
        if let Some(path) = &self.global.facts {
            return gather::load(path);
        }
        let facts = gather::gather(&self.runner, &self.target, self.lab.clone(), wanted)?;
        self.keep_facts(&facts)?;
        Ok(facts)
    }

    /// The engine, if a plan with these options needs it.
    pub fn engine(&self, facts: &Facts, options: &BuildOptions) -> Result<Engine> {
        if self.global.facts.is_none() && must_look(facts, options) {
            docker::read(&self.runner)
        } else {
            Ok(facts.engine.clone())
        }
    }

    /// Where the commands of a plan from `facts` run.
    pub fn place<'f>(&'f self, facts: &'f Facts) -> ShellPlace<'f> {
        let engine_host = facts.lab.as_ref().and_then(|lab| lab.engine_host.as_deref());
        ShellPlace { root: &self.root, engine_host }
    }

    /// Saves the facts to the file of `--record-facts`.
    pub fn keep_facts(&self, facts: &Facts) -> Result<()> {
        match &self.global.record_facts {
            Some(path) => gather::save(facts, path),
            None => Ok(()),
        }
    }

    /// Refuses options about facts for a command without facts.
    pub fn gathers_no_facts(&self, command: &str) -> Result<()> {
        let given = [
            ("--facts", self.global.facts.is_some()),
            ("--record-facts", self.global.record_facts.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => {
                let message = format!("`{command}` gathers no facts, and takes no `{option}`");
                Err(Failure::usage(message).hint("cargo xtask build --record-facts FILE").into())
            }
        }
    }

    /// Refuses to publish or build from saved facts: they may be out of date.
    pub fn publishes_no_saved_facts(&self) -> Result<()> {
        if self.global.facts.is_some() && !self.global.dry_run {
            let message = "`--facts` plans from a file, and changes nothing";
            return Err(Failure::usage(message).hint("add --dry-run").into());
        }
        Ok(())
    }

    /// Refuses a `--format` that only some commands have.
    pub fn human_or_json(&self) -> Result<Format> {
        match self.global.format {
            format @ (Format::Human | Format::Json) => Ok(format),
            Format::Bake | Format::Matrix => {
                let message = "`--format bake` and `--format matrix` go with `build`";
                Err(Failure::usage(message).hint("cargo xtask build --format matrix").into())
            }
        }
    }

    /// Why nothing can be built here; `None` when docker, buildx and an engine are there. A build that every
    /// builder supports looks at the engine only after a failure, because a look takes a tenth of a second.
    pub fn engine_problem(&self) -> Result<Option<Failure>> {
        Ok(crate::plan::builder::problem(&docker::read(&self.runner)?))
    }

    /// Shows a message unless `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.global.quiet {
            terminal::message(text);
        }
    }
}

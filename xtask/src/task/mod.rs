//! The commands. One file tells the story of one command; what they share is how a command starts.

mod bench;
pub mod build;
pub mod cache;
mod check;
pub mod ci;
pub mod doctor;
mod floating;
mod gate;
mod github;
pub mod lab;
mod linters;
mod one_service;
pub mod prune;
mod publication;
mod publish;
pub mod push;
pub mod release;
pub mod repository;
mod signing;
mod smoked;
pub mod test;
mod untagged;
pub mod verify;
mod work;

use std::path::PathBuf;

use anyhow::Result;

use crate::cli::{Cli, Command, Format, Global, Lab};
use crate::model::facts::{Facts, LabFacts};
use crate::model::failure::{Exit, Failure};
use crate::model::lab::EngineChoice;
use crate::outside::gather::{self, Wanted};
use crate::outside::process::Runner;
use crate::outside::{docker, environment, terminal};
use crate::report::plan::Place;

/// Runs what was typed.
pub fn run(cli: Cli) -> Result<Exit> {
    let Cli { global, command } = cli;
    let start = Start::new(global)?;
    match command {
        Command::Build(options) => build::run(start, &options),
        Command::Push(options) => push::run(start, &options),
        Command::Release(options) => release::run(start, &options),
        Command::Verify(options) => verify::run(start, &options),
        Command::Doctor(options) => doctor::run(start, &options),
        Command::Prune(options) => prune::run(start, &options),
        Command::Cache { command } => cache::run(start, &command),
        Command::Lab { command: Lab::Bench(options) } => bench::run(start, &options),
        Command::Lab { command } => lab::run(&start, &command),
        Command::Ci(options) => ci::run(start, &options),
        Command::Test(options) => test::run(&start, &options),
    }
}

/// What every command has from its start.
pub struct Start {
    pub global: Global,
    pub root: PathBuf,
    /// Where records, logs and the lab live: `target/xtask` and `target/lab`.
    pub target: PathBuf,
    pub runner: Runner,
    lab: Option<LabFacts>,
}

impl Start {
    fn new(global: Global) -> Result<Self> {
        let root = environment::root()?;
        let target = environment::target_folder(&root);
        let runner = Runner::new(&root, global.verbose);
        Ok(Self { global, root, target, runner, lab: None })
    }

    /// The same start once more, for a part of the work with another runner.
    fn again(&self) -> Self {
        Self {
            global: self.global.clone(),
            root: self.root.clone(),
            target: self.target.clone(),
            runner: self.runner.clone(),
            lab: self.lab.clone(),
        }
    }

    /// Brings the lab up when `--lab` asks for it; from then on children talk to its engine.
    pub fn enter_lab(&mut self) -> Result<()> {
        self.enter_lab_with(EngineChoice::Auto)
    }

    /// The same with an engine of this kind.
    fn enter_lab_with(&mut self, choice: EngineChoice) -> Result<()> {
        if self.global.lab && self.global.facts.is_none() {
            let lab = lab::enter(self, choice)?;
            if let Some(host) = &lab.engine_host {
                self.runner = self.runner.clone().with_variable("DOCKER_HOST", host.clone());
            }
            self.lab = Some(lab);
        }
        Ok(())
    }

    /// The facts: from the world, or from the file of `--facts`.
    pub fn facts(&self, wanted: &Wanted<'_>) -> Result<Facts> {
        if let Some(path) = &self.global.facts {
            return gather::load(path);
        }
        let facts = gather::gather(&self.runner, &self.target, self.lab.clone(), wanted)?;
        self.keep_facts(&facts)?;
        Ok(facts)
    }

    /// Where the commands of a plan from `facts` run.
    fn place<'f>(&'f self, facts: &'f Facts) -> Place<'f> {
        let engine_host = facts.lab.as_ref().and_then(|lab| lab.engine_host.as_deref());
        Place { root: &self.root, engine_host }
    }

    /// Saves the facts where `--record-facts` says.
    pub fn keep_facts(&self, facts: &Facts) -> Result<()> {
        match &self.global.record_facts {
            Some(path) => gather::save(facts, path),
            None => Ok(()),
        }
    }

    /// Refuses options about facts where there are none.
    fn gathers_no_facts(&self, command: &str) -> Result<()> {
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

    /// Why nothing can be built here; `None` when docker, buildx and an engine are there. A build that
    /// any builder can do looks only once it failed, because a look takes a tenth of a second.
    fn engine_problem(&self) -> Result<Option<Failure>> {
        Ok(crate::plan::builder::problem(&docker::read(&self.runner)?))
    }

    /// Shows a message unless `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.global.quiet {
            terminal::message(text);
        }
    }
}

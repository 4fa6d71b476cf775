//! The lab as the benchmark uses it: a repository for each contender, an engine to empty, the counters of the
//! registry, and the link in front of it.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use xtask::command::Command;
use xtask::model::failure::Failure;
use xtask::model::invocation::Invocation;
use xtask::outside::lab::{LabPaths, runner_for};
use xtask::outside::process::Runner;
use xtask::outside::{environment, files};
use xtask::tools::OWN_PROGRAM;

use super::figures::{Figures, Measured, median};
use super::front::Front;
use super::rate::Rate;
use super::subject::{
    BenchPublication, Contender, EngineContent, Scenario, Skipped, Typed, dockerfile, noise,
};

/// The lab, and the `xtask` to measure in it.
pub struct BenchLab<'s> {
    command: &'s Command,
    runner: Runner,
    registry: String,
    front: Front,
    own: String,
}

/// The repository of one contender.
struct BenchRepository {
    folder: tempfile::TempDir,
    name: String,
    /// `xtask` finds the engine through the lab; the others get its address.
    runner: Runner,
}

const DATA: &str = "services/web/data";

impl<'s> BenchLab<'s> {
    pub fn new(command: &'s Command) -> Result<Self> {
        let place = LabPaths::new(&command.target);
        let state = place.state().context("the lab has no state")?;
        if !state.is_private() {
            let message = "the benchmark empties the engine, and the lab does not own this one";
            return Err(Failure::refused(message)
                .hint("cargo xtask lab up --engine private")
                .into());
        }
        Ok(Self {
            command,
            runner: runner_for(&command.runner, &state),
            registry: state.registry().context("the lab has no registry")?.to_string(),
            front: Front::of(&state),
            own: environment::text(OWN_PROGRAM).context("cannot find the path of `xtask`")?,
        })
    }

    /// The contenders that can run here, and the skipped ones.
    pub fn contenders(&self) -> Result<(Vec<Contender>, Vec<Skipped>)> {
        let compose = self.runner.finish(&docker(["compose", "version"]))?;
        let is_there = compose.code == Some(0);
        let contenders = Contender::ALL.into_iter();
        let here = contenders.filter(|one| *one != Contender::Compose || is_there).collect();
        let why = "docker has no compose plugin (apt-get install docker-compose)";
        let skipped = (!is_there).then_some((Contender::Compose, why.to_owned()));
        Ok((here, skipped.into_iter().collect()))
    }

    /// Puts a link of this rate in front of the registry; without a rate, removes the link of an earlier run.
    pub fn link(&self, rate: Option<&Rate>) -> Result<LimitedLink<'_>> {
        let link = LimitedLink(&self.front);
        self.front.limit(rate.map(|rate| rate.bytes_per_second))?;
        Ok(link)
    }

    /// Measures all scenarios of one contender in order, in its own repository.
    pub fn one(
        &self,
        round: u32,
        engine: EngineContent,
        contender: Contender,
    ) -> Result<Vec<Measured>> {
        let name = format!("{contender:?}-{engine:?}-{round}").to_lowercase();
        let repository = self.repository(&name)?;
        let mut measured = Vec::new();
        for (step, scenario) in (1_u64..).zip(Scenario::ALL) {
            repository.change(scenario, u64::from(round) * 10 + step)?;
            if engine == EngineContent::Emptied || scenario == Scenario::Cold {
                self.empty_engine()?;
            }
            let figures = self.measure(&repository, contender, scenario)?;
            measured.push(Measured { round, engine, contender, scenario, figures });
        }
        Ok(measured)
    }

    /// Median seconds of `xtask build` and of the bare command of its plan, measured in turns on a warm engine.
    pub fn overhead(&self, rounds: u32) -> Result<(f64, f64)> {
        let repository = self.repository("overhead")?;
        repository.change(Scenario::Cold, 1)?;
        let build = self.own(["build", "--lab", "--quiet"]);
        let plan = self.own(["build", "--lab", "--dry-run", "--quiet", "--format=json"]);
        repository.runner.output(&build)?;
        let planned: Value = serde_json::from_str(&repository.runner.output(&plan)?)?;
        let arguments = planned.pointer("/services/0/command/arguments").and_then(Value::as_array);
        let bare = docker(arguments.into_iter().flatten().filter_map(Value::as_str));
        let timed = |call: &Invocation| -> Result<f64> {
            let begun = Instant::now();
            repository.runner.output(call)?;
            Ok(begun.elapsed().as_secs_f64())
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds.max(5) * 2 {
            ours.push(timed(&build)?);
            theirs.push(timed(&bare)?);
        }
        Ok((median(ours), median(theirs)))
    }

    /// Median seconds of a dry run in this repository: the whole process, including git.
    pub fn dry_run(&self, rounds: u32) -> Result<f64> {
        let call = self.own(["build", "--lab", "--dry-run", "--quiet"]);
        let one = |_| -> Result<f64> {
            let begun = Instant::now();
            self.runner.output(&call)?;
            Ok(begun.elapsed().as_secs_f64())
        };
        (0..rounds.max(5) * 2).map(one).collect::<Result<_>>().map(median)
    }

    fn repository(&self, name: &str) -> Result<BenchRepository> {
        let folder = tempfile::tempdir()?;
        let name = format!("bench/{name}-{}", std::process::id());
        let mut runner = Runner::new(folder.path(), self.command.global.verbose)
            .with_variable("CARGO_MANIFEST_DIR", folder.path().join("xtask").display().to_string())
            .with_variable("CARGO_TARGET_DIR", self.command.target.display().to_string());
        if let Some(host) = self.runner.variable("DOCKER_HOST") {
            runner = runner.with_variable("DOCKER_HOST", host);
        }
        let repository = BenchRepository { folder, name, runner };
        let manifest = format!(
            "[workspace]\nmembers = []\n\n[workspace.metadata.images]\nrepository = \"{}\"\n",
            repository.name
        );
        repository.write("Cargo.toml", &manifest)?;
        repository.git(&["init", "--quiet", "--initial-branch=dev"])?;
        repository.git(&["config", "user.name", "Bench"])?;
        repository.git(&["config", "user.email", "bench@example.com"])?;
        Ok(repository)
    }

    fn empty_engine(&self) -> Result<()> {
        self.runner.output(&docker(["system", "prune", "--all", "--force", "--volumes"]))?;
        self.runner.output(&docker(["buildx", "prune", "--all", "--force"])).map(drop)
    }

    fn measure(
        &self,
        repository: &BenchRepository,
        contender: Contender,
        scenario: Scenario,
    ) -> Result<Figures> {
        let call = self.call(repository, contender, scenario)?;
        self.front.reset()?;
        let begun = Instant::now();
        repository.runner.output(&call)?;
        let seconds = begun.elapsed().as_secs_f64();
        let passed = self.front.passed()?;
        let bytes = passed.request_bytes + passed.response_bytes;
        Ok(Figures { seconds, bytes, requests: passed.requests })
    }

    /// The command of a contender; writes the file that it reads.
    fn call(
        &self,
        repository: &BenchRepository,
        contender: Contender,
        scenario: Scenario,
    ) -> Result<Invocation> {
        let revision = repository.git(&["rev-parse", "HEAD"])?;
        let image = format!("{}/{}/web", self.registry, repository.name);
        let subject = BenchPublication { image: &image, revision: revision.trim(), scenario };
        let file = self.command.target.join("xtask").join(format!("bench-{contender:?}.json"));
        let content = match contender {
            // A release publishes the last pushed commit, so it builds the same plan again.
            Contender::Bake if scenario == Scenario::Release => {
                Some(subject.bake_file(serde_json::from_str(&files::read(&file)?)?))
            }
            Contender::Bake => {
                let plan = ["push", "--lab", "--quiet", "--dry-run", "--rebuild", "--format=bake"];
                let plan = repository.runner.output(&self.own(plan))?;
                Some(subject.bake_file(serde_json::from_str(&plan)?))
            }
            Contender::Compose => {
                let context = repository.folder.path().join("services/web");
                Some(subject.compose_file(&context.display().to_string()))
            }
            _ => None,
        };
        if let Some(content) = content {
            files::write_atomically(&file, content.to_string().as_bytes())?;
        }
        Ok(match subject.typed(contender, &file.display().to_string()) {
            Typed::Own(arguments) => self.own(arguments),
            Typed::Docker(arguments) => docker(arguments),
        })
    }

    fn own<S: Into<String>>(&self, arguments: impl IntoIterator<Item = S>) -> Invocation {
        Invocation::new(&self.own, arguments)
    }
}

impl BenchRepository {
    fn write(&self, path: &str, text: &str) -> Result<()> {
        files::write_atomically(&self.folder.path().join(path), text.as_bytes())
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        self.runner.output(&Invocation::new("git", arguments.iter().copied()))
    }

    /// Makes the commit of a scenario.
    fn change(&self, scenario: Scenario, salt: u64) -> Result<()> {
        let id = format!("{}-{salt}", self.name);
        if scenario == Scenario::Release {
            // A release publishes the last pushed commit.
            return Ok(());
        }
        if matches!(scenario, Scenario::Cold | Scenario::Dependencies) {
            self.write("services/web/Dockerfile", &dockerfile(&id))?;
        }
        match scenario {
            Scenario::Cold | Scenario::OneFile => self.write(DATA, &noise(salt, 300_000))?,
            _ => self.write("NOTES", &id)?,
        }
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", &format!("feat: {scenario:?}")]).map(drop)
    }
}

/// The link in front of the registry; dropping it removes the limit.
pub struct LimitedLink<'w>(&'w Front);

impl Drop for LimitedLink<'_> {
    fn drop(&mut self) {
        // A lab that no longer answers has no link either.
        let _ = self.0.limit(None);
    }
}

fn docker<S: Into<String>>(arguments: impl IntoIterator<Item = S>) -> Invocation {
    Invocation::new("docker", arguments)
}

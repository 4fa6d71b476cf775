//! `cargo xtask lab bench`: our push and release beside what people type today, on the same engine and
//! registry, in one run and in turns. It writes docs/performance.md.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;
use ureq::http::Method;

use crate::cli::Bench;
use crate::model::bench::{Contender, Engine, Figures, Measured, Scenario};
use crate::model::failure::Exit;
use crate::model::invocation::Invocation;
use crate::outside::lab::{Place, runner_for, world};
use crate::outside::process::Runner;
use crate::outside::registry::{Call, Client, Options};
use crate::outside::{clock, files, terminal};
use crate::report;

use super::Start;

pub fn run(mut start: Start, options: &Bench) -> Result<Exit> {
    start.global.lab = true;
    start.enter_lab()?;
    let _link =
        options.bandwidth.as_ref().map(|rate| Link::slow(&start.runner, rate)).transpose()?;
    let world = World::new(&start)?;
    let mut measured = Vec::new();
    for round in 0..options.rounds {
        for engine in [Engine::Emptied, Engine::Warm] {
            for contender in Contender::ALL {
                let one = world.one(round, engine, contender)?;
                for figures in &one {
                    start.say(&report::bench::line(figures));
                }
                measured.extend(one);
            }
        }
    }
    let overhead = world.overhead(options.rounds)?;
    let compile = if options.no_compile { None } else { Some(compile_seconds(&start)?) };
    let about = report::bench::About {
        date: clock::now(),
        machine: machine(),
        versions: versions(&start)?,
        bandwidth: options.bandwidth.clone(),
        rounds: options.rounds,
        overhead,
        compile,
    };
    let page = report::bench::page(&measured, &about);
    if !start.global.dry_run {
        let path = start.root.join("docs").join("performance.md");
        files::write_atomically(&path, page.as_bytes())?;
        start.say(&format!("wrote {}", path.display()));
    }
    terminal::data(&page);
    Ok(Exit::Done)
}

/// The lab and a program to run in it.
struct World<'s> {
    start: &'s Start,
    runner: Runner,
    registry: String,
    control: String,
    client: Client,
    own: PathBuf,
}

/// One repository of a contender.
struct Repository {
    folder: tempfile::TempDir,
    name: String,
    runner: Runner,
}

const DATA: &str = "services/web/data";

impl<'s> World<'s> {
    fn new(start: &'s Start) -> Result<Self> {
        let place = Place::new(&start.target);
        let state = place.state().context("the lab has no state")?;
        Ok(Self {
            start,
            runner: runner_for(&start.runner, &state),
            registry: state.registry().context("the lab has no registry")?.to_string(),
            control: format!("http://127.0.0.1:{}", state.ports.front_control),
            client: Client::new(Options::default()),
            own: std::env::current_exe().context("the path of xtask itself is not known")?,
        })
    }

    /// All scenarios of one contender, one after the other, in a repository of its own.
    fn one(&self, round: u32, engine: Engine, contender: Contender) -> Result<Vec<Measured>> {
        let repository =
            self.repository(&format!("{contender:?}-{engine:?}-{round}").to_lowercase())?;
        let mut measured = Vec::new();
        for (step, scenario) in (1_u64..).zip(Scenario::ALL) {
            change(&repository, scenario, u64::from(round) * 10 + step)?;
            if engine == Engine::Emptied || scenario == Scenario::Cold {
                self.empty_engine()?;
            }
            let figures = self.measure(&repository, contender, scenario)?;
            measured.push(Measured { round, engine, contender, scenario, figures });
        }
        Ok(measured)
    }

    /// A service with 150 MB of packages, 8 MB from another stage and a file of 300 kB.
    fn repository(&self, name: &str) -> Result<Repository> {
        let folder = tempfile::tempdir()?;
        let name = format!("bench/{name}-{}", std::process::id());
        let runner = Runner::new(folder.path(), self.start.global.verbose)
            .with_variable("CARGO_MANIFEST_DIR", folder.path().join("xtask").display().to_string())
            .with_variable("CARGO_TARGET_DIR", self.start.target.display().to_string());
        let repository = Repository { folder, name, runner };
        let write = |path: &str, text: &str| {
            files::write_atomically(&repository.folder.path().join(path), text.as_bytes())
        };
        write(
            "Cargo.toml",
            &format!(
                "[workspace]\nmembers = []\n\n[workspace.metadata.images]\nrepository = \"{}\"\n",
                repository.name
            ),
        )?;
        git(&repository, &["init", "--quiet", "--initial-branch=dev"])?;
        git(&repository, &["config", "user.name", "Bench"])?;
        git(&repository, &["config", "user.email", "bench@example.com"])?;
        Ok(repository)
    }

    fn empty_engine(&self) -> Result<()> {
        let docker = |arguments: &[&str]| Invocation::new("docker", arguments.iter().copied());
        self.runner.output(&docker(&["system", "prune", "--all", "--force", "--volumes"]))?;
        self.runner.output(&docker(&["buildx", "prune", "--all", "--force"])).map(drop)
    }

    fn measure(
        &self,
        repository: &Repository,
        contender: Contender,
        scenario: Scenario,
    ) -> Result<Figures> {
        let calls = self.calls(repository, contender, scenario)?;
        self.ask(&Method::POST, "/reset")?;
        let begun = Instant::now();
        for call in &calls {
            // Ours finds the engine through the lab; the others are told.
            let runner = repository.runner.clone();
            let host = self.runner.variable("DOCKER_HOST");
            let runner = match host {
                Some(host) => runner.with_variable("DOCKER_HOST", host),
                None => runner,
            };
            runner.output(call)?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let counters = self.ask(&Method::GET, "/counters")?;
        let number = |name: &str| counters.get(name).and_then(Value::as_u64).unwrap_or(0);
        let bytes = number("request_bytes") + number("response_bytes");
        Ok(Figures { seconds, bytes, requests: number("requests") })
    }

    fn ask(&self, method: &Method, path: &str) -> Result<Value> {
        let answer = self
            .client
            .plain(Call::new(method.clone(), format!("{}{path}", self.control)).limit(64 << 20))?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// What a contender types.
    fn calls(
        &self,
        repository: &Repository,
        contender: Contender,
        scenario: Scenario,
    ) -> Result<Vec<Invocation>> {
        let own = self.own.to_string_lossy();
        let ours = |arguments: &[&str]| Invocation::new(&own, arguments.iter().copied());
        let revision = git(repository, &["rev-parse", "HEAD"])?;
        let revision = revision.trim();
        let image = format!("{}/{}/web", self.registry, repository.name);
        let release = scenario == Scenario::Release;
        let tags: Vec<String> = if release {
            ["v0.1.0", revision, "0.1", "0", "latest"].map(str::to_owned).to_vec()
        } else {
            vec![format!("dev-{revision}"), "dev".to_owned()]
        };
        Ok(match contender {
            Contender::Push if release => {
                vec![ours(&[
                    "release",
                    "v0.1.0",
                    "--lab",
                    "--quiet",
                    "--create-tag",
                    "--no-github-release",
                ])]
            }
            Contender::Push => vec![ours(&["push", "--lab", "--quiet"])],
            Contender::Rebuild if release => {
                vec![ours(&[
                    "release",
                    "v0.1.0",
                    "--lab",
                    "--quiet",
                    "--create-tag",
                    "--no-github-release",
                    "--rebuild",
                ])]
            }
            Contender::Rebuild => vec![ours(&["push", "--lab", "--quiet", "--rebuild"])],
            Contender::Seed => {
                let mut arguments =
                    vec!["buildx".to_owned(), "build".to_owned(), "--push".to_owned()];
                arguments.extend(
                    ["cache", "dev", "latest"].map(|tier| format!("--cache-from={image}:{tier}")),
                );
                arguments.push(format!("--cache-to=type=registry,ref={image}:cache,mode=max"));
                arguments.extend(tags.iter().map(|tag| format!("--tag={image}:{tag}")));
                arguments.push("services/web".to_owned());
                vec![Invocation::new("docker", arguments)]
            }
            Contender::Bake => {
                let plan =
                    ours(&["push", "--lab", "--quiet", "--dry-run", "--rebuild", "--format=bake"]);
                let text = repository.runner.output(&plan)?;
                let path = self.start.target.join("xtask").join("bench-bake.json");
                let mut file: Value = serde_json::from_str(&text)?;
                if release {
                    // The commit is published: what was built then is built again.
                    file = serde_json::from_str(&files::read(&path)?)?;
                }
                // As people have it: `bake --push` chooses the output.
                if let Some(target) = file.pointer_mut("/target/web").and_then(Value::as_object_mut)
                {
                    target.remove("output");
                    let names: Vec<String> =
                        tags.iter().map(|tag| format!("{image}:{tag}")).collect();
                    target.insert("tags".to_owned(), names.into());
                }
                files::write_atomically(&path, file.to_string().as_bytes())?;
                let file = format!("--file={}", path.display());
                vec![Invocation::new(
                    "docker",
                    ["buildx", "bake", "--push", "--allow=fs.read=*", &file],
                )]
            }
        })
    }

    /// What xtask adds to the bare command of the same plan: medians of both, in turns, on a warm engine.
    fn overhead(&self, rounds: u32) -> Result<(f64, f64)> {
        let repository = self.repository("overhead")?;
        change(&repository, Scenario::Cold, 1)?;
        let own = self.own.to_string_lossy();
        let build = Invocation::new(&own, ["build", "--lab", "--quiet"]);
        let plan =
            Invocation::new(&own, ["build", "--lab", "--dry-run", "--quiet", "--format=json"]);
        repository.runner.output(&build)?;
        let planned: Value = serde_json::from_str(&repository.runner.output(&plan)?)?;
        let arguments = planned.pointer("/services/0/command/arguments").and_then(Value::as_array);
        let arguments = arguments.into_iter().flatten().filter_map(Value::as_str);
        let bare = Invocation::new("docker", arguments);
        let runner = match self.runner.variable("DOCKER_HOST") {
            Some(host) => repository.runner.clone().with_variable("DOCKER_HOST", host),
            None => repository.runner.clone(),
        };
        let timed = |call: &Invocation| -> Result<f64> {
            let begun = Instant::now();
            runner.output(call)?;
            Ok(begun.elapsed().as_secs_f64())
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds.max(5) * 2 {
            ours.push(timed(&build)?);
            theirs.push(timed(&bare)?);
        }
        Ok((report::bench::median(&mut ours), report::bench::median(&mut theirs)))
    }
}

/// Makes the commit of a scenario.
fn change(repository: &Repository, scenario: Scenario, salt: u64) -> Result<()> {
    let write = |path: &str, text: &str| {
        files::write_atomically(&repository.folder.path().join(path), text.as_bytes())
    };
    let id = format!("{}-{salt}", repository.name);
    match scenario {
        Scenario::Cold | Scenario::Dependencies => write(
            "services/web/Dockerfile",
            &format!(
                "FROM debian:bookworm AS build\nRUN echo {id} && head -c 8000000 /dev/urandom > /built\n\
                 FROM debian:bookworm\nRUN echo {id} && head -c 150000000 /dev/urandom > /packages\n\
                 COPY --link --from=build /built /built\nCOPY --link data /data\n"
            ),
        )?,
        _ => {}
    }
    match scenario {
        Scenario::Cold | Scenario::OneFile => write(DATA, &noise(salt, 300_000))?,
        _ => write("NOTES", &id)?,
    }
    if scenario == Scenario::Release {
        // A release is of the commit that was pushed last.
        git(repository, &["checkout", "--quiet", "--", "."])?;
        git(repository, &["clean", "--quiet", "--force"])?;
    } else {
        let message = format!("feat: {scenario:?}");
        git(repository, &["add", "--all"])?;
        git(repository, &["commit", "--quiet", "--allow-empty", "--message", &message])?;
    }
    Ok(())
}

fn git(repository: &Repository, arguments: &[&str]) -> Result<String> {
    repository.runner.output(&Invocation::new("git", arguments.iter().copied()))
}

/// Text that does not compress well, another one for each salt.
fn noise(salt: u64, count: usize) -> String {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b' ' + u8::try_from(state % 95).unwrap_or(0))
    };
    (0..count).map(|_| next()).collect()
}

/// A slow loopback, until it goes.
struct Link<'r> {
    runner: &'r Runner,
}

impl<'r> Link<'r> {
    fn slow(runner: &'r Runner, rate: &str) -> Result<Self> {
        let tc = world::find("tc").context("`--bandwidth` needs `tc`, of the package iproute2")?;
        runner.output(&Invocation::new(
            &tc.to_string_lossy(),
            [
                "qdisc", "add", "dev", "lo", "root", "tbf", "rate", rate, "burst", "256kb",
                "latency", "50ms",
            ],
        ))?;
        Ok(Self { runner })
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        if let Some(tc) = world::find("tc") {
            // What cannot be removed is told by the next run, which cannot add it.
            let call =
                Invocation::new(&tc.to_string_lossy(), ["qdisc", "delete", "dev", "lo", "root"]);
            let _ = self.runner.clean_up(&call);
        }
    }
}

fn compile_seconds(start: &Start) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let target = format!("--target-dir={}", folder.path().display());
    let begun = Instant::now();
    start.runner.output(&Invocation::new(
        "cargo",
        ["build", "--quiet", "--locked", "--package=xtask", &target],
    ))?;
    Ok(begun.elapsed().as_secs_f64())
}

fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let system = world::distribution().map_or_else(
        || std::env::consts::OS.to_owned(),
        |(id, codename)| format!("{id} {codename}"),
    );
    format!("{count} × {}, {system}", model.map_or("unknown processor", |(_, name)| name))
}

fn versions(start: &Start) -> Result<String> {
    let engine = world::engine_version(&start.runner).unwrap_or_default();
    let buildx = start.runner.output(&Invocation::new("docker", ["buildx", "version"]))?;
    let buildx = buildx.split_whitespace().nth(1).unwrap_or_default().to_owned();
    Ok(format!("Docker Engine {engine} (containerd image store, `docker` driver), buildx {buildx}"))
}

//! `cargo xtask ci`: runs what a workflow would run, read from its file. Each line runs as a process of
//! this same program, with the environment that GitHub would give it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cli::{self, Format};
use crate::model::failure::{Exit, Failure};
use crate::model::invocation::Invocation;
use crate::model::token::Secret;
use crate::model::workflow::{Job, Step, Workflow, action_script, own_folder};
use crate::outside::gather::Wanted;
use crate::outside::job_files::JobFiles;
use crate::outside::lab::{Place, servers};
use crate::outside::process::Runner;
use crate::outside::{environment, files, git, terminal};
use crate::plan::ci::{self, Decision, Ended, Given, Instance, Setting, Settings, StepPlan, Told};
use crate::plan::expression::Contexts;
use crate::report;

use super::Start;

/// The variables of the Actions cache: its token and its address.
const ACTIONS: [&str; 2] = ["ACTIONS_RUNTIME_TOKEN", "ACTIONS_RESULTS_URL"];

pub fn run(mut start: Start, options: &cli::Ci) -> Result<Exit> {
    let format = start.human_or_json()?;
    let facts = start.facts(&Wanted::default())?;
    let file = options.play.file();
    let workflow = Workflow::parse(&files::read(&start.root.join(file))?).map_err(|error| {
        Failure::usage(format!("{file}:{}: {}", error.line, error.problem))
            .hint("cargo xtask verify --local")
    })?;
    ci::playable(&workflow)?;
    let given = given(&start, &workflow, options)?;
    let told = Told::new(options.play, &workflow, &facts, given)?;
    if start.global.dry_run {
        let plan = ci::plan(options.play, &workflow, told)?;
        terminal::data(&match format {
            Format::Json => format!("{}\n", serde_json::to_string_pretty(&plan)?),
            _ => terminal::printable(&report::ci::script(&plan)),
        });
        return Ok(Exit::Done);
    }
    if format == Format::Json {
        let message = "each line of a workflow prints its own data, so that all is no JSON";
        return Err(Failure::usage(message)
            .hint("cargo xtask ci pr --dry-run --format json")
            .into());
    }
    crate::lab::enter(&mut start)?;
    Run { start: &start, workflow: &workflow, told: &told, summaries: String::new() }.all()
}

/// What the command line and git say of the event.
fn given(start: &Start, workflow: &Workflow, options: &cli::Ci) -> Result<Given> {
    let payload = match &options.event {
        Some(path) => Some(serde_json::from_str(&files::read(path)?).map_err(|error| {
            Failure::usage(format!("`{}` holds no event: {error}", path.display()))
                .hint("give the JSON that GitHub has at `GITHUB_EVENT_PATH`")
        })?),
        None => None,
    };
    let base = match (&payload, workflow.trigger("pull_request")) {
        (None, Some(trigger)) => {
            let named = trigger.branches.iter().filter(|branch| !branch.contains('*'));
            git::left_from(&start.runner, &named.cloned().collect::<Vec<_>>())?
        }
        _ => None,
    };
    let global = &start.global;
    let passed_on = [(global.lab, "--lab"), (global.no_install, "--no-install")];
    let passed_on = passed_on.into_iter().filter(|(is_set, _)| *is_set);
    Ok(Given {
        payload,
        inputs: options.input.iter().cloned().collect(),
        variables: options.var.iter().cloned().collect(),
        base,
        options: passed_on.map(|(_, option)| option.to_owned()).collect(),
    })
}

struct Run<'r> {
    start: &'r Start,
    workflow: &'r Workflow,
    told: &'r Told,
    /// What the steps told people, as Markdown.
    summaries: String,
}

/// What the steps of one run of a job have given so far.
#[derive(Default)]
struct Progress {
    /// The `steps` context.
    steps: BTreeMap<String, Value>,
    given: BTreeMap<String, String>,
}

impl Run<'_> {
    /// Every job after those that it needs; the exit code is that of the first line that failed.
    fn all(mut self) -> Result<Exit> {
        let mut ended = BTreeMap::new();
        let mut exit = Exit::Done;
        for job in ci::order(self.workflow)? {
            let of_job = self.job(job, &mut ended)?;
            if exit == Exit::Done {
                exit = of_job;
            }
        }
        if !self.summaries.is_empty() {
            let path = self.start.target.join("xtask").join("ci").join("summary.md");
            files::write_atomically(&path, self.summaries.as_bytes())?;
            self.start.say(&format!("summary: {}", path.display()));
        }
        Ok(exit)
    }

    fn job(&mut self, job: &Job, ended: &mut BTreeMap<String, Ended>) -> Result<Exit> {
        let contexts = self.told.contexts().with("needs", ci::needs(job, ended));
        let instances = match ci::decide(job, &contexts, Some(ended))? {
            Decision::Skip(reason) => {
                self.start.say(&format!("job {}: skipped, {reason}", job.id));
                return Ok(Exit::Done);
            }
            Decision::Run { instances, .. } => instances,
        };
        let (mut exit, mut outputs) = (Exit::Done, BTreeMap::new());
        for instance in &instances {
            let begun = Instant::now();
            let label =
                instance.label.as_ref().map_or(String::new(), |label| format!(" ({label})"));
            self.start.say(&format!("job {}{label}", job.id));
            let (one, steps) = self.instance(job, &contexts, instance)?;
            let word = if one == Exit::Done { "succeeded" } else { "failed" };
            let seconds = begun.elapsed().as_secs_f64();
            self.start.say(&format!("job {}{label}: {word} in {seconds:.1} s", job.id));
            if exit == Exit::Done {
                exit = one;
            }
            outputs.extend(ci::outputs(job, &contexts.clone().with("steps", steps))?);
        }
        ended.insert(job.id.clone(), Ended { succeeded: exit == Exit::Done, outputs });
        Ok(exit)
    }

    /// One run of a job, up to the first step that fails; with its `steps` context.
    fn instance(
        &mut self,
        job: &Job,
        contexts: &Contexts,
        instance: &Instance,
    ) -> Result<(Exit, Value)> {
        let mut progress = Progress::default();
        let matrix = instance.matrix.clone().unwrap_or_default();
        for step in &job.steps {
            let contexts = contexts
                .clone()
                .with("matrix", matrix.clone())
                .with("steps", json!(progress.steps));
            let plan = ci::step(self.workflow, job, step, self.told, &contexts, &progress.given)?;
            match plan {
                StepPlan::Action { uses } => progress.given.extend(self.action(&uses)?),
                StepPlan::Skip { reason } => self.start.say(&format!("  skipped: {reason}")),
                StepPlan::Run { line, words, settings } => {
                    let exit = self.line(step, &line, words, &settings, &mut progress)?;
                    if exit != Exit::Done {
                        return Ok((exit, json!(progress.steps)));
                    }
                }
            }
        }
        Ok((Exit::Done, json!(progress.steps)))
    }

    fn line(
        &mut self,
        step: &Step,
        shown: &str,
        words: Vec<String>,
        settings: &Settings,
        progress: &mut Progress,
    ) -> Result<Exit> {
        let files = JobFiles::new(&self.told.payload)?;
        // GitHub gives these to actions; a line has them when one handed them over.
        let runner = with_all(&self.start.runner, ACTIONS.map(|name| (name, String::new())));
        let runner = with_all(&with_settings(&runner, settings)?, files.variables());
        self.start.say(&format!("  $ {shown}"));
        let call = Invocation::new(&environment::own_program()?, words);
        let code = runner.hand_over_for_code(&call)?;
        let outputs: BTreeMap<String, String> = files.outputs()?.into_iter().collect();
        if let Some(id) = &step.id {
            progress.steps.insert(id.clone(), json!({ "outputs": outputs }));
        }
        progress.given.extend(files.environment()?);
        self.summaries.push_str(&files.summary()?);
        Ok(exit_of(code))
    }

    /// Runs a JavaScript action of the repository itself; returns the variables that it sets for later
    /// steps. Any other action is GitHub's to run.
    fn action(&self, uses: &str) -> Result<BTreeMap<String, String>> {
        let Some(script) = self.script(uses)? else {
            self.start.say(&format!("  not run here: {uses}"));
            return Ok(BTreeMap::new());
        };
        if which::which("node").is_err() {
            // As far as it matters for the lines, what it would do is known.
            let message =
                "not run here without `node`; the Actions cache is handed over all the same";
            self.start.say(&format!("  {message}: {uses}"));
            return Ok(self
                .actions()?
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect());
        }
        let files = JobFiles::new(&self.told.payload)?;
        let runner = with_all(&self.start.runner, files.variables());
        let call = Invocation::new("node", [script.display().to_string()]);
        self.start.say(&format!("  $ {call}"));
        let said = with_all(&runner, self.actions()?).output(&call)?;
        // The other commands of a log, `add-mask` with its secret among them, are for GitHub.
        for warning in said.lines().filter_map(|line| line.strip_prefix("::warning::")) {
            self.start.say(&format!("  warning: {warning}"));
        }
        Ok(files.environment()?.into_iter().collect())
    }

    fn script(&self, uses: &str) -> Result<Option<PathBuf>> {
        let Some(folder) = own_folder(uses).map(|own| self.start.root.join(own)) else {
            return Ok(None);
        };
        let file = folder.join("action.yml");
        let script = action_script(&files::read(&file)?).map_err(|error| {
            Failure::usage(format!("{}:{}: {}", file.display(), error.line, error.problem))
                .hint("cargo xtask verify --local")
        })?;
        Ok(script.map(|script| folder.join(script)))
    }

    /// What GitHub gives to actions: the lab's in the lab, and elsewhere this environment's as it is.
    fn actions(&self) -> Result<Vec<(&'static str, String)>> {
        if !self.start.global.lab {
            return Ok(Vec::new());
        }
        let place = Place::new(&self.start.target);
        let state = place.state().context("the lab is not up")?;
        let scopes = self.told.cache_scopes();
        let secret: Secret = servers::actions_token(&self.start.runner, &place, &scopes)?;
        let address = format!("http://127.0.0.1:{}/", state.ports.actions_cache);
        let [token, url] = ACTIONS;
        Ok(vec![(token, secret.reveal().to_owned()), (url, address)])
    }
}

fn with_all(
    runner: &Runner,
    variables: impl IntoIterator<Item = (&'static str, String)>,
) -> Runner {
    let add = |runner: Runner, (name, value)| runner.with_variable(name, value);
    variables.into_iter().fold(runner.clone(), add)
}

/// A runner whose children get the settings. Their values are never shown, secrets least of all.
fn with_settings(runner: &Runner, settings: &Settings) -> Result<Runner> {
    let mut runner = runner.clone();
    for (name, setting) in settings {
        let value = match setting {
            Setting::Value(value) => value.clone(),
            Setting::Secret(source) => environment::text(source).unwrap_or_default(),
            Setting::Later(expression) => {
                let message = format!("`{name}` has no value yet: {expression}");
                return Err(Failure::usage(message).hint("cargo xtask verify --local").into());
            }
        };
        runner = runner.with_variable(name, value);
    }
    Ok(runner)
}

/// The exit code of a line, as ours.
fn exit_of(code: Option<i32>) -> Exit {
    match code {
        Some(0) => Exit::Done,
        Some(2) => Exit::Usage,
        Some(3) => Exit::Refused,
        Some(4) => Exit::Unfinished,
        _ => Exit::Failed,
    }
}

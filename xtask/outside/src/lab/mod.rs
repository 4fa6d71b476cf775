//! The lab's effects: each step that brings it up, looks at it or takes it down. `plan::lab` decides which
//! steps are needed.

pub mod bases;
pub mod down;
pub mod engine;
pub mod install;
mod left_behind;
pub mod servers;
pub mod stand_in;
pub mod world;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use xtask_model::invocation::Invocation;
use xtask_model::lab::{LabState, STATE_SCHEMA};

use super::files;
use super::process::Runner;
use super::running::is_alive;

/// The folders of the lab. Everything is below these two, so that it can be deleted completely.
#[derive(Debug, Clone)]
pub struct LabPaths {
    /// State, pid files, logs, data: `target/lab`.
    pub folder: PathBuf,
    /// Sockets and run-time state: `/run/autogit-lab-HASH`. A path of a Unix socket has at most 107
    /// bytes, so it cannot be below a repository.
    pub run: PathBuf,
    /// Eight digits that differ between checkouts.
    pub id: String,
}

impl LabPaths {
    pub fn new(target: &Path) -> Self {
        let folder = target.join("lab");
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        let id = hash([folder.to_string_lossy().as_bytes()]).chars().take(8).collect::<String>();
        Self { folder, run: PathBuf::from("/run").join(format!("autogit-lab-{id}")), id }
    }

    pub fn state_file(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    /// The state of an earlier `up` of this version.
    pub fn state(&self) -> Option<LabState> {
        let text = std::fs::read_to_string(self.state_file()).ok()?;
        serde_json::from_str(&text).ok().filter(|state: &LabState| state.schema == STATE_SCHEMA)
    }

    pub fn save(&self, state: &LabState) -> Result<()> {
        let text = serde_json::to_vec_pretty(state).context("cannot write the state of the lab")?;
        files::write_atomically(&self.state_file(), &text)
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    fn pid_file(&self, name: &str) -> PathBuf {
        self.folder.join("pids").join(name)
    }

    /// The process that was started as `name`, if it still runs. Another program with the same number does not
    /// count.
    pub fn process(&self, name: &str) -> Option<u32> {
        let text = std::fs::read_to_string(self.pid_file(name)).ok()?;
        let pid = text.trim().parse().ok()?;
        is_alive(pid, &self.marks()).then_some(pid)
    }

    /// What only the command lines of our processes contain: our two folders.
    fn marks(&self) -> [&str; 2] {
        [self.run.to_str().unwrap_or(&self.id), self.folder.to_str().unwrap_or(&self.id)]
    }

    /// Keeps other commands from changing the lab until the lock is dropped.
    pub fn lock(&self) -> Result<std::fs::File> {
        let path = self.folder.join("lock");
        let take = || -> std::io::Result<std::fs::File> {
            std::fs::create_dir_all(&self.folder)?;
            let file = std::fs::File::create(&path)?;
            file.lock()?;
            Ok(file)
        };
        take().with_context(|| format!("cannot lock `{}`", path.display()))
    }

    /// Starts a process that outlives this command, and remembers its number.
    pub fn start(&self, runner: &Runner, name: &str, call: &Invocation) -> Result<()> {
        let log = self.log(name);
        let pid = runner.start_detached(call, &self.folder, &log)?;
        files::write_atomically(&self.pid_file(name), format!("{pid}\n").as_bytes())
    }
}

/// A runner whose children talk to the lab's engine.
pub fn runner_for(runner: &Runner, state: &LabState) -> Runner {
    match state.engine_host() {
        Some(host) => runner.clone().with_variable("DOCKER_HOST", host),
        None => runner.clone(),
    }
}

/// Hexadecimal SHA-256 of some texts and their lengths.
pub(super) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&part.len().to_le_bytes());
        context.update(part);
    }
    super::registry::digest::hex(context.finish().as_ref())
}

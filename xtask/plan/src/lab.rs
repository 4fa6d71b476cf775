//! Which steps bring the lab up from what is there, each with its reason.

use std::fmt;

use serde::Serialize;

use xtask_model::failure::Failure;
use xtask_model::lab::{EngineChoice, Package, Running};

/// What was seen of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    pub linux: bool,
    pub root: bool,
    /// Whether `sudo` makes us root without asking for a password.
    pub sudo: bool,
    /// `ID` and `VERSION_CODENAME` of /etc/os-release.
    pub distribution: Option<(String, String)>,
    /// Programs of [`Program`] that are on the PATH.
    pub programs: Vec<Program>,
    /// The engine that `docker` reaches, when there is one.
    pub engine: Option<FoundEngine>,
    /// What of the lab runs already.
    pub running: Running,
    /// The engine of the lab that is up or was up: whether it is a private one.
    pub private_before: Option<bool>,
    /// Bases of the services, and what is known of each.
    pub bases: Vec<Base>,
}

/// A program that the lab may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Docker,
    Buildx,
    Dockerd,
    Registry,
    Debootstrap,
    Ip,
}

impl Program {
    pub const ALL: [Self; 6] =
        [Self::Docker, Self::Buildx, Self::Dockerd, Self::Registry, Self::Debootstrap, Self::Ip];

    /// What is looked for on the PATH; buildx is a plugin and is asked otherwise.
    pub fn command(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Buildx => "docker buildx",
            Self::Dockerd => "dockerd",
            Self::Registry => "docker-registry",
            Self::Debootstrap => "debootstrap",
            Self::Ip => "ip",
        }
    }

    /// Debian's and Ubuntu's package, and whether Debian 12 needs it from a later suite.
    fn package(self) -> (&'static str, bool) {
        match self {
            Self::Docker => ("docker-cli", true),
            Self::Buildx => ("docker-buildx", true),
            Self::Dockerd => ("docker.io", true),
            Self::Registry => ("docker-registry", false),
            Self::Debootstrap => ("debootstrap", false),
            Self::Ip => ("iproute2", false),
        }
    }
}

/// An engine that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEngine {
    pub version: String,
}

/// A base image of the services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub reference: String,
    /// Whether its own registry answers.
    pub pullable: bool,
    /// Whether a stand-in made from the same inputs is in the registry.
    pub present: bool,
}

impl Base {
    /// Whether a build gets it as things are.
    pub fn is_there(&self) -> bool {
        self.pullable || self.present
    }
}

/// One step; carried out by `outside::lab`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Action {
    Install { packages: Vec<Package> },
    StartRegistry,
    StartServers,
    StartEngine,
    MakeBase { reference: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub action: Action,
    pub reason: String,
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install { packages } => write!(formatter, "install {}", joined(packages)),
            Self::StartRegistry => formatter.write_str("start the registry"),
            Self::StartServers => formatter.write_str("start the stand-in servers"),
            Self::StartEngine => formatter.write_str("start a private engine"),
            Self::MakeBase { reference } => write!(formatter, "make a stand-in for {reference}"),
        }
    }
}

fn joined(packages: &[Package]) -> String {
    packages.iter().map(Package::to_string).collect::<Vec<_>>().join(" ")
}

/// What will be done, and with which engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabPlan {
    pub private: bool,
    pub engine_reason: String,
    pub steps: Vec<Step>,
}

impl LabPlan {
    /// The engine, in words.
    pub fn engine(&self) -> &'static str {
        if self.private { "a private engine" } else { "the engine that is there" }
    }
}

/// The oldest engine whose containerd store does all that plans ask of it.
const OLDEST_ENGINE: u64 = 26;

/// Whether all that the lab consists of runs, with an engine such as is asked for. This is asked with every
/// `--lab`, and no process is asked for it.
pub fn runs(running: Running, is_private: bool, choice: EngineChoice) -> bool {
    let engine = match choice {
        EngineChoice::Auto => running.engine || !is_private,
        EngineChoice::Private => running.engine && is_private,
        EngineChoice::Existing => !is_private,
    };
    running.registry && running.servers && engine
}

/// Where checks that empty the engine may run: on the lab's own, and on no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    Private,
    /// The same, by root.
    PrivateBySudo,
    /// On an engine that is another's, and why there is no private one.
    Existing(String),
    /// Nowhere, and why.
    Nowhere(String),
}

/// Decides where the checks of the lab run.
pub fn ground(world: &World, may_install: bool) -> Ground {
    let Err(no_private) = plan(world, EngineChoice::Private, may_install) else {
        return Ground::Private;
    };
    let as_root = World { root: true, ..world.clone() };
    if world.sudo && !world.root && plan(&as_root, EngineChoice::Private, may_install).is_ok() {
        return Ground::PrivateBySudo;
    }
    match plan(world, EngineChoice::Existing, may_install) {
        Ok(_) => Ground::Existing(no_private.message),
        Err(_) => Ground::Nowhere(no_private.message),
    }
}

/// Decides how to bring the lab up.
pub fn plan(world: &World, choice: EngineChoice, may_install: bool) -> Result<LabPlan, Failure> {
    let (private, engine_reason) = engine(world, choice)?;
    let missing = missing(world, private);
    if let Some(base) = world.bases.iter().find(|base| !base.is_there() && !world.root) {
        return Err(Failure::failed(format!(
            "the registry of a base does not answer, and to make a stand-in needs root: {}",
            base.reference
        ))
        .hint("run it again as root"));
    }
    let mut steps = Vec::new();
    if let Some(install) = install(world, &missing, may_install)? {
        steps.push(install);
    }
    let mut step = |action, reason: &str| steps.push(Step { action, reason: reason.to_owned() });
    if !world.running.registry {
        step(Action::StartRegistry, "it does not run");
    }
    if !world.running.servers {
        step(Action::StartServers, "they do not run");
    }
    if private && !world.running.engine {
        step(Action::StartEngine, "it does not run");
    }
    for base in world.bases.iter().filter(|base| !base.is_there()) {
        step(
            Action::MakeBase { reference: base.reference.clone() },
            "its registry does not answer, and there is no stand-in from the same inputs",
        );
    }
    Ok(LabPlan { private, engine_reason, steps })
}

fn engine(world: &World, choice: EngineChoice) -> Result<(bool, String), Failure> {
    let recent = |engine: &FoundEngine| {
        let major = engine.version.split('.').next().and_then(|major| major.parse::<u64>().ok());
        major.is_some_and(|major| major >= OLDEST_ENGINE)
    };
    let has_buildx = world.programs.contains(&Program::Buildx);
    let usable = match &world.engine {
        None => Err("no engine answers".to_owned()),
        Some(engine) if !recent(engine) => {
            Err(format!("engine {} is older than {OLDEST_ENGINE}", engine.version))
        }
        Some(_) if !has_buildx => Err("`docker` has no buildx plugin".to_owned()),
        Some(engine) => Ok(format!("engine {} answers", engine.version)),
    };
    match (choice, usable, world.private_before) {
        (EngineChoice::Existing, Err(reason), _) => {
            Err(Failure::failed(format!("the lab cannot use an existing engine: {reason}"))
                .hint("cargo xtask lab up --engine private"))
        }
        (EngineChoice::Private, ..) => linux(world, "an engine of its own is asked for"),
        // What a running lab has is kept: its images are there.
        (EngineChoice::Auto, _, Some(true)) => linux(world, "the lab has one already"),
        (EngineChoice::Existing | EngineChoice::Auto, Ok(reason), _) => Ok((false, reason)),
        (EngineChoice::Auto, Err(reason), _) => linux(world, &reason),
    }
}

/// A private engine needs Linux and root.
fn linux(world: &World, reason: &str) -> Result<(bool, String), Failure> {
    if !world.linux {
        return Err(Failure::failed(format!(
            "the lab's own engine runs on Linux only, and {reason}"
        ))
        .hint("start Docker Desktop, then run it again"));
    }
    if !world.root {
        return Err(Failure::failed(format!("the lab's own engine needs root, and {reason}"))
            .hint("run it again as root, or start a docker engine"));
    }
    Ok((true, reason.to_owned()))
}

fn missing(world: &World, private: bool) -> Vec<Program> {
    let stand_ins = world.bases.iter().any(|base| !base.is_there());
    let needed = |program: &Program| match program {
        Program::Docker | Program::Buildx | Program::Registry => true,
        Program::Dockerd | Program::Ip => private,
        Program::Debootstrap => stand_ins,
    };
    let absent = |program: &Program| !world.programs.contains(program);
    Program::ALL.into_iter().filter(needed).filter(absent).collect()
}

/// The step that installs what is missing, or why it cannot be had.
fn install(world: &World, missing: &[Program], may_install: bool) -> Result<Option<Step>, Failure> {
    if missing.is_empty() {
        return Ok(None);
    }
    let commands: Vec<_> = missing.iter().map(|p| format!("`{}`", p.command())).collect();
    let message = format!("the lab needs {}, not found here", commands.join(", "));
    let (id, codename) = match &world.distribution {
        Some((id, codename)) if matches!(id.as_str(), "debian" | "ubuntu") => (id, codename),
        _ => {
            return Err(Failure::failed(message).hint(
                "install them; the lab can do that itself only on Debian 12 or later and Ubuntu",
            ));
        }
    };
    let bookworm = id == "debian" && codename == "bookworm";
    let mut packages: Vec<Package> = Vec::new();
    for program in missing {
        let (name, later) = program.package();
        // Ubuntu's docker.io carries the client.
        let name = if id == "ubuntu" && *program == Program::Docker { "docker.io" } else { name };
        let package = Package { name, from_forky: later && bookworm };
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    if !may_install || !(world.root || world.sudo) {
        let because = if may_install { "not root" } else { "`--no-install`" };
        let sudo = if world.root { "" } else { "sudo " };
        return Err(Failure::failed(format!("{message} ({because} forbids to install)"))
            .hint(format!("{sudo}apt-get install --no-install-recommends {}", joined(&packages))));
    }
    Ok(Some(Step {
        reason: format!("{} not found here", commands.join(", ")),
        action: Action::Install { packages },
    }))
}

#[cfg(test)]
#[path = "lab_tests.rs"]
mod tests;

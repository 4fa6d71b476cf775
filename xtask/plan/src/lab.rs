//! Plans the steps that bring the lab up, each with its reason.

use std::fmt;

use serde::Serialize;

use xtask_model::failure::Failure;
use xtask_model::lab::{DebianPackage, EngineChoice, Running};

/// The facts about the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    pub linux: bool,
    pub root: bool,
    /// Whether `sudo` works without a password.
    pub sudo: bool,
    /// `ID` and `VERSION_CODENAME` of /etc/os-release.
    pub distribution: Option<(String, String)>,
    /// Programs of [`Program`] that are on the PATH.
    pub programs: Vec<Program>,
    /// The engine that `docker` reaches, if there is one.
    pub engine: Option<FoundEngine>,
    /// The parts of the lab that run already.
    pub running: Running,
    /// Whether the lab's engine is private, if the lab is or was up.
    pub private_before: Option<bool>,
    /// The bases of the services, with the known facts.
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

    /// The name to look for on the PATH; buildx is a plugin and is found in a different way.
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
    /// Whether a build can get it now.
    pub fn is_there(&self) -> bool {
        self.pullable || self.present
    }
}

/// One step; `outside::lab` executes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum LabAction {
    Install { packages: Vec<DebianPackage> },
    StartRegistry,
    StartServers,
    StartEngine,
    MakeBase { reference: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabStep {
    pub action: LabAction,
    pub reason: String,
}

impl fmt::Display for LabAction {
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

fn joined(packages: &[DebianPackage]) -> String {
    packages.iter().map(DebianPackage::to_string).collect::<Vec<_>>().join(" ")
}

/// The steps to execute, and the engine to use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabPlan {
    pub private: bool,
    pub engine_reason: String,
    pub steps: Vec<LabStep>,
}

impl LabPlan {
    /// The engine, in words.
    pub fn engine(&self) -> &'static str {
        if self.private { "a private engine" } else { "the existing engine" }
    }
}

/// The oldest engine whose containerd store can do everything that plans need.
const OLDEST_ENGINE: u64 = 26;

/// Whether the whole lab runs, with the requested engine. Every `--lab` asks this, so it starts no process.
pub fn runs(running: Running, is_private: bool, choice: EngineChoice) -> bool {
    let engine = match choice {
        EngineChoice::Auto => running.engine || !is_private,
        EngineChoice::Private => running.engine && is_private,
        EngineChoice::Existing => !is_private,
    };
    running.registry && running.servers && engine
}

/// Decides how to bring the lab up.
pub fn plan(world: &World, choice: EngineChoice, may_install: bool) -> Result<LabPlan, Failure> {
    let (private, engine_reason) = engine(world, choice)?;
    let missing = missing(world, private);
    if let Some(base) = world.bases.iter().find(|base| !base.is_there() && !world.root) {
        return Err(Failure::failed(format!(
            "the registry of a base image does not answer, and a stand-in needs root: `{}`",
            base.reference
        ))
        .hint("run it again as root"));
    }
    let mut steps = Vec::new();
    if let Some(install) = install(world, &missing, may_install)? {
        steps.push(install);
    }
    let mut step = |action, reason: &str| steps.push(LabStep { action, reason: reason.to_owned() });
    if !world.running.registry {
        step(LabAction::StartRegistry, "it is not running");
    }
    if !world.running.servers {
        step(LabAction::StartServers, "they are not running");
    }
    if private && !world.running.engine {
        step(LabAction::StartEngine, "it is not running");
    }
    for base in world.bases.iter().filter(|base| !base.is_there()) {
        step(
            LabAction::MakeBase { reference: base.reference.clone() },
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
        (EngineChoice::Private, ..) => linux(world, "a private engine was requested"),
        // Keep the engine of a running lab, because it has the images.
        (EngineChoice::Auto, _, Some(true)) => linux(world, "the lab already has one"),
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

/// The step that installs the missing programs, or why they cannot be installed.
fn install(
    world: &World,
    missing: &[Program],
    may_install: bool,
) -> Result<Option<LabStep>, Failure> {
    if missing.is_empty() {
        return Ok(None);
    }
    let commands: Vec<_> = missing.iter().map(|p| format!("`{}`", p.command())).collect();
    let missing_programs = commands.join(", ");
    let (id, codename) = match &world.distribution {
        Some((id, codename)) if matches!(id.as_str(), "debian" | "ubuntu") => (id, codename),
        _ => {
            let message = format!("the lab needs programs that are missing: {missing_programs}");
            return Err(Failure::failed(message).hint(
                "install them; the lab installs programs only on Debian 12 or later and on Ubuntu",
            ));
        }
    };
    let bookworm = id == "debian" && codename == "bookworm";
    let mut packages: Vec<DebianPackage> = Vec::new();
    for program in missing {
        let (name, later) = program.package();
        // Ubuntu's docker.io contains the client.
        let name = if id == "ubuntu" && *program == Program::Docker { "docker.io" } else { name };
        let package = DebianPackage { name, from_forky: later && bookworm };
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    if !may_install || !(world.root || world.sudo) {
        let why = if may_install { "only root can install" } else { "`--no-install` is set" };
        let sudo = if world.root { "" } else { "sudo " };
        let message =
            format!("the lab needs programs that are missing, and {why}: {missing_programs}");
        return Err(Failure::failed(message)
            .hint(format!("{sudo}apt-get install --no-install-recommends {}", joined(&packages))));
    }
    Ok(Some(LabStep {
        reason: format!("missing: {missing_programs}"),
        action: LabAction::Install { packages },
    }))
}

#[cfg(test)]
#[path = "lab_tests.rs"]
mod tests;

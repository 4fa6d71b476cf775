//! Which steps bring the lab up from what is there, each with its reason.

use std::fmt;

use crate::model::failure::Failure;
use crate::model::lab::{EngineChoice, Running};

/// What was seen of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    pub linux: bool,
    pub root: bool,
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

/// One step; carried out by `outside::lab`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Installs packages; those of `from_forky` need Debian's pinned suite.
    Install {
        packages: Vec<&'static str>,
        from_forky: bool,
    },
    StartRegistry,
    StartServers,
    StartEngine,
    MakeBase {
        reference: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub action: Action,
    pub reason: String,
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install { packages, .. } => write!(formatter, "install {}", packages.join(" ")),
            Self::StartRegistry => formatter.write_str("start the registry"),
            Self::StartServers => formatter.write_str("start the stand-in servers"),
            Self::StartEngine => formatter.write_str("start a private engine"),
            Self::MakeBase { reference } => write!(formatter, "make a stand-in for {reference}"),
        }
    }
}

/// What will be done, and with which engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabPlan {
    pub private: bool,
    pub engine_reason: String,
    pub steps: Vec<Step>,
}

/// The oldest engine whose containerd store does all that plans ask of it.
const OLDEST_ENGINE: u64 = 26;

/// Decides how to bring the lab up.
pub fn plan(world: &World, choice: EngineChoice, may_install: bool) -> Result<LabPlan, Failure> {
    let (private, engine_reason) = engine(world, choice)?;
    let missing = missing(world, private);
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
    for base in world.bases.iter().filter(|base| !base.pullable && !base.present) {
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
        (EngineChoice::Private, ..) => linux(world, "`--engine private` asks for one"),
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
    let stand_ins = world.bases.iter().any(|base| !base.pullable && !base.present);
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
    let package = |program: &Program| {
        let (name, later) = program.package();
        // Ubuntu's docker.io carries the client.
        let name = if id == "ubuntu" && *program == Program::Docker { "docker.io" } else { name };
        (name, later && bookworm)
    };
    let mut packages: Vec<(&'static str, bool)> = missing.iter().map(package).collect();
    packages.dedup();
    let from_forky = packages.iter().any(|(_, later)| *later);
    let names: Vec<&'static str> = packages.into_iter().map(|(name, _)| name).collect();
    if !may_install || !world.root {
        let because = if may_install { "not root" } else { "`--no-install`" };
        return Err(Failure::failed(format!("{message} ({because} forbids to install)"))
            .hint(format!("apt-get install --no-install-recommends {}", names.join(" "))));
    }
    Ok(Some(Step {
        reason: format!("{} not found here", commands.join(", ")),
        action: Action::Install { packages: names, from_forky },
    }))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn bare_debian() -> World {
        World {
            linux: true,
            root: true,
            distribution: Some(("debian".to_owned(), "bookworm".to_owned())),
            programs: vec![Program::Ip],
            bases: vec![Base {
                reference: "debian:bookworm".to_owned(),
                pullable: false,
                present: false,
            }],
            ..World::default()
        }
    }

    fn check(world: &World, choice: EngineChoice, may_install: bool, expected: &Expect) {
        let shown = match plan(world, choice, may_install) {
            Ok(plan) => {
                let engine = if plan.private { "private" } else { "existing" };
                let head = format!("{engine}: {}", plan.engine_reason);
                let steps = plan.steps.iter().map(|s| format!("\n{} ({})", s.action, s.reason));
                std::iter::once(head).chain(steps).collect()
            }
            Err(failure) => {
                format!("{failure}\nhint: {}", failure.hint.clone().unwrap_or_default())
            }
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn a_bare_machine_gets_everything() {
        check(
            &bare_debian(),
            EngineChoice::Auto,
            true,
            &expect![[r"
                private: no engine answers
                install docker-cli docker-buildx docker.io docker-registry debootstrap (`docker`, `docker buildx`, `dockerd`, `docker-registry`, `debootstrap` not found here)
                start the registry (it does not run)
                start the stand-in servers (they do not run)
                start a private engine (it does not run)
                make a stand-in for debian:bookworm (its registry does not answer, and there is no stand-in from the same inputs)"]],
        );
    }

    #[test]
    fn a_lab_that_is_up_needs_nothing() {
        let mut world = bare_debian();
        world.programs = Program::ALL.to_vec();
        world.running = Running { registry: true, servers: true, engine: true };
        world.private_before = Some(true);
        world.bases.iter_mut().for_each(|base| base.present = true);
        check(&world, EngineChoice::Auto, true, &expect!["private: the lab has one already"]);
    }

    #[test]
    fn an_engine_that_is_there_and_recent_is_used() {
        let mut world = bare_debian();
        world.programs = Program::ALL.to_vec();
        world.bases.clear();
        world.engine = Some(FoundEngine { version: "28.5.2+dfsg4".to_owned() });
        let servers = expect![[r"
            existing: engine 28.5.2+dfsg4 answers
            start the registry (it does not run)
            start the stand-in servers (they do not run)"]];
        check(&world, EngineChoice::Auto, true, &servers);
        world.engine = Some(FoundEngine { version: "20.10.24".to_owned() });
        let old = expect![[r"
            private: engine 20.10.24 is older than 26
            start the registry (it does not run)
            start the stand-in servers (they do not run)
            start a private engine (it does not run)"]];
        check(&world, EngineChoice::Auto, true, &old);
        let refused = expect![[r"
            the lab cannot use an existing engine: engine 20.10.24 is older than 26
            hint: cargo xtask lab up --engine private"]];
        check(&world, EngineChoice::Existing, true, &refused);
    }

    #[test]
    fn what_may_not_be_installed_is_named_with_the_command() {
        check(
            &bare_debian(),
            EngineChoice::Auto,
            false,
            &expect![[r"
                the lab needs `docker`, `docker buildx`, `dockerd`, `docker-registry`, `debootstrap`, not found here (`--no-install` forbids to install)
                hint: apt-get install --no-install-recommends docker-cli docker-buildx docker.io docker-registry debootstrap"]],
        );
    }

    #[test]
    fn a_machine_that_cannot_have_a_private_engine_says_why() {
        let mac = World { linux: false, root: false, ..World::default() };
        let desktop = expect![[r"
            the lab's own engine runs on Linux only, and no engine answers
            hint: start Docker Desktop, then run it again"]];
        check(&mac, EngineChoice::Auto, true, &desktop);
        let user = World { root: false, ..bare_debian() };
        let root = expect![[r"
            the lab's own engine needs root, and no engine answers
            hint: run it again as root, or start a docker engine"]];
        check(&user, EngineChoice::Auto, true, &root);
    }
}

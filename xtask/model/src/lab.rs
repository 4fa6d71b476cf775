//! The lab: an engine, a registry, stand-ins for GitHub's services and for base images, all on
//! loopback. Its state is kept in `target/lab/state.json`; which steps bring it up is decided in
//! `plan::lab`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::facts::LabFacts;
use super::reference::{Reference, Registry};

/// Every stand-in base, and so every image built on one, carries this label; its value is the
/// reference it stands in for.
pub const STAND_IN_LABEL: &str = "io.autogit.lab.stand-in";

/// The label of the lab's private engine, by which a publication from it is told.
pub const ENGINE_LABEL: &str = "io.autogit.lab=private-engine";

/// Which engine the lab uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// The engine that is there, when it is recent enough; else a private one
    Auto,
    /// A private engine beside any other
    Private,
    /// The engine that is there
    Existing,
}

/// What is kept from one command to the next. Ports and names are chosen once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub schema: u32,
    pub engine: EngineState,
    pub ports: Ports,
    /// The stand-in bases that are in the registry, by reference.
    #[serde(default)]
    pub bases: BTreeMap<String, StandIn>,
}

/// Version of the state's shape; a lab of another version is taken down and made anew.
pub const STATE_SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum EngineState {
    /// Our own, with a bridge of its own.
    Private { host: String, bridge: String, subnet: String },
    /// The one that was there; `host` is `None` when `docker` finds it by itself.
    Existing { host: Option<String> },
}

/// Loopback ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    pub registry: u16,
    /// The front of the registry, which counts requests and injects faults. All traffic of the lab
    /// goes through it.
    pub front: u16,
    pub front_control: u16,
    pub actions_cache: u16,
    pub github_api: u16,
}

/// What of the lab runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Running {
    pub registry: bool,
    pub servers: bool,
    /// The private engine.
    pub engine: bool,
}

/// A package of the distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Package {
    pub name: &'static str,
    /// Whether it comes from Debian testing, pinned so that nothing else is upgraded.
    pub from_forky: bool,
}

/// As apt takes it.
impl fmt::Display for Package {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.name, if self.from_forky { "/forky" } else { "" })
    }
}

/// A base image that cannot be pulled and is stood in for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    /// Where it is in the lab's registry.
    pub image: Reference,
    /// Hash of what it was made from.
    pub inputs: String,
    /// Whether the engine finds it under its own name, because the lab's registry is its mirror.
    pub mirrored: bool,
}

impl State {
    /// What plans need to know.
    pub fn facts(&self) -> Option<LabFacts> {
        let image = |base: &StandIn| (!base.mirrored).then(|| base.image.clone());
        Some(LabFacts {
            engine_host: self.engine_host().map(str::to_owned),
            registry: self.registry()?,
            github_api: format!("http://127.0.0.1:{}", self.ports.github_api),
            stand_ins: self.bases.iter().map(|(name, base)| (name.clone(), image(base))).collect(),
        })
    }

    /// A value for `DOCKER_HOST`; `None` when `docker` finds the engine by itself.
    pub fn engine_host(&self) -> Option<&str> {
        match &self.engine {
            EngineState::Private { host, .. } => Some(host),
            EngineState::Existing { host } => host.as_deref(),
        }
    }

    /// Whether the engine is the lab's own.
    pub fn is_private(&self) -> bool {
        matches!(self.engine, EngineState::Private { .. })
    }

    /// The registry that the lab's images are pushed to: its front.
    pub fn registry(&self) -> Option<Registry> {
        Registry::new(format!("127.0.0.1:{}", self.ports.front)).ok()
    }
}

/// What runs, as `lab status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    pub up: bool,
    pub engine: EngineStatus,
    pub registry: RegistryStatus,
    pub servers: ServersStatus,
    pub bases: Vec<BaseStatus>,
    /// The folder that holds everything.
    pub state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineStatus {
    /// A value for `DOCKER_HOST`; `null` when `docker` finds the engine by itself.
    pub host: Option<String>,
    pub kind: Option<&'static str>,
    pub version: Option<String>,
    pub running: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryStatus {
    pub address: Option<String>,
    /// The registry itself, behind the front that counts.
    pub backend: Option<String>,
    pub running: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServersStatus {
    pub actions_cache: Option<String>,
    pub github_api: Option<String>,
    pub front_control: Option<String>,
    pub running: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BaseStatus {
    pub reference: String,
    pub stand_in: bool,
    pub image: Reference,
}

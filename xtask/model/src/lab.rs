//! The lab: an engine, a registry, stand-ins for GitHub's services and for base images, all on loopback.
//! `target/lab/state.json` contains its state; `plan::lab` decides which steps bring it up.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::facts::LabFacts;
use super::reference::{Reference, Registry};

/// Every stand-in base, and so every image built on one, has this label; its value is the reference of the
/// base image that it replaces.
pub const STAND_IN_LABEL: &str = "io.autogit.lab.stand-in";

/// The label that identifies the lab's private engine.
pub const ENGINE_LABEL: &str = "io.autogit.lab=private-engine";

/// Which engine the lab uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// The existing engine if it is recent enough, otherwise a private one
    Auto,
    /// A private engine, next to any existing one
    Private,
    /// The existing engine
    Existing,
}

/// What one command keeps for the next. Ports and names are chosen once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabState {
    pub schema: u32,
    pub engine: EngineState,
    pub ports: Ports,
    /// The stand-in bases that are in the registry, by reference.
    #[serde(default)]
    pub bases: BTreeMap<String, StandIn>,
}

/// Version of the format; a lab of a different version is taken down and created again.
pub const STATE_SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum EngineState {
    /// The lab's own engine, with its own bridge.
    Private { host: String, bridge: String, subnet: String },
    /// An existing engine; `host` is `None` when `docker` finds it without `DOCKER_HOST`.
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

/// Which parts of the lab run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Running {
    pub registry: bool,
    pub servers: bool,
    /// The private engine.
    pub engine: bool,
}

/// A package of the distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DebianPackage {
    pub name: &'static str,
    /// Whether it comes from Debian testing, pinned to upgrade nothing else.
    pub from_forky: bool,
}

/// As apt accepts it.
impl fmt::Display for DebianPackage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.name, if self.from_forky { "/forky" } else { "" })
    }
}

/// A stand-in for a base image that cannot be pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    /// Where it is in the lab's registry.
    pub image: Reference,
    /// Hash of its inputs.
    pub inputs: String,
    /// Whether the engine finds it under the name of the base image, because the lab's registry is a mirror.
    pub mirrored: bool,
}

impl LabState {
    /// The facts that plans need.
    pub fn facts(&self) -> Option<LabFacts> {
        let image = |base: &StandIn| (!base.mirrored).then(|| base.image.clone());
        Some(LabFacts {
            engine_host: self.engine_host().map(str::to_owned),
            registry: self.registry()?,
            github_api: format!("http://127.0.0.1:{}", self.ports.github_api),
            stand_ins: self.bases.iter().map(|(name, base)| (name.clone(), image(base))).collect(),
        })
    }

    /// A value for `DOCKER_HOST`; `None` when `docker` finds the engine without it.
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

/// The state that `lab status` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    pub up: bool,
    pub engine: EngineStatus,
    pub registry: RegistryStatus,
    pub servers: ServersStatus,
    pub bases: Vec<BaseStatus>,
    /// The folder with all of the lab's files.
    pub state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineStatus {
    /// A value for `DOCKER_HOST`; `null` when `docker` finds the engine without it.
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

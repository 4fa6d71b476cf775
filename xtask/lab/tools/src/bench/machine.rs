//! The machine, the versions and the builder that the figures come from.

use anyhow::{Context, Result, bail};

use xtask::command::Command;
use xtask::model::facts::Engine;
use xtask::model::invocation::Invocation;
use xtask::outside::docker;
use xtask::outside::lab::world;

use super::figures::Driver;

/// Processors and distribution, as in `2 × AMD EPYC, debian bookworm`.
pub fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let system = world::distribution().map_or_else(
        || std::env::consts::OS.to_owned(),
        |(id, codename)| format!("{id} {codename}"),
    );
    format!("{count} × {}, {system}", model.map_or("unknown processor", |(_, name)| name))
}

/// The versions of the engine and of buildx.
pub fn versions(command: &Command) -> Result<String> {
    let engine = world::engine_version(&command.runner).unwrap_or_default();
    let buildx = command.runner.output(&Invocation::new("docker", ["buildx", "version"]))?;
    let buildx = buildx.split_whitespace().nth(1).unwrap_or_default().to_owned();
    Ok(format!("Docker Engine {engine}, buildx {buildx}"))
}

/// buildx's current builder, which all contenders use.
pub fn driver(command: &Command) -> Result<Driver> {
    let Engine::Ready { builders, .. } = docker::read(&command.runner)? else {
        bail!("buildx lists no builder that is ready");
    };
    let current = builders.into_iter().find(|builder| builder.current);
    let current = current.context("buildx names no current builder")?;
    let containerd_store = current.nodes.iter().all(|node| node.containerd_store);
    Ok(Driver { name: current.driver, containerd_store })
}

//! What the figures were measured on, and how long xtask takes to compile there.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::model::bench::Driver;
use crate::model::facts::Engine;
use crate::model::invocation::Invocation;
use crate::outside::docker;
use crate::outside::lab::world;

use super::Start;

/// Processors and distribution, as in `2 × AMD EPYC, debian bookworm`.
pub(super) fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let system = world::distribution().map_or_else(
        || std::env::consts::OS.to_owned(),
        |(id, codename)| format!("{id} {codename}"),
    );
    format!("{count} × {}, {system}", model.map_or("unknown processor", |(_, name)| name))
}

/// The engine and buildx.
pub(super) fn versions(start: &Start) -> Result<String> {
    let engine = world::engine_version(&start.runner).unwrap_or_default();
    let buildx = start.runner.output(&Invocation::new("docker", ["buildx", "version"]))?;
    let buildx = buildx.split_whitespace().nth(1).unwrap_or_default().to_owned();
    Ok(format!("Docker Engine {engine}, buildx {buildx}"))
}

/// The builder that everything was measured on: buildx's current one.
pub(super) fn driver(start: &Start) -> Result<Driver> {
    let Engine::Ready { builders, .. } = docker::read(&start.runner)? else {
        bail!("buildx does not tell of a builder that is ready");
    };
    let current = builders.into_iter().find(|builder| builder.current);
    let current = current.context("buildx does not tell which builder is its current one")?;
    let containerd_store = current.nodes.iter().all(|node| node.containerd_store);
    Ok(Driver { name: current.driver, containerd_store })
}

/// Seconds of a compilation of xtask from nothing, its crates downloaded.
pub(super) fn compile_seconds(start: &Start) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let target = format!("--target-dir={}", folder.path().display());
    let begun = Instant::now();
    start.runner.output(&Invocation::new(
        "cargo",
        ["build", "--quiet", "--locked", "--package=xtask", &target],
    ))?;
    Ok(begun.elapsed().as_secs_f64())
}

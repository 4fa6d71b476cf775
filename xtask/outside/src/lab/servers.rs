//! The registry and the stand-in servers in front of it, all on loopback.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::http::{Call, Http};
use crate::process::Runner;
use crate::{clock, files};
use xtask_model::failure::Failure;
use xtask_model::invocation::Invocation;
use xtask_model::lab::{LabState, Ports};

use super::LabPaths;

/// Five free loopback ports.
pub fn choose_ports() -> Result<Ports> {
    let listeners: Vec<_> = (0..5)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()
        .context("no loopback port is free")?;
    let ports: Vec<u16> = listeners
        .iter()
        .map(|listener| listener.local_addr().map(|address| address.port()))
        .collect::<Result<_, _>>()?;
    let [registry, front, front_control, actions_cache, github_api] = ports[..] else {
        bail!("no loopback port is free");
    };
    Ok(Ports { registry, front, front_control, actions_cache, github_api })
}

/// Whether all ports are free.
pub fn are_free(ports: &Ports) -> bool {
    let Ports { registry, front, front_control, actions_cache, github_api } = *ports;
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    [registry, front, front_control, actions_cache, github_api].into_iter().all(free)
}

/// Starts the registry of the distribution's package, with deletion enabled.
pub fn start_registry(runner: &Runner, place: &LabPaths, state: &LabState) -> Result<()> {
    let data = std::path::absolute(place.folder.join("registry"))?;
    let configuration = std::path::absolute(place.folder.join("registry.yml"))?;
    let text = format!(
        "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {:?}\n  \
         delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{}\n",
        data.display().to_string(),
        state.ports.registry,
    );
    files::write_atomically(&configuration, text.as_bytes())?;
    let call = Invocation::new(
        "docker-registry",
        ["serve".to_owned(), configuration.display().to_string()],
    );
    place.start(runner, "registry", &call)?;
    wait_for(place, "registry", state.ports.registry)
}

/// The folder of the lab's own crate, which a repository that adopts xtask may leave out.
pub(super) fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).join("lab")
}

/// The manifest of that crate.
pub fn manifest() -> Result<PathBuf> {
    let path = folder().join("Cargo.toml");
    if path.is_file() {
        return Ok(path);
    }
    let message = format!("the crate of the lab is missing: `{}`", path.display());
    let hint = "copy `xtask/lab` from the repository that xtask came from, and add it to the workspace members";
    Err(Failure::usage(message).hint(hint).into())
}

/// Compiles and starts the lab's crate: the stand-ins and the counting front.
pub fn start_servers(runner: &Runner, place: &LabPaths, state: &LabState) -> Result<()> {
    let manifest = manifest()?;
    let target = std::path::absolute(place.folder.join("..")).context("the target folder")?;
    runner.output(&Invocation::new(
        "cargo",
        [
            "build".to_owned(),
            "--quiet".to_owned(),
            format!("--manifest-path={}", manifest.display()),
            format!("--target-dir={}", target.display()),
        ],
    ))?;
    let folder = std::path::absolute(place.folder.join("servers"))?;
    let Ports { registry, front, front_control, actions_cache, github_api } = state.ports;
    let call = Invocation::new(
        &program(place)?,
        [
            "serve".to_owned(),
            format!("--state-dir={}", folder.display()),
            format!("--registry=127.0.0.1:{registry}"),
            format!("--proxy-port={front}"),
            format!("--proxy-control-port={front_control}"),
            format!("--actions-cache-port={actions_cache}"),
            format!("--github-api-port={github_api}"),
        ],
    );
    place.start(runner, "servers", &call)?;
    wait_for(place, "servers", front)
}

/// The program that [`start_servers`] compiles.
fn program(place: &LabPaths) -> Result<String> {
    let target = std::path::absolute(place.folder.join("..")).context("the target folder")?;
    Ok(target.join("debug").join("lab").to_string_lossy().into_owned())
}

/// Sends a request to one of the lab's servers; returns the body. Any answer but success is an error.
pub(super) fn ask(http: &Http, call: Call) -> Result<Vec<u8>> {
    let asked = format!("{} {}", call.method, call.url);
    let answer = http.send(call)?;
    if !(200..300).contains(&answer.status) {
        bail!("the lab answered with {} to `{asked}`", answer.status);
    }
    Ok(answer.body)
}

fn wait_for(place: &LabPaths, name: &str, port: u16) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        let log = place.log(name);
        if Instant::now() > end || place.process(name).is_none() {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let last = text.lines().next_back().unwrap_or("nothing");
            bail!("`{name}` does not listen on port {port}; `{}` says: {last}", log.display());
        }
        clock::sleep(Duration::from_millis(20))?;
    }
    Ok(())
}

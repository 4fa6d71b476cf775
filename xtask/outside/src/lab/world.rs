//! Gathers for `plan::lab` what this machine has for the lab.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::process::{Finished, Runner};
use crate::tools;
use xtask_model::invocation::Invocation;
use xtask_model::lab::{LabState, Running};
use xtask_model::reference::Reference;

use super::LabPaths;

/// Which processes of the lab run and answer.
pub fn running(place: &LabPaths, state: Option<&LabState>) -> Running {
    let Some(state) = state else { return Running::default() };
    let opens = |port: u16| {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
    };
    Running {
        registry: place.process("registry").is_some() && opens(state.ports.registry),
        servers: place.process("servers").is_some() && opens(state.ports.front),
        engine: place.process("containerd").is_some()
            && place.process("dockerd").is_some()
            && super::engine::answers(&place.run.join("docker.sock")),
    }
}

/// Whether we are root.
pub fn is_root() -> bool {
    #[cfg(unix)]
    return rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    false
}

/// Whether `sudo` makes us root without asking for a password.
pub fn has_sudo(runner: &Runner) -> bool {
    let call = Invocation::new("sudo", ["--non-interactive", "true"]);
    tools::find("sudo").is_some() && runner.finish(&call).is_ok_and(|finished| finished.success())
}

/// `ID` and `VERSION_CODENAME` of /etc/os-release.
pub fn distribution() -> Option<(String, String)> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let entries: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key, value.trim_matches('"')))
        .collect();
    let get = |key: &str| entries.get(key).map(ToString::to_string);
    Some((get("ID")?, get("VERSION_CODENAME")?))
}

/// The version of the engine that `docker` reaches without the lab.
pub fn engine_version(runner: &Runner) -> Option<String> {
    let call = Invocation::new("docker", ["version", "--format={{.Server.Version}}"]);
    let finished = runner.finish(&call).ok().filter(Finished::success)?;
    Some(finished.stdout.trim().to_owned()).filter(|version| !version.is_empty())
}

pub fn has_buildx(runner: &Runner) -> bool {
    let call = Invocation::new("docker", ["buildx", "version"]);
    runner.finish(&call).is_ok_and(|finished| finished.success())
}

/// Whether the registry of a base accepts a connection within three seconds. Docker Hub's registry has a
/// different host than its references.
pub fn registry_answers(base: &Reference) -> bool {
    let host = match base.registry.as_str() {
        "docker.io" => "registry-1.docker.io",
        other => other,
    };
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:443") };
    let Ok(addresses) = address.to_socket_addrs() else { return false };
    let connects =
        |address: SocketAddr| TcpStream::connect_timeout(&address, Duration::from_secs(3)).is_ok();
    addresses.take(2).any(connects)
}

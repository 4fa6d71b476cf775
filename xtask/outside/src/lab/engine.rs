//! The private engine: our own containerd and dockerd, with their own data, sockets and bridge. It shares
//! nothing with another engine on this machine.

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::Runner;
use crate::{clock, files, tools};
use xtask_model::invocation::Invocation;
use xtask_model::lab::{ENGINE_LABEL, EngineState, LabState};

use super::LabPaths;

/// How long the engine may take until its first answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Names and addresses of a private engine that does not run: those it had, unless another network uses its
/// subnet now. A new subnet touches no route of this machine; the search starts at a number that depends on
/// the lab, so that two labs seldom collide.
pub fn choose(runner: &Runner, place: &LabPaths, before: &EngineState) -> Result<EngineState> {
    let routes = runner.output(&ip(&["-4", "route", "show", "table", "all"]))?;
    let is_free = |prefix: &str| {
        let net = prefix.rsplit_once('.').map_or("", |(net, _)| net);
        !routes.split_whitespace().any(|word| word.starts_with(&format!("{net}.")))
    };
    if let EngineState::Private { bridge, subnet, .. } = before {
        let there = Path::new("/sys/class/net").join(bridge).exists();
        if there || is_free(subnet.trim_end_matches(".1/24")) {
            return Ok(before.clone());
        }
        // dockerd remembers the subnet of its bridge.
        let memory = place.folder.join("docker").join("network");
        std::fs::remove_dir_all(&memory)
            .with_context(|| format!("cannot delete `{}`", memory.display()))?;
    }
    let first = u32::from_str_radix(place.id.get(..4).unwrap_or("0"), 16).unwrap_or(0);
    let numbers = (0..55).map(|offset| 200 + (first + offset) % 55);
    let free = numbers.map(|number| format!("10.{number}.77")).find(|prefix| is_free(prefix));
    let prefix = free.context("no 10.x subnet is free for the lab's bridge")?;
    Ok(private(place, format!("{prefix}.1/24")))
}

/// The same without a subnet, before anything runs.
pub fn to_be(place: &LabPaths) -> EngineState {
    private(place, String::new())
}

fn private(place: &LabPaths, subnet: String) -> EngineState {
    EngineState::Private {
        host: format!("unix://{}", place.run.join("docker.sock").display()),
        bridge: format!("lab{}", place.id),
        subnet,
    }
}

/// Starts containerd and dockerd, and waits until the engine answers.
pub fn start(runner: &Runner, place: &LabPaths, state: &LabState) -> Result<()> {
    let EngineState::Private { bridge, subnet, .. } = &state.engine else {
        bail!("the lab does not own its engine");
    };
    make_bridge(runner, bridge, subnet)?;
    forward(place)?;
    let_through(runner, bridge, subnet)?;
    std::fs::create_dir_all(&place.run)
        .with_context(|| format!("cannot make `{}`", place.run.display()))?;
    start_containerd(runner, place)?;
    let socket = place.run.join("docker.sock");
    if place.process("dockerd").is_none() {
        start_dockerd(runner, place, state, bridge)?;
    }
    wait_for("the engine", place, "dockerd", || answers(&socket))
}

/// Lets the machine forward packets; `down` restores the setting.
fn forward(place: &LabPaths) -> Result<()> {
    let before = std::fs::read_to_string(FORWARDING).unwrap_or_default();
    let memory = place.folder.join("ip_forward");
    if !memory.is_file() {
        files::write_atomically(&memory, before.as_bytes())?;
    }
    if before.trim() != "1" {
        switch_forwarding("1").context("cannot let the machine forward packets")?;
    }
    Ok(())
}

/// The packet rules by which containers reach package registries. dockerd makes none here, because at its
/// start it would delete those of another engine.
fn let_through(runner: &Runner, bridge: &str, subnet: &str) -> Result<()> {
    let rules: [(&str, &str, &[&str]); 3] = [
        ("nat", "POSTROUTING", &["-s", subnet, "!", "-o", bridge, "-j", "MASQUERADE"]),
        ("filter", "FORWARD", &["-i", bridge, "-j", "ACCEPT"]),
        ("filter", "FORWARD", &["-o", bridge, "-j", "ACCEPT"]),
    ];
    for (table, chain, rule) in rules {
        let call = |verb: &str| {
            let head = ["-w", "-t", table, verb, chain].into_iter();
            Invocation::new(&iptables(), head.chain(rule.iter().copied()))
        };
        if !runner.finish(&call("-C"))?.success() {
            runner.output(&call("-I"))?;
        }
    }
    Ok(())
}

pub(super) fn iptables() -> String {
    tools::find("iptables").unwrap_or_else(|| "iptables".into()).display().to_string()
}

fn switch_forwarding(value: &str) -> std::io::Result<()> {
    let mut switch = std::fs::OpenOptions::new().write(true).open(FORWARDING)?;
    switch.write_all(value.as_bytes())
}

/// The kernel's switch for forwarding packets.
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Restores forwarding as it was before the engine started.
pub(super) fn restore_forwarding(place: &LabPaths) {
    let memory = place.folder.join("ip_forward");
    if std::fs::read_to_string(&memory).is_ok_and(|before| before.trim() == "0") {
        // If we may not write it, we did not change it.
        let _ = switch_forwarding("0");
    }
    let _ = std::fs::remove_file(memory);
}

fn start_containerd(runner: &Runner, place: &LabPaths) -> Result<()> {
    let socket = place.run.join("containerd.sock");
    if place.process("containerd").is_none() {
        let data = std::path::absolute(place.folder.join("containerd"))?;
        let configuration = place.folder.join("containerd.toml");
        let text = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\n[grpc]\naddress = {:?}\n",
            data.display().to_string(),
            place.run.join("containerd").display().to_string(),
            socket.display().to_string(),
        );
        files::write_atomically(&configuration, text.as_bytes())?;
        // The socket of a killed containerd would look ready.
        let _ = std::fs::remove_file(&socket);
        let call = Invocation::new(
            "containerd",
            ["--config".to_owned(), std::path::absolute(&configuration)?.display().to_string()],
        );
        place.start(runner, "containerd", &call)?;
    }
    wait_for("containerd", place, "containerd", || connects(&socket))
}

fn start_dockerd(runner: &Runner, place: &LabPaths, state: &LabState, bridge: &str) -> Result<()> {
    let configuration = std::path::absolute(place.folder.join("dockerd.json"))?;
    files::write_atomically(
        &configuration,
        b"{\"features\": {\"containerd-snapshotter\": true}}\n",
    )?;
    let pid_file = place.run.join("dockerd.pid");
    // dockerd refuses to start if the number in its old pid file is in use again.
    let _ = std::fs::remove_file(&pid_file);
    let data = std::path::absolute(place.folder.join("docker"))?;
    let flag = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
    let arguments = vec![
        flag("config-file", &configuration.display()),
        flag("data-root", &data.display()),
        flag("exec-root", &place.run.join("exec").display()),
        flag("pidfile", &pid_file.display()),
        flag("host", &format!("unix://{}", place.run.join("docker.sock").display())),
        flag("containerd", &place.run.join("containerd.sock").display()),
        flag("bridge", &bridge),
        flag("mtu", &mtu()),
        flag("label", &ENGINE_LABEL),
        flag("registry-mirror", &format!("http://127.0.0.1:{}", state.ports.front)),
        // We make the packet rules: see `let_through`.
        "--iptables=false".to_owned(),
        "--ip6tables=false".to_owned(),
        "--ip-masq=false".to_owned(),
        "--ip-forward=false".to_owned(),
    ];
    let program = tools::find("dockerd").context("`dockerd` is not installed")?;
    place.start(runner, "dockerd", &Invocation::new(&program.to_string_lossy(), arguments))
}

fn make_bridge(runner: &Runner, bridge: &str, subnet: &str) -> Result<()> {
    if Path::new("/sys/class/net").join(bridge).exists() {
        return Ok(());
    }
    for arguments in [
        &["link", "add", "name", bridge, "type", "bridge"][..],
        &["address", "add", subnet, "dev", bridge],
        &["link", "set", bridge, "up"],
    ] {
        runner.output(&ip(arguments))?;
    }
    Ok(())
}

/// The smallest MTU of this machine's links, so that packets of containers fit through all of them.
fn mtu() -> u32 {
    let Ok(links) = std::fs::read_dir("/sys/class/net") else { return 1500 };
    let of = |link: std::io::Result<std::fs::DirEntry>| -> Option<u32> {
        std::fs::read_to_string(link.ok()?.path().join("mtu")).ok()?.trim().parse().ok()
    };
    // IP needs at least 1280.
    links.filter_map(of).filter(|mtu| *mtu >= 1280).min().unwrap_or(1500).min(1500)
}

pub(super) fn ip(arguments: &[&str]) -> Invocation {
    let program = tools::find("ip").unwrap_or_else(|| "ip".into());
    Invocation::new(&program.to_string_lossy(), arguments.iter().copied())
}

fn wait_for(what: &str, place: &LabPaths, name: &str, ready: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + START_TIMEOUT;
    while !ready() {
        let log = place.log(name);
        if place.process(name).is_none() {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(5).collect();
            let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
            bail!("{what} ended at once; `{}` says:\n{tail}", log.display());
        }
        if Instant::now() > end {
            bail!(
                "{what} does not answer after {} s; see `{}`",
                START_TIMEOUT.as_secs(),
                log.display()
            );
        }
        clock::sleep(Duration::from_millis(50))?;
    }
    Ok(())
}

#[cfg(unix)]
fn connects(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

#[cfg(not(unix))]
fn connects(_socket: &Path) -> bool {
    false
}

/// Whether the engine at a socket answers `GET /_ping`.
#[cfg(unix)]
pub fn answers(socket: &Path) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
        let mut head = [0; 15];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200 OK") || head.windows(5).any(|window| window == b" 200 "))
    };
    ask().unwrap_or(false)
}

#[cfg(not(unix))]
pub fn answers(_socket: &Path) -> bool {
    false
}

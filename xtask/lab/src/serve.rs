//! Starts all servers, prints their addresses, and waits for the signal to stop.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::actions_cache::ActionsCache;
use crate::cli::Serve;
use crate::github::Github;
use crate::http::server::{bind, spawn};
use crate::ledger::Ledger;
use crate::proxy::Front;
use crate::proxy::control::Control;
use crate::registry::Registry;
use crate::state;
use crate::tokens::Tokens;

/// Serves until SIGTERM or SIGINT.
pub fn run(serve: &Serve) -> Result<()> {
    // Before the addresses are printed: their reader may stop this process at once.
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("could not listen for signals")?;
    let directory = &serve.state_dir;
    fs::create_dir_all(directory)
        .with_context(|| format!("could not create `{}`", directory.display()))?;
    // Other processes get these paths, so they must be absolute.
    let directory = &directory.canonicalize()?;
    let registry = Arc::new(Registry::new(serve.registry));
    let (ledger, tokens) = (Arc::new(Ledger::open(directory)?), Arc::new(Tokens::open(directory)?));
    let github = Arc::new(Github::open(
        directory,
        Arc::clone(&registry),
        Arc::clone(&ledger),
        Arc::clone(&tokens),
    )?);
    let front = Arc::new(Front::open(directory, registry, ledger, tokens)?);
    let control = Arc::new(Control::new(Arc::clone(&front)));
    let cache = Arc::new(ActionsCache::open(directory)?);

    // Listen on all ports before the first server answers.
    let listen = |port| bind(SocketAddr::from(([127, 0, 0, 1], port)));
    let ports = serve.ports;
    let (cache_listener, github_listener) =
        (listen(ports.actions_cache)?, listen(ports.github_api)?);
    let (front_listener, control_listener) = (listen(ports.proxy)?, listen(ports.proxy_control)?);
    let servers = json!({
        "actions_cache": format!("http://{}/", cache_listener.local_addr()?),
        "github_api": format!("http://{}", github_listener.local_addr()?),
        "proxy": front_listener.local_addr()?.to_string(),
        "proxy_control": format!("http://{}", control_listener.local_addr()?),
    });
    spawn(cache_listener, cache);
    spawn(github_listener, github);
    spawn(front_listener, front);
    spawn(control_listener, control);
    announce(directory, &servers)?;
    signals.forever().next();
    // The servers are gone. Every other file is always complete.
    fs::remove_file(directory.join("servers.json")).context("could not remove `servers.json`")
}

fn announce(directory: &Path, servers: &serde_json::Value) -> Result<()> {
    state::write_json(&directory.join("servers.json"), servers)
        .context("could not write `servers.json`")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{servers}").and_then(|()| out.flush()).context("could not print the addresses")
}

//! Ctrl-C, SIGTERM and SIGHUP. Everything that waits asks here; `outside::process` ends the children.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result};
#[cfg(unix)]
use signal_hook::consts::SIGHUP;
use signal_hook::consts::{SIGINT, SIGTERM};

use xtask_model::failure::Interrupted;

static WANTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

const SIGNALS: &[i32] = &[
    SIGINT,
    SIGTERM,
    #[cfg(unix)]
    SIGHUP,
];

/// Starts to listen. `main` calls it once.
pub fn listen() -> Result<()> {
    SIGNALS.iter().try_for_each(|signal| {
        signal_hook::flag::register(*signal, Arc::clone(&WANTED))
            .map(drop)
            .context("cannot listen for interrupts")
    })
}

/// Whether the user asked to stop.
pub fn wanted() -> bool {
    WANTED.load(Ordering::SeqCst)
}

/// Fails with [`Interrupted`] once the user asked to stop.
pub fn check() -> Result<()> {
    if wanted() { Err(Interrupted.into()) } else { Ok(()) }
}

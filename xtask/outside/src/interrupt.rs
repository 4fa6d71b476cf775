//! Ctrl-C, SIGTERM and SIGHUP: the wish to stop, seen by whatever waits. Children are ended by
//! `outside::process`, which asks here.

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

/// Listens from now on. To be called once, by `main`.
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

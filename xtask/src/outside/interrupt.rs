//! Ctrl-C, SIGTERM and SIGHUP: the wish to stop, seen by whatever waits. Children are ended by
//! `outside::process`, which asks here.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

static WANTED: AtomicBool = AtomicBool::new(false);

/// The user asked to stop; what was under way has been ended. Exit code 4.
#[derive(Debug, Clone, Copy)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("stopped by an interrupt; nothing half-written is left")
    }
}

impl std::error::Error for Interrupted {}

/// Listens from now on. To be called once, by `main`.
pub fn listen() -> Result<()> {
    ctrlc::set_handler(|| WANTED.store(true, Ordering::SeqCst))
        .context("cannot listen for interrupts")
}

/// Whether the user asked to stop.
pub fn wanted() -> bool {
    WANTED.load(Ordering::SeqCst)
}

/// Fails with [`Interrupted`] once the user asked to stop.
pub fn check() -> Result<()> {
    if wanted() { Err(Interrupted.into()) } else { Ok(()) }
}

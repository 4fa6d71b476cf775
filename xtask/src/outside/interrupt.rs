//! Ctrl-C, SIGTERM and SIGHUP: the wish to stop, seen by whatever waits. Children are ended by
//! `outside::process`, which asks here.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::model::failure::Interrupted;

static WANTED: AtomicBool = AtomicBool::new(false);

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

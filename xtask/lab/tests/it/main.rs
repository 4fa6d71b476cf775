//! The lab's servers from outside: the built program, over loopback. Tests that need a real registry are ignored
//! by default.

#![allow(
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "code around a test fails like the test"
)]

mod actions_cache;
mod client;
mod faults;
mod front;
mod github;
mod packages;
mod program;
mod real_registry;
mod upstream;

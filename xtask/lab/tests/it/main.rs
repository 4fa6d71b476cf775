//! The lab's servers from outside: the built program, over loopback. Tests that want a real registry are ignored
//! unless asked for.

#![allow(
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what surrounds a test fails as a test does"
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

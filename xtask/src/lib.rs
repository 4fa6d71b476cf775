//! `cargo xtask`: builds, publishes and keeps the container images of a repository.
//!
//! The one idea is gather → plan → apply; `docs/architecture.md` draws the map. `task` tells the
//! story of each command and `outside` touches the world; what is known, decided and shown is in the
//! crate `xtask-pure`.

pub mod cli;
pub mod outside;
pub mod task;

pub use xtask_pure::{model, plan, report};

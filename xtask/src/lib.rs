//! `cargo xtask`: builds, publishes and keeps the container images of a repository.
//!
//! The one idea is gather → plan → apply; `docs/architecture.md` draws the map. `task` tells the
//! story of each command. What is known, decided, shown and touched are crates of their own.

pub mod build;
pub mod cli;
pub mod command;
mod github;
pub mod lab;
pub mod options;
pub mod publish;
pub mod task;

pub use {
    xtask_model as model, xtask_outside as outside, xtask_plan as plan, xtask_report as report,
};

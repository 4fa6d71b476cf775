//! `cargo xtask`: builds, publishes and keeps the container images of a repository.
//!
//! Every command gathers facts, plans, and applies the plan; see `docs/architecture.md`.

pub mod build;
pub mod cli;
pub mod command;
mod findings;
pub mod lab;
pub mod options;
mod packages;
pub mod publish;
pub mod task;
pub mod tools;

pub use {
    xtask_model as model, xtask_outside as outside, xtask_plan as plan, xtask_report as report,
};

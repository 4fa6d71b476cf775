//! `cargo xtask`: builds, publishes and keeps the container images of a repository.
//!
//! The one idea is gather → plan → apply; `docs/architecture.md` draws the map. `task` tells the
//! story of each command; `model` holds the nouns; `plan` decides; `outside` touches the world;
//! `report` renders.

pub mod cli;
pub mod model;
pub mod outside;
pub mod plan;
pub mod report;
pub mod task;

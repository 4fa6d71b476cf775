//! The tests of the whole command: the real binary, in a separate repository for each test. Those below
//! [`lab`] need the lab and are ignored without it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking, starts the programs it needs, and prints its figures"
)]

mod adopting;
mod build_plan;
mod commands;
mod engines;
mod exit_codes;
mod import_circles;
mod lab;
mod layers;
mod login;
mod outages;
mod policy;
mod prune_cases;
mod prune_usage;
mod publishing;
mod publishing_races;
mod registry_client;
mod release_cases;
mod release_plan;
mod repository_commands;
mod repository_files;
mod retention_properties;
mod rules;
mod shape;
mod support;
mod tag_writer;

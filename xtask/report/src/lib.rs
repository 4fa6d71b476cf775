//! Rendering: plans, records and failures as text, JSON or Markdown. It never prints.

pub mod bake;
pub mod build;
pub mod build_failure;
pub mod columns;
pub mod error;
pub mod lab;
pub mod plan;
pub mod progress;
pub mod publication;
pub mod release;
pub mod retention;
#[cfg(test)]
#[path = "../../plan/src/sample.rs"]
mod sample;
mod steps;
pub mod table;
pub mod tiers;
pub mod verify;
pub mod workflow;

pub use xtask_model::quantity;

use columns::shortened;

/// The width of output that is not a terminal, such as a pipe or a CI log: lines have no limit.
pub const WIDTH: usize = usize::MAX;

/// `text` on one line, for instance a step with a here-document.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

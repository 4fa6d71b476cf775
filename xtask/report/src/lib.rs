//! Rendering: plans, records and failures as text, JSON or Markdown. It prints nothing itself.

pub mod bake;
pub mod bench;
pub mod build;
pub mod build_failure;
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
pub mod test_log;
pub mod tiers;
pub mod verify;
pub mod workflow;

pub use xtask_model::quantity;

/// Columns of a page where the terminal's are not known.
pub const WIDTH: usize = 80;

/// `text` in at most `width` characters, with `…` for what is left out.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A text that a here-document makes several lines long, on one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

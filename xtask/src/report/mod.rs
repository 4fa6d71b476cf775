//! Rendering: plans, records and failures as text, JSON or Markdown. It prints nothing itself.

pub mod bake;

//! Decisions: pure functions from facts to steps, each with its reason. They open no file, run no
//! process and read no clock.

pub mod build;
pub mod builder;
pub mod cache;
pub mod channel;
pub mod finding;
pub mod lab;
pub mod labels;
pub mod publish;
pub mod release;
pub mod retention;
pub mod retry;
pub mod rules;
#[cfg(test)]
mod sample;
pub mod selection;
pub mod verify;

use serde::Serialize;

/// One decision with its reason, so that tests and people need no log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The subject of the decision, for instance `builder`.
    pub what: &'static str,
    pub value: String,
    pub reason: String,
}

impl Choice {
    pub fn new(
        what: &'static str,
        value: impl std::fmt::Display,
        reason: impl Into<String>,
    ) -> Self {
        Self { what, value: value.to_string(), reason: reason.into() }
    }
}

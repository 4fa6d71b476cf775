//! Starts and removes GitLab runners on demand. So far it serves its own state: whether it lives,
//! whether it can reach the engine it will start runners on, and what it knows.

pub mod command;
pub mod engine;
pub mod health;
pub mod server;
pub mod settings;

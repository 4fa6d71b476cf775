//! The nouns: values that parse, print and compare. Nothing here decides or touches the world.

pub mod build;
pub mod channel;
pub mod config;
pub mod facts;
pub mod failure;
pub mod invocation;
pub mod platform;
pub mod reference;
pub mod service;
pub mod text;

//! The nouns: values that parse, print and compare. Nothing here decides or touches the world.

pub mod bench;
pub mod build;
pub mod cache_records;
pub mod channel;
pub mod config;
pub mod dockerfile;
pub mod facts;
pub mod failure;
pub mod ignore_file;
pub mod image_configuration;
pub mod inputs;
pub mod inventory;
pub mod invocation;
pub mod lab;
pub mod manifest;
pub mod platform;
pub mod pruning;
pub mod publication;
pub mod published;
pub mod record;
pub mod reference;
pub mod service;
pub mod solve;
pub mod text;
pub mod tier;
pub mod token;

//! Effects: the only place where processes run, files change and sockets open. It decides nothing.

pub mod actions_cache;
pub mod build;
pub mod clock;
pub mod context;
pub mod display;
pub mod docker;
pub mod environment;
pub mod files;
pub mod gather;
pub mod git;
pub mod github;
pub mod inspect;
pub mod interrupt;
pub mod inventory;
pub mod lab;
pub mod login;
pub mod packages;
pub mod parallel;
pub mod process;
pub mod published;
pub mod records;
pub mod registry;
pub mod releases;
pub mod smoke;
pub mod terminal;
pub mod tools;

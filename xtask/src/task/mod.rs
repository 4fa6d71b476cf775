//! The commands. Each file has the arguments of one command, their help, and its story.

pub mod build;
pub mod cache;
pub mod doctor;
pub mod lab;
pub mod prune;
pub mod push;
pub mod release;
pub mod test;
pub mod verify;

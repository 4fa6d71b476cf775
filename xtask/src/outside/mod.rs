//! Effects: the only place where processes run, files change and sockets open. It decides nothing.

pub mod clock;
pub mod docker;
pub mod environment;
pub mod files;
pub mod git;
pub mod interrupt;
pub mod process;
pub mod terminal;

//! Effects: the only place where processes run, files change and sockets open. It decides nothing.

pub mod clock;
pub mod files;
pub mod interrupt;
pub mod process;
pub mod terminal;

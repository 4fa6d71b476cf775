//! GitHub over its REST API: the client, and on top of it releases and packages.

mod client;
mod connect;
mod packages;
mod releases;

pub use client::GitHub;
pub use connect::connect;
pub use packages::{Change, ListedVersion, PACE, Packages};
pub use releases::{ApiRelease, Releases};

//! HTTP for registries, GitHub and the Actions cache service: one request with its limits, and the error that
//! an answer means. `retry` decides about further attempts.

mod address;
mod call;
mod client;
mod status;
mod wire;

pub(crate) use address::{is_loopback_host, joined, same_authority};
pub(crate) use call::{Answer, Call};
pub use client::Http;
pub(crate) use status::{RateLimit, expect, of_status, rate_limit};
pub(crate) use wire::within;

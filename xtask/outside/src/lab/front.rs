//! The control of the registry's front: what passed through it, and how fast it lets pass.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Method;

use super::{State, servers};
use crate::registry::{Call, Client, Options};

/// What passed through the front, headers included.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Passed {
    pub requests: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

/// The front of one lab.
pub struct Front {
    control: String,
    client: Client,
}

impl Front {
    pub fn of(state: &State) -> Self {
        let control = format!("http://127.0.0.1:{}", state.ports.front_control);
        Self { control, client: Client::new(Options::default()) }
    }

    /// Begins to count anew.
    pub fn reset(&self) -> Result<()> {
        self.ask(Method::POST, "/reset", None).map(drop)
    }

    /// What passed since then.
    pub fn passed(&self) -> Result<Passed> {
        let body = self.ask(Method::GET, "/counters", None)?;
        serde_json::from_slice(&body).context("the lab's front counts in an unknown form")
    }

    /// Lets no more pass than this; `None` takes the limit away.
    pub fn limit(&self, bytes_per_second: Option<u64>) -> Result<()> {
        let rate = json!({ "bytes_per_second": bytes_per_second });
        self.ask(Method::PUT, "/link", Some(&rate)).map(drop)
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Vec<u8>> {
        let call = Call::new(method, format!("{}{path}", self.control));
        let call = body.iter().fold(call, |call, body| call.body(body.to_string()));
        servers::ask(&self.client, call)
    }
}

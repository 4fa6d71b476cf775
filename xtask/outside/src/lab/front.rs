//! The control of the registry's front: what passed through it, and how fast it lets pass.

use anyhow::Result;
use serde_json::{Value, json};
use ureq::http::Method;

use super::State;
use crate::registry::{Call, Client, Options};

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
        self.ask(Method::POST, "/reset", &Value::Null).map(drop)
    }

    /// What passed since then: `requests`, `request_bytes`, `response_bytes`.
    pub fn counters(&self) -> Result<Value> {
        self.ask(Method::GET, "/counters", &Value::Null)
    }

    /// Lets no more pass than this; `None` takes the limit away.
    pub fn limit(&self, bytes_per_second: Option<u64>) -> Result<()> {
        let rate = json!({ "bytes_per_second": bytes_per_second });
        self.ask(Method::PUT, "/link", &rate).map(drop)
    }

    fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let call = Call::new(method, format!("{}{path}", self.control));
        let call = if body.is_null() { call } else { call.body(body.to_string()) };
        let answer = self.client.plain(call)?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }
}

//! The proxy in front of the lab's registry: it counts requests and bytes, and limits the rate.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;
use ureq::Agent;
use xtask::model::lab::LabState;

/// The traffic through the proxy, including headers.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct PassedTraffic {
    pub requests: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

/// The proxy of one lab.
pub struct Front {
    control: String,
    agent: Agent,
}

impl Front {
    pub fn of(state: &LabState) -> Self {
        let control = format!("http://127.0.0.1:{}", state.ports.front_control);
        Self { control, agent: Agent::config_builder().proxy(None).build().new_agent() }
    }

    /// Resets the counters.
    pub fn reset(&self) -> Result<()> {
        let asked = self.agent.post(format!("{}/reset", self.control)).send_empty();
        asked.context("cannot reset the counters of the lab's proxy").map(drop)
    }

    /// The traffic since the last reset.
    pub fn passed(&self) -> Result<PassedTraffic> {
        let read = || -> Result<PassedTraffic> {
            let mut answer = self.agent.get(format!("{}/counters", self.control)).call()?;
            Ok(serde_json::from_str(&answer.body_mut().read_to_string()?)?)
        };
        read().context("cannot read the counters of the lab's proxy")
    }

    /// Limits the rate; `None` removes the limit.
    pub fn limit(&self, bytes_per_second: Option<u64>) -> Result<()> {
        let rate = json!({ "bytes_per_second": bytes_per_second }).to_string();
        let asked = self.agent.put(format!("{}/link", self.control)).send(rate);
        asked.context("cannot limit the rate of the lab's proxy").map(drop)
    }
}

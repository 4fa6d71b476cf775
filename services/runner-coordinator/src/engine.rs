//! The Docker engine. So far the coordinator only asks whether it answers.

use std::error::Error as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bollard::{API_DEFAULT_VERSION, Docker};

use crate::configuration::EngineAddress;

/// The time within which the engine must answer. Orchestrators rarely wait longer than 5 s for a probe, and an
/// engine that is slower than this cannot start a runner either.
pub const PING_LIMIT: Duration = Duration::from_secs(2);

/// bollard's own limit; ours is shorter and includes connecting.
const CLIENT_LIMIT_SECONDS: u64 = 30;

#[derive(Debug, Clone)]
pub struct Engine {
    address: EngineAddress,
}

impl Engine {
    pub fn new(address: EngineAddress) -> Self {
        Self { address }
    }

    pub fn address(&self) -> &EngineAddress {
        &self.address
    }

    /// Succeeds if the engine answers in time. The error says in one line why it does not.
    pub async fn ping(&self) -> anyhow::Result<()> {
        let answer = async { self.connect()?.ping().await };
        match tokio::time::timeout(PING_LIMIT, answer).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(anyhow!(root_cause(&error))),
            Err(_) => Err(anyhow!("no answer within {} s", PING_LIMIT.as_secs())),
        }
        .with_context(|| format!("the Docker engine at `{}` is not reachable", self.address))
    }

    /// Connects for each call: bollard needs the socket when it connects, and the coordinator may start before
    /// the engine.
    fn connect(&self) -> Result<Docker, bollard::errors::Error> {
        match &self.address {
            EngineAddress::Unix(path) => {
                Docker::connect_with_unix(path, CLIENT_LIMIT_SECONDS, API_DEFAULT_VERSION)
            }
            EngineAddress::Tcp(host) => {
                Docker::connect_with_http(host, CLIENT_LIMIT_SECONDS, API_DEFAULT_VERSION)
            }
        }
    }
}

/// The innermost error; the outer ones only say "client error" or similar.
fn root_cause(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => {
            format!("it answered with status {status_code}")
        }
        bollard::errors::Error::SocketNotFoundError(_) => "the socket does not exist".to_owned(),
        error => {
            let mut cause = error.source();
            let mut text = error.to_string();
            while let Some(inner) = cause {
                text = inner.to_string();
                cause = inner.source();
            }
            text
        }
    }
}

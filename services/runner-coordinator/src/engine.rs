//! The Docker engine, as far as the coordinator needs it so far: does it answer?

use std::error::Error as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bollard::{API_DEFAULT_VERSION, Docker};

use crate::configuration::EngineAddress;

/// How long the engine may take to answer. An orchestrator's own patience is seldom above 5 s, and
/// an engine that needs longer for a ping starts no runner either.
pub const PING_LIMIT: Duration = Duration::from_secs(2);

/// The limit of bollard itself; ours is shorter and covers connecting too.
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

    /// Succeeds when the engine answers in time; an error says in one line why it does not count
    /// as reachable.
    pub async fn ping(&self) -> anyhow::Result<()> {
        let answer = async { self.connect()?.ping().await };
        match tokio::time::timeout(PING_LIMIT, answer).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(anyhow!(root_cause(&error))),
            Err(_) => Err(anyhow!("no answer within {} s", PING_LIMIT.as_secs())),
        }
        .with_context(|| format!("the Docker engine at `{}` is not reachable", self.address))
    }

    /// Connects anew each time: bollard looks for the socket when it connects, and the coordinator
    /// may well be started before the engine.
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

/// The innermost error: the layers around it say "client error" and the like.
fn root_cause(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => {
            format!("it answered with status {status_code}")
        }
        bollard::errors::Error::SocketNotFoundError(_) => "there is no such socket".to_owned(),
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

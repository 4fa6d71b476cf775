//! The Docker engine that runners start on.

use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};

use crate::settings::EngineAddress;

/// How long the engine may take to answer a ping.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// An engine by its address. It may come and go while the coordinator runs, so that nothing is held
/// open between two questions.
#[derive(Debug, Clone)]
pub struct Engine {
    address: EngineAddress,
}

/// How long one request may take, in seconds, where nothing shorter is asked for.
const REQUEST: u64 = 120;

impl Engine {
    pub fn new(address: EngineAddress) -> Self {
        Self { address }
    }

    /// Whether the engine answers within [`PATIENCE`]; if not, why.
    pub async fn ping(&self) -> Result<(), String> {
        let docker = self.connect().map_err(|error| error.to_string())?;
        match tokio::time::timeout(PATIENCE, docker.ping()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    fn connect(&self) -> Result<Docker, bollard::errors::Error> {
        match &self.address {
            EngineAddress::Socket(path) => {
                Docker::connect_with_unix(path, REQUEST, API_DEFAULT_VERSION)
            }
            EngineAddress::Http(host) => {
                Docker::connect_with_http(host, REQUEST, API_DEFAULT_VERSION)
            }
        }
    }
}

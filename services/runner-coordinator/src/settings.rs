//! Settings from the environment, checked before anything starts.

use std::fmt;
use std::net::SocketAddr;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub address: SocketAddr,
    /// The engine that runners start on.
    pub engine: EngineAddress,
}

/// An address of a Docker engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// `unix:///path`
    Socket(String),
    /// `tcp://host:port`
    Http(String),
}

const ADDRESS: &str = "AUTOGIT_COORDINATOR_ADDRESS";
const ENGINE: &str = "DOCKER_HOST";

impl Settings {
    /// Reads the settings; `variable` gives the value of a variable that is set.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str, default: &str| {
            variable(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        let address = get(ADDRESS, "0.0.0.0:8080");
        let address = address.parse().map_err(|_| {
            format!(
                "{ADDRESS} is `{address}`; expected an address and a port, such as 0.0.0.0:8080"
            )
        })?;
        let engine = get(ENGINE, "unix:///var/run/docker.sock");
        let engine = match engine.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => EngineAddress::Socket(path.to_owned()),
            Some(("tcp" | "http", host)) if !host.is_empty() => {
                EngineAddress::Http(host.to_owned())
            }
            _ => {
                return Err(format!(
                    "{ENGINE} is `{engine}`; expected unix:///path or tcp://host:port"
                ));
            }
        };
        Ok(Self { address, engine })
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(formatter, "unix://{path}"),
            Self::Http(host) => write!(formatter, "tcp://{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_variables_it_listens_everywhere_and_asks_the_local_engine() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.address.to_string(), "0.0.0.0:8080");
        assert_eq!(settings.engine.to_string(), "unix:///var/run/docker.sock");
        assert_eq!(read(&[(ADDRESS, "")]), read(&[]));
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_what_was_expected() {
        let address = read(&[(ADDRESS, "8080")]).unwrap_err();
        assert_eq!(
            address,
            "AUTOGIT_COORDINATOR_ADDRESS is `8080`; expected an address and a port, such as 0.0.0.0:8080"
        );
        for wrong in ["docker.sock", "unix://relative", "tcp://", "ssh://host"] {
            assert!(read(&[(ENGINE, wrong)]).unwrap_err().contains(wrong), "{wrong}");
        }
    }
}

//! The configuration, read once from the environment and valid from then on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, bail};

const ADDRESS: &str = "AUTOGIT_COORDINATOR_ADDRESS";
const ENGINE: &str = "DOCKER_HOST";
const REVISION: &str = "AUTOGIT_REVISION";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Where to listen.
    pub address: SocketAddr,
    pub engine: EngineAddress,
    /// The commit of the image. It comes from the environment, because a binary that contains it would have
    /// to be compiled again for every commit.
    pub revision: Option<String>,
}

/// Where the Docker engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// An absolute path.
    Unix(String),
    /// `HOST:PORT`, without TLS.
    Tcp(String),
}

impl Configuration {
    /// An empty variable counts as absent: `NAME: ${NAME:-}` in a compose file sets one.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let address = set(ADDRESS).unwrap_or_else(|| "0.0.0.0:8080".to_owned());
        let address = address.parse().with_context(|| {
            format!("{ADDRESS} is `{address}`, expected IP:PORT such as `0.0.0.0:8080`")
        })?;
        let engine = set(ENGINE).unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
        let engine = EngineAddress::parse(&engine).with_context(|| {
            format!(
                "{ENGINE} is `{engine}`, expected `unix:///PATH` such as \
                 `unix:///var/run/docker.sock`, or `tcp://HOST:PORT`"
            )
        })?;
        Ok(Self { address, engine, revision: set(REVISION) })
    }

    /// The address for a client on the same machine, which cannot connect to `0.0.0.0`.
    pub fn local_address(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, self.address.port())
    }
}

impl EngineAddress {
    fn parse(text: &str) -> anyhow::Result<Self> {
        match text.split_once("://") {
            Some(("unix", path)) if path.len() > 1 && path.starts_with('/') => {
                Ok(Self::Unix(path.to_owned()))
            }
            Some(("unix", _)) => bail!("the path of the socket must be absolute"),
            Some(("tcp", host)) => {
                let Some((name, port)) = host.rsplit_once(':') else {
                    bail!("the port is missing")
                };
                if name.is_empty() || name.contains('/') {
                    bail!("the host is missing or not a host name");
                }
                let port = port.parse::<u16>();
                if !port.is_ok_and(|port| port > 0) {
                    bail!("the port is not a number from 1 to 65535");
                }
                Ok(Self::Tcp(host.to_owned()))
            }
            Some((scheme, _)) => bail!("the scheme `{scheme}` is not supported"),
            None => bail!("the scheme is missing"),
        }
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{path}"),
            Self::Tcp(host) => write!(formatter, "tcp://{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(pairs: &[(&str, &str)]) -> Result<Configuration, String> {
        let value = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Configuration::from_environment(value).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn everything_has_a_default() {
        let configuration = configured(&[]).unwrap();
        assert_eq!(configuration.address.to_string(), "0.0.0.0:8080");
        assert_eq!(configuration.engine.to_string(), "unix:///var/run/docker.sock");
        assert_eq!(configuration.revision, None);
        assert_eq!(configured(&[(ADDRESS, ""), (ENGINE, ""), (REVISION, "")]), Ok(configuration));
    }

    #[test]
    fn a_bad_address_error_shows_the_expected_form() {
        assert_eq!(
            configured(&[(ADDRESS, "localhost:8080")]).unwrap_err(),
            "AUTOGIT_COORDINATOR_ADDRESS is `localhost:8080`, expected IP:PORT such as \
             `0.0.0.0:8080`: invalid socket address syntax"
        );
    }

    #[test]
    fn bad_engine_addresses_are_refused_with_a_reason() {
        let engine = |text| {
            configured(&[(ENGINE, text)]).map(|configuration| configuration.engine.to_string())
        };
        for good in
            ["unix:///run/user/1000/docker.sock", "tcp://127.0.0.1:2375", "tcp://[::1]:2375"]
        {
            assert_eq!(engine(good).as_deref(), Ok(good));
        }
        for (bad, reason) in [
            ("/var/run/docker.sock", "the scheme is missing"),
            ("ssh://host", "the scheme `ssh` is not supported"),
            ("unix://docker.sock", "the path of the socket must be absolute"),
            ("tcp://engine", "the port is missing"),
            ("tcp://:2375", "the host is missing or not a host name"),
            ("tcp://engine:0", "the port is not a number from 1 to 65535"),
            ("tcp://engine:2375/", "the port is not a number from 1 to 65535"),
        ] {
            let error = engine(bad).unwrap_err();
            assert!(error.starts_with(&format!("DOCKER_HOST is `{bad}`, expected `unix:///PATH`")));
            assert!(error.ends_with(reason), "{error}");
        }
    }

    #[test]
    fn a_service_on_all_addresses_is_reachable_locally() {
        for (listening, reached) in [
            ("0.0.0.0:9000", "127.0.0.1:9000"),
            ("[::]:9000", "[::1]:9000"),
            ("10.1.2.3:9000", "10.1.2.3:9000"),
        ] {
            let configuration = configured(&[(ADDRESS, listening)]).unwrap();
            assert_eq!(configuration.local_address().to_string(), reached);
        }
    }
}

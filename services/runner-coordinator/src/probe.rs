//! `runner-coordinator health`: the image's health check, for an image that has no shell and no curl.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::configuration::Configuration;

/// The service answers `/health` from memory. If it takes longer than this, it is stuck.
const LIMIT: Duration = Duration::from_secs(2);

/// Larger than the head of any answer.
const HEAD_BYTES: u64 = 4096;

pub fn health(configuration: &Configuration) -> anyhow::Result<()> {
    let address = configuration.local_address();
    let status = status_of(address)
        .with_context(|| format!("the runner coordinator at `{address}` does not answer"))?;
    if status != 200 {
        bail!("`http://{address}/health` answered with status {status}, expected 200");
    }
    Ok(())
}

fn status_of(address: SocketAddr) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    stream.take(HEAD_BYTES).read_to_end(&mut head)?;
    parse_status(&String::from_utf8_lossy(&head)).context("the answer is not HTTP")
}

fn parse_status(answer: &str) -> Option<u16> {
    let (version, rest) = answer.lines().next()?.split_once(' ')?;
    version.starts_with("HTTP/1.").then(|| rest.split(' ').next()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_comes_from_the_first_line() {
        for (answer, status) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Some(200)),
            ("HTTP/1.0 503 Service Unavailable\r\n\r\nHTTP/1.1 200 OK", Some(503)),
            ("HTTP/1.1 200\r\n\r\n", Some(200)),
            ("SSH-2.0-OpenSSH_9.2 200", None),
            ("HTTP/1.1 fine\r\n", None),
            ("", None),
        ] {
            assert_eq!(parse_status(answer), status, "{answer:?}");
        }
    }
}

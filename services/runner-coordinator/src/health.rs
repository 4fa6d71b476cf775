//! The other end of the image's health check: asks the server here, without a shell or curl, which an
//! empty image does not have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Fails unless the server that listens on `address` answers `/health` with a 200.
pub async fn check(address: SocketAddr) -> Result<()> {
    let address = reachable(address);
    match timeout(PATIENCE, ask(address)).await {
        Ok(Ok(head)) if head.starts_with("HTTP/1.1 200 ") => Ok(()),
        Ok(Ok(head)) => bail!("{address} answered `{}`", head.lines().next().unwrap_or_default()),
        Ok(Err(error)) => bail!("{address} does not answer: {error}"),
        Err(_) => bail!("{address} does not answer within {} s", PATIENCE.as_secs()),
    }
}

/// Nobody can connect to the address that means all of them.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(loopback, address.port())
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

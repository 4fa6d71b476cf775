//! Stops the service: accepts no new requests, and lets running ones finish within a limit.

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{info, warn};

/// The time within which running requests must finish. Docker kills a container 10 s after asking it to stop,
/// and no request takes longer than the engine's limit of 2 s.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Resolves on SIGTERM or SIGINT. The signals are caught as soon as this returns: for process 1 of a container
/// they have no default action.
pub fn requested() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => info!(signal = "SIGTERM", "stopping"),
            _ = interrupt.recv() => info!(signal = "SIGINT", "stopping"),
        }
    })
}

/// Serves until `stop` resolves, then gives running requests `limit` to finish.
pub async fn serve_until(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    limit: Duration,
) -> anyhow::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let stop = async move {
        stop.await;
        // The receiver lives as long as the server does.
        let _ = stopping.send(());
    };
    let server = axum::serve(listener, router).with_graceful_shutdown(stop);
    let out_of_time = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(limit).await,
            // The server ended by itself and dropped the sender, so its own result counts.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        outcome = server => {
            outcome.context("the server failed")?;
            info!("stopped");
        }
        () = out_of_time => {
            warn!(limit_seconds = limit.as_secs(), "stopped; some requests did not finish in time");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Instant;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    const SOON: Duration = Duration::from_millis(300);

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn request(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        stream
    }

    #[tokio::test]
    async fn a_running_request_is_answered_before_the_end() {
        let slow = || async {
            tokio::time::sleep(SOON * 2).await;
            "done"
        };
        let (listener, address) = listener().await;
        let router = Router::new().route("/", get(slow));
        let server = tokio::spawn(serve_until(listener, router, tokio::time::sleep(SOON), LIMIT));
        let mut answer = String::new();
        request(address).await.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
        server.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "still accepting");
    }

    #[tokio::test]
    async fn an_endless_request_does_not_prevent_stopping() {
        let (listener, address) = listener().await;
        let router = Router::new().route("/", get(std::future::pending::<()>));
        let begun = Instant::now();
        let server = tokio::spawn(serve_until(listener, router, tokio::time::sleep(SOON), SOON));
        let _stuck = request(address).await;
        server.await.unwrap().unwrap();
        assert!(begun.elapsed() >= SOON * 2);
        assert!(begun.elapsed() < LIMIT);
    }
}

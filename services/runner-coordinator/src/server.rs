//! The HTTP server: is it alive, is it ready, what does it know.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::engine::Engine;

/// How long requests that run may take after the wish to stop.
pub const GRACE: Duration = Duration::from_secs(10);

struct Coordinator {
    engine: Engine,
    begun: Instant,
}

/// The body of `/health` and `/ready`.
#[derive(Debug, Serialize)]
struct Answer {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The body of `/status`.
#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    uptime_seconds: u64,
    engine: Answer,
    runners: Vec<Runner>,
}

/// A runner that this coordinator started.
#[derive(Debug, Serialize)]
struct Runner {
    id: String,
}

/// All routes.
pub fn routes(engine: Engine) -> Router {
    let coordinator = Arc::new(Coordinator { engine, begun: Instant::now() });
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/status", get(status))
        .with_state(coordinator)
}

/// Serves until `stop` is done, then lets running requests end, for [`GRACE`] at most.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let (told, mut tell) = tokio::sync::watch::channel(false);
    let server = axum::serve(listener, routes(engine)).with_graceful_shutdown(async move {
        stop.await;
        // The receiver lives as long as this function.
        let _ = told.send(true);
    });
    let out_of_time = async {
        let _ = tell.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server.into_future() => Ok(ended?),
        () = out_of_time => {
            tracing::warn!("requests were cut off after {} s", GRACE.as_secs());
            Ok(())
        }
    }
}

/// The process lives and answers.
async fn health() -> Json<Answer> {
    Json(Answer { status: "ok", problem: None })
}

/// It can do its work: the engine answers.
async fn ready(State(coordinator): State<Arc<Coordinator>>) -> (StatusCode, Json<Answer>) {
    let answer = coordinator.engine_answer().await;
    let code =
        if answer.problem.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(answer))
}

async fn status(State(coordinator): State<Arc<Coordinator>>) -> Json<Status> {
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: coordinator.begun.elapsed().as_secs(),
        engine: coordinator.engine_answer().await,
        runners: Vec::new(),
    })
}

impl Coordinator {
    async fn engine_answer(&self) -> Answer {
        match self.engine.ping().await {
            Ok(()) => Answer { status: "ok", problem: None },
            Err(problem) => Answer { status: "unreachable", problem: Some(problem) },
        }
    }
}

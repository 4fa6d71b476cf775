//! The HTTP service: its paths, its start and its end.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::configuration::Configuration;
use crate::engine::Engine;
use crate::shutdown;

struct Coordinator {
    engine: Engine,
    revision: Option<String>,
    started: Instant,
}

pub fn run(configuration: Configuration) -> anyhow::Result<()> {
    tracing_subscriber::fmt().json().flatten_event(true).with_target(false).init();
    // One thread is enough: the service mostly waits for the engine.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(serve(configuration));
    // Dropping the runtime would wait for a name lookup that is still running.
    runtime.shutdown_background();
    outcome
}

async fn serve(configuration: Configuration) -> anyhow::Result<()> {
    // Before the listener, so that no signal is lost once a client can connect.
    let stop = shutdown::requested().context("cannot listen to signals")?;
    let listener = TcpListener::bind(configuration.address)
        .await
        .with_context(|| format!("cannot listen on `{}`", configuration.address))?;
    let address = listener.local_addr().context("cannot read the address of the listener")?;
    info!(%address, engine = %configuration.engine, version = VERSION, "listening");
    shutdown::serve_until(listener, router(configuration), stop, shutdown::LIMIT).await
}

fn router(configuration: Configuration) -> Router {
    let coordinator = Coordinator {
        engine: Engine::new(configuration.engine),
        revision: configuration.revision,
        started: Instant::now(),
    };
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/status", get(status))
        .fallback(nothing_here)
        .with_state(Arc::new(coordinator))
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// Does not ask the engine, because restarting this process would not repair it.
async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

async fn ready(State(coordinator): State<Arc<Coordinator>>) -> (StatusCode, Json<Readiness>) {
    match coordinator.engine.ping().await {
        Ok(()) => (StatusCode::OK, Json(Readiness { status: "ready", reason: None })),
        Err(error) => {
            let reason = format!("{error:#}");
            warn!(reason, "not ready");
            let answer = Readiness { status: "unavailable", reason: Some(reason) };
            (StatusCode::SERVICE_UNAVAILABLE, Json(answer))
        }
    }
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    revision: Option<String>,
    uptime_seconds: u64,
    engine: EngineStatus,
    /// The runners at work. Starting and removing them is not part of the coordinator yet, so
    /// there are none.
    runners: [(); 0],
}

#[derive(Serialize)]
struct EngineStatus {
    address: String,
    reachable: bool,
    reason: Option<String>,
}

async fn status(State(coordinator): State<Arc<Coordinator>>) -> Json<Status> {
    let reason = coordinator.engine.ping().await.err().map(|error| format!("{error:#}"));
    Json(Status {
        version: VERSION,
        revision: coordinator.revision.clone(),
        uptime_seconds: coordinator.started.elapsed().as_secs(),
        engine: EngineStatus {
            address: coordinator.engine.address().to_string(),
            reachable: reason.is_none(),
            reason,
        },
        runners: [],
    })
}

#[derive(Serialize)]
struct NotFound {
    error: String,
    hint: &'static str,
}

async fn nothing_here(uri: Uri) -> (StatusCode, Json<NotFound>) {
    let error = format!("nothing is served at `{}`", uri.path());
    (StatusCode::NOT_FOUND, Json(NotFound { error, hint: "GET /health, /ready or /status" }))
}

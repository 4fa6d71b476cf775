//! `runner-coordinator`: reads the command line and the settings, and serves or asks.

use std::process::ExitCode;

use anyhow::{Context, Result};
use runner_coordinator::command::{Command, HELP};
use runner_coordinator::engine::Engine;
use runner_coordinator::settings::Settings;
use runner_coordinator::{health, server};
use tokio::net::TcpListener;

/// Wrong usage or settings.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = match Command::of(&arguments) {
        Ok(Command::Help) => {
            print(HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Version) => {
            print(concat!("runner-coordinator ", env!("CARGO_PKG_VERSION"), "\n"));
            return ExitCode::SUCCESS;
        }
        Ok(command) => command,
        Err(problem) => return wrong(&problem),
    };
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(problem) => return wrong(&problem),
    };
    match run(command, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(command: Command, settings: &Settings) -> Result<()> {
    if command == Command::Health {
        return health::check(settings.address).await;
    }
    tracing_subscriber::fmt().json().init();
    let address = settings.address;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let engine = Engine::new(settings.engine.clone());
    tracing::info!(address = %listener.local_addr()?, engine = %settings.engine, "serving");
    server::serve(listener, engine, stop_signal()).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for SIGTERM or Ctrl-C.
async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot listen for SIGTERM");
                let _ = interrupt.await;
            }
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}

fn wrong(problem: &str) -> ExitCode {
    complain(problem);
    ExitCode::from(USAGE)
}

fn complain(text: &str) {
    eprintln!("runner-coordinator: {text}");
}

fn print(text: &str) {
    print!("{text}");
}

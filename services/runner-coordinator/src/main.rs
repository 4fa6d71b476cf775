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
    let stop = stop_signal().context("cannot listen for signals")?;
    tracing::info!(address = %listener.local_addr()?, engine = %settings.engine, "serving");
    server::serve(listener, engine, stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// The wish to stop: SIGTERM or Ctrl-C. It listens from the moment it is made.
#[cfg(unix)]
fn stop_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}

/// The wish to stop: Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a way to listen it stops when its process is ended.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
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

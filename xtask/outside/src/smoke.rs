//! Starts a built image, waits until it is healthy, sends a request, stops it, and always removes it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use xtask_model::config::SmokeTest;
use xtask_model::invocation::Invocation;
use xtask_model::service::ServiceName;

use super::clock;
use super::process::Runner;

/// How long a program with neither a health check nor a port must run.
const SETTLED: Duration = Duration::from_secs(1);

/// The result of a smoke test that passed.
#[derive(Debug, Clone, PartialEq)]
pub struct SmokeResult {
    /// From the start until the health check passed, or until the port answered.
    pub seconds_to_healthy: f64,
    /// The user that the image names and its program runs as; `None` if it names none.
    pub user: Option<String>,
}

/// Pulls `image` first, so that a failed test is not about the network.
pub fn pull(runner: &Runner, image: &str) -> Result<()> {
    runner.output(&Invocation::new("docker", ["pull", "--quiet", image])).map(drop)
}

/// Tests `image`, an id or a digest that the engine has. The error ends with the container's last output.
/// While it waits, it calls `waits` again and again.
pub fn test(
    runner: &Runner,
    service: &ServiceName,
    image: &str,
    smoke_test: &SmokeTest,
    waits: impl Fn(Duration),
) -> Result<SmokeResult> {
    let name = format!("xtask-smoke-{service}-{}", std::process::id());
    let start = smoke_test.start(&name, image);
    let container = Container { runner, name };
    let begun = Instant::now();
    runner.output(&start).context("cannot start the image")?;
    let tested = container.healthy(begun, smoke_test, &waits).and_then(|()| {
        let seconds_to_healthy = begun.elapsed().as_secs_f64();
        container.answers(begun, smoke_test, &waits)?;
        let user = container.user()?;
        container.stops(smoke_test.stop_timeout)?;
        Ok(SmokeResult { seconds_to_healthy, user })
    });
    tested.map_err(|error| match container.last_words() {
        Some(words) => error.context(format!("last output of the container:\n{words}")),
        None => error,
    })
}

/// A container, removed on drop, also after an interrupt.
struct Container<'r> {
    runner: &'r Runner,
    name: String,
}

/// The part of `docker inspect`'s `.State` that is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerState {
    running: bool,
    exit_code: i64,
    health: Option<Health>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: String,
    #[serde(default)]
    log: Vec<Probe>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Probe {
    #[serde(default)]
    output: String,
}

impl Container<'_> {
    fn docker<const N: usize>(&self, arguments: [&str; N]) -> Invocation {
        Invocation::new("docker", arguments.into_iter().chain([self.name.as_str()]))
    }

    fn state(&self) -> Result<ContainerState> {
        let text = self.runner.output(&self.docker(["inspect", "--format={{json .State}}"]))?;
        serde_json::from_str(&text).context("`docker inspect` answered in an unknown form")
    }

    fn healthy(
        &self,
        begun: Instant,
        smoke_test: &SmokeTest,
        waits: impl Fn(Duration),
    ) -> Result<()> {
        loop {
            let state = self.state()?;
            if !state.running {
                bail!("it exited with {} before it was healthy", state.exit_code);
            }
            match state.health {
                // Without a health check, wait for the port; without a port, wait whether it
                // keeps running.
                None if smoke_test.port.is_some() || begun.elapsed() > SETTLED => return Ok(()),
                Some(health) if health.status == "healthy" => return Ok(()),
                Some(health) if health.status == "unhealthy" => {
                    let output = health.log.last().map_or("", |probe| probe.output.trim());
                    bail!("its health check failed: {output}");
                }
                // It is still starting, or has not run long enough.
                _ => {}
            }
            let limit = smoke_test.timeout;
            if begun.elapsed() > limit {
                bail!("it was not healthy after {} s (`timeout-seconds`)", limit.as_secs());
            }
            waits(begun.elapsed());
            clock::sleep(Duration::from_millis(200))?;
        }
    }

    fn answers(
        &self,
        begun: Instant,
        smoke_test: &SmokeTest,
        waits: impl Fn(Duration),
    ) -> Result<()> {
        let Some(port) = smoke_test.port else { return Ok(()) };
        let mapping = self.runner.output(&Invocation::new(
            "docker",
            ["port".to_owned(), self.name.clone(), format!("{port}/tcp")],
        ))?;
        let address = mapping.lines().next().unwrap_or_default().trim();
        let url = format!("http://{address}{}", smoke_test.path);
        loop {
            let problem = match ask(&url, smoke_test) {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            };
            if begun.elapsed() > smoke_test.timeout {
                bail!("port {port}, `{}`: {problem}", smoke_test.path);
            }
            waits(begun.elapsed());
            clock::sleep(Duration::from_millis(200))?;
        }
    }

    /// The user that the image names. Its first program must run as that user, unless it is root or none, which
    /// may switch to any user.
    fn user(&self) -> Result<Option<String>> {
        let named = self.runner.output(&self.docker(["inspect", "--format={{.Config.User}}"]))?;
        let user = named.trim().split(':').next().unwrap_or_default();
        if matches!(user, "" | "0" | "root") {
            return Ok(None);
        }
        // The engine lists processes by number.
        let arguments = ["top", &self.name, "-o", "uid,pid"].map(str::to_owned);
        let listed = self.runner.output(&Invocation::new("docker", arguments))?;
        let first = listed.lines().nth(1).unwrap_or_default();
        let runs_as = first.split_whitespace().next().unwrap_or_default();
        let is_number = user.bytes().all(|byte| byte.is_ascii_digit());
        // Only the container knows the number of a name.
        if runs_as == "0" || (is_number && runs_as != user) {
            bail!("its user is `{user}`, but its program runs as {runs_as}");
        }
        Ok(Some(user.to_owned()))
    }

    /// Stops it: it must end by itself after SIGTERM, whatever signal the image names.
    fn stops(&self, limit: Duration) -> Result<()> {
        self.runner.output(&self.docker(["kill", "--signal=SIGTERM"]))?;
        let begun = Instant::now();
        loop {
            let state = self.state()?;
            if !state.running {
                return match state.exit_code {
                    137 => bail!("it had to be killed, because it did not stop (exit code 137)"),
                    _ => Ok(()),
                };
            }
            if begun.elapsed() > limit {
                bail!(
                    "it did not stop within {} s of SIGTERM (`stop-timeout-seconds`)",
                    limit.as_secs()
                );
            }
            clock::sleep(Duration::from_millis(100))?;
        }
    }

    fn last_words(&self) -> Option<String> {
        let logs = self.runner.finish(&self.docker(["logs", "--tail=20"])).ok()?;
        let words = format!("{}{}", logs.stdout, logs.stderr);
        (!words.trim().is_empty()).then(|| words.trim_end().to_owned())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // If it never started, docker fails because there is nothing to remove.
        let _ = self.runner.clean_up(&self.docker(["rm", "--force", "--volumes"]));
    }
}

fn ask(url: &str, smoke_test: &SmokeTest) -> Result<(), String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build()
        .into();
    let mut answer = agent.get(url).call().map_err(|error| format!("no answer: {error}"))?;
    let status = answer.status().as_u16();
    if status != smoke_test.status {
        return Err(format!("answered {status}, expected {}", smoke_test.status));
    }
    let Some(expected) = &smoke_test.body else { return Ok(()) };
    let body = answer.body_mut().with_config().limit(1 << 20).read_to_string();
    match body {
        Ok(body) if body.contains(expected) => Ok(()),
        Ok(body) => {
            let start: String = body.chars().take(200).collect();
            Err(format!("answered {start:?}, expected a body with {expected:?}"))
        }
        Err(error) => Err(format!("the answer broke off: {error}")),
    }
}

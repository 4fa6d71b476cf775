//! The real binary, with a stand-in for the Docker engine. Everything listens on loopback only.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that fails fails the test"
)]
#![expect(clippy::disallowed_methods, reason = "the test is the other side, and may sleep")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const NO_ENGINE: &str = "unix:///nonexistent/docker.sock";

#[test]
fn health_and_ready_are_different_questions() {
    let coordinator = Coordinator::start(NO_ENGINE);
    assert_eq!(coordinator.get("/health"), (200, json!({"status": "ok"})));
    let (status, answer) = coordinator.get("/ready");
    assert_eq!(status, 503);
    assert_eq!(
        answer,
        json!({
            "status": "unavailable",
            "reason": "the Docker engine at `unix:///nonexistent/docker.sock` is not reachable: \
                       the socket does not exist",
        })
    );
}

#[test]
fn ready_as_soon_as_the_engine_answers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let coordinator = Coordinator::start(&format!("unix://{}", socket.display()));
    assert_eq!(coordinator.get("/ready").0, 503);
    engine_on_socket(&socket, Engine::Answers);
    assert_eq!(coordinator.get("/ready"), (200, json!({"status": "ready"})));
    fs::remove_file(&socket).unwrap();
    assert_eq!(coordinator.get("/ready").0, 503);
}

#[test]
fn an_engine_over_tcp_counts_as_well() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    serve_engine(move || listener.accept().unwrap().0, Engine::Answers);
    assert_eq!(Coordinator::start(&address).get("/ready").0, 200);
}

#[test]
fn a_silent_engine_does_not_block_ready() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    engine_on_socket(&socket, Engine::Silent);
    let coordinator = Coordinator::start(&format!("unix://{}", socket.display()));
    let begun = Instant::now();
    let (status, answer) = coordinator.get("/ready");
    assert_eq!(status, 503);
    assert!(answer["reason"].as_str().unwrap().ends_with("no answer within 2 s"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn an_engine_with_an_error_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    engine_on_socket(&socket, Engine::Fails);
    let coordinator = Coordinator::start(&format!("unix://{}", socket.display()));
    let (status, answer) = coordinator.get("/ready");
    assert_eq!(status, 503);
    assert!(
        answer["reason"].as_str().unwrap().ends_with("it answered with status 500"),
        "{answer}"
    );
}

#[test]
fn status_shows_only_known_facts() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    engine_on_socket(&socket, Engine::Answers);
    let engine = format!("unix://{}", socket.display());
    let coordinator = Coordinator::start(&engine);
    let (status, mut answer) = coordinator.get("/status");
    assert_eq!(status, 200);
    assert!(answer["uptime_seconds"].take().as_u64().unwrap() < 60);
    assert_eq!(
        answer,
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "revision": null,
            "uptime_seconds": null,
            "engine": {"address": engine, "reachable": true, "reason": null},
            "runners": [],
        })
    );
}

#[test]
fn status_is_an_answer_even_without_an_engine() {
    let mut command = serve_command(NO_ENGINE);
    command.env("AUTOGIT_REVISION", "0123abc");
    let coordinator = Coordinator::spawn(command);
    let (status, answer) = coordinator.get("/status");
    assert_eq!(status, 200);
    assert_eq!(answer["revision"], "0123abc");
    assert_eq!(answer["engine"]["reachable"], false);
    assert!(answer["engine"]["reason"].is_string());
}

#[test]
fn an_unknown_path_names_the_known_ones() {
    let coordinator = Coordinator::start(NO_ENGINE);
    let (status, answer) = coordinator.get("/metrics");
    assert_eq!(status, 404);
    assert_eq!(
        answer,
        json!({
            "error": "nothing is served at `/metrics`",
            "hint": "GET /health, /ready or /status",
        })
    );
}

#[test]
fn a_signal_ends_it_after_running_requests() {
    for name in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        // Keeps `/ready` busy for its 2 s, long enough to send a signal in that time.
        engine_on_socket(&socket, Engine::Silent);
        let mut coordinator = Coordinator::start(&format!("unix://{}", socket.display()));
        let mut request = coordinator.send("/ready");
        thread::sleep(Duration::from_millis(500));
        coordinator.signal(name);
        let mut answer = String::new();
        request.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{name}: {answer:?}");
        assert!(coordinator.process.wait().unwrap().success(), "{name}");
        assert!(TcpStream::connect(&coordinator.address).is_err(), "{name}: still accepting");
    }
}

#[test]
fn the_health_command_detects_a_dead_service() {
    let coordinator = Coordinator::start(NO_ENGINE);
    let probe = |address: &str| {
        command(&["health"]).env("AUTOGIT_COORDINATOR_ADDRESS", address).output().unwrap()
    };
    let alive = probe(&coordinator.address);
    assert_eq!(alive.status.code(), Some(0), "{alive:?}");
    // For a wildcard address, `health` asks on loopback.
    let port = coordinator.address.rsplit(':').next().unwrap();
    assert_eq!(probe(&format!("0.0.0.0:{port}")).status.code(), Some(0));

    let address = coordinator.address.clone();
    drop(coordinator);
    let dead = probe(&address);
    assert_eq!(dead.status.code(), Some(1));
    let expected = format!("error: the runner coordinator at `{address}` does not answer: ");
    assert!(stderr(&dead).starts_with(&expected), "{}", stderr(&dead));
}

#[test]
fn the_health_command_leaves_a_stuck_service() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let begun = Instant::now();
    let output = command(&["health"]).env("AUTOGIT_COORDINATOR_ADDRESS", address).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn wrong_usage_exits_with_two_and_a_reason() {
    let unknown = command(&["--port", "80"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert_eq!(
        stderr(&unknown),
        "error: unexpected argument `--port`\n\nhint: runner-coordinator --help\n"
    );

    let variable = command(&[]).env("DOCKER_HOST", "ssh://engine").output().unwrap();
    assert_eq!(variable.status.code(), Some(2));
    assert_eq!(
        stderr(&variable),
        "error: DOCKER_HOST is `ssh://engine`, expected `unix:///PATH` such as \
         `unix:///var/run/docker.sock`, or `tcp://HOST:PORT`: the scheme `ssh` is not supported\n"
    );
}

#[test]
fn an_address_in_use_is_named() {
    let coordinator = Coordinator::start(NO_ENGINE);
    let output =
        command(&[]).env("AUTOGIT_COORDINATOR_ADDRESS", &coordinator.address).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("error: cannot listen on `{}`: ", coordinator.address);
    assert!(stderr(&output).starts_with(&expected), "{}", stderr(&output));
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = command(&["--help"]).output().unwrap();
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("Usage: runner-coordinator [COMMAND]"));

    let version = command(&["--version"]).output().unwrap();
    assert!(version.status.success());
    let expected = format!("runner-coordinator {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
}

/// The binary with an empty environment.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner-coordinator"));
    command.args(arguments).env_clear();
    command
}

fn serve_command(engine: &str) -> Command {
    let mut command = command(&["serve"]);
    command.env("AUTOGIT_COORDINATOR_ADDRESS", "127.0.0.1:0").env("DOCKER_HOST", engine);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running coordinator; it ends with the test.
struct Coordinator {
    process: Child,
    address: String,
    /// Kept open: a service with a closed log would fail for a different reason.
    _log: BufReader<ChildStdout>,
}

impl Coordinator {
    fn start(engine: &str) -> Self {
        Self::spawn(serve_command(engine))
    }

    /// Waits for the first line of the log, which contains the port.
    fn spawn(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["message"], "listening", "{event}");
        let address = event["address"].as_str().unwrap().to_owned();
        Self { process, address, _log: log }
    }

    fn send(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        stream
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let mut answer = String::new();
        self.send(path).read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        // The shell's builtin `kill`: the program of that name is not installed everywhere.
        let arguments = ["-c", "kill -s \"$1\" \"$2\"", "sh", name, &process];
        assert!(Command::new("sh").args(arguments).status().unwrap().success());
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // It may have ended by itself, which some tests check.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Clone, Copy)]
enum Engine {
    /// Answers `/_ping` as Docker does.
    Answers,
    /// Answers everything with 500.
    Fails,
    /// Accepts and never answers.
    Silent,
}

fn engine_on_socket(path: &Path, behaviour: Engine) {
    let listener = UnixListener::bind(path).unwrap();
    serve_engine(move || listener.accept().unwrap().0, behaviour);
}

/// Serves until the test process ends.
fn serve_engine<S>(accept: impl Fn() -> S + Send + 'static, behaviour: Engine)
where
    S: std::io::Read + std::io::Write + Send + 'static,
{
    thread::spawn(move || {
        loop {
            let mut connection = BufReader::new(accept());
            thread::spawn(move || {
                let mut request = String::new();
                connection.read_line(&mut request).unwrap();
                let mut header = String::new();
                while connection.read_line(&mut header).unwrap() > 2 {
                    header.clear();
                }
                // With or without the API version before the path.
                let (status, body) = match behaviour {
                    Engine::Silent => return thread::sleep(Duration::from_secs(60)),
                    Engine::Answers if request.contains("/_ping ") => ("200 OK", "OK"),
                    Engine::Answers => ("404 Not Found", "{\"message\":\"page not found\"}"),
                    Engine::Fails => {
                        ("500 Internal Server Error", "{\"message\":\"out of order\"}")
                    }
                };
                let length = body.len();
                write!(
                    connection.get_mut(),
                    "HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Length: {length}\r\n\r\n{body}"
                )
                .unwrap();
            });
        }
    });
}

//! The real program, on loopback, with an engine that answers pings, or never does, or is not there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program, ended when it goes.
struct Service {
    child: Child,
    port: u16,
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner-coordinator"));
    command.env_clear();
    command
}

impl Service {
    fn start(engine: &str) -> Self {
        let mut child = program()
            .env("AUTOGIT_COORDINATOR_ADDRESS", "127.0.0.1:0")
            .env("DOCKER_HOST", engine)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = said["fields"]["address"].as_str().unwrap().to_owned();
        let port = address.rsplit(':').next().unwrap().parse().unwrap();
        Self { child, port }
    }

    fn get(&self, path: &str) -> (u16, serde_json::Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, serde_json::from_str(body).unwrap_or_default())
    }

    fn health(&self) -> Output {
        program()
            .arg("health")
            .env("AUTOGIT_COORDINATOR_ADDRESS", format!("0.0.0.0:{}", self.port))
            .output()
            .unwrap()
    }

    fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An engine on loopback that gives `answer` to everything; with none it never answers.
fn engine(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if let Some(answer) = answer {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    line.clear();
                }
                let length = answer.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
                );
            } else {
                open.push(stream);
            }
        }
    });
    format!("tcp://{address}")
}

#[test]
fn it_is_healthy_and_ready_beside_an_engine_that_answers() {
    let service = Service::start(&engine(Some("OK")));
    assert_eq!(service.get("/health"), (200, serde_json::json!({"status": "ok"})));
    assert_eq!(service.get("/ready"), (200, serde_json::json!({"status": "ok"})));
    let (code, status) = service.get("/status");
    assert_eq!(code, 200);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["engine"], serde_json::json!({"status": "ok"}));
    assert_eq!(status["runners"], serde_json::json!([]));
    assert_eq!(service.get("/nothing").0, 404);
    assert_eq!(service.health().status.code(), Some(0));
}

#[test]
fn without_an_engine_it_is_healthy_and_not_ready() {
    let service = Service::start("unix:///nothing/is/here.sock");
    assert_eq!(service.get("/health").0, 200);
    let (code, answer) = service.get("/ready");
    assert_eq!((code, answer["status"].as_str()), (503, Some("unreachable")));
    assert_eq!(service.health().status.code(), Some(0));
}

#[test]
fn an_engine_that_never_answers_holds_nothing_up() {
    let service = Service::start(&engine(None));
    let begun = Instant::now();
    let (code, answer) = service.get("/ready");
    assert_eq!(code, 503);
    assert_eq!(answer["problem"], "no answer within 2 s");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn it_stops_on_sigterm() {
    let mut service = Service::start("unix:///nothing/is/here.sock");
    service.terminate();
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
    let health = service.health();
    assert_eq!(health.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&health.stderr).contains("does not answer"));
}

#[test]
fn what_is_wrong_is_named_with_exit_code_2() {
    let output = program().arg("begin").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`begin`"));
    let output = program().env("AUTOGIT_COORDINATOR_ADDRESS", "here").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("AUTOGIT_COORDINATOR_ADDRESS"));
}

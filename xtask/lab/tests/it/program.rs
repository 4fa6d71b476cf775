//! The built program, started and stopped, and its behavior as a whole.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Reply, ask};
use crate::upstream::Upstream;

/// A running lab with a state directory of its own.
pub struct Lab {
    process: Child,
    pub servers: Value,
    pub directory: TempDir,
    registry: String,
}

impl Lab {
    pub fn start(registry: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), registry, &[])
    }

    fn start_in(directory: TempDir, registry: &str, arguments: &[String]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_lab"))
            .args(["serve", "--registry", registry, "--state-dir"])
            .arg(directory.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let servers = serde_json::from_str(&line).unwrap();
        Self { process, servers, directory, registry: registry.to_owned() }
    }

    /// Stops it cleanly and starts it again with the same state and ports.
    pub fn restart(mut self) -> Self {
        assert!(self.stop("-TERM").success());
        self.start_again()
    }

    pub fn start_again(mut self) -> Self {
        let port = |name: &str| {
            let address = self.address(name);
            address.trim_end_matches('/').rsplit_once(':').unwrap().1.to_owned()
        };
        let arguments: Vec<_> = ["actions_cache", "github_api", "proxy", "proxy_control"]
            .iter()
            .map(|name| format!("--{}-port={}", name.replace('_', "-"), port(name)))
            .collect();
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        Self::start_in(directory, &self.registry, &arguments)
    }

    pub fn stop(&mut self, signal: &str) -> ExitStatus {
        assert!(
            // The shell's builtin, which every machine has.
            Command::new("sh")
                .args(["-c", &format!("kill {signal} {}", self.process.id())])
                .status()
                .unwrap()
                .success()
        );
        self.process.wait().unwrap()
    }

    pub fn address(&self, server: &str) -> String {
        self.servers[server].as_str().unwrap().to_owned()
    }

    /// Sends a request to a control endpoint of the front.
    pub fn control(&self, method: &str, endpoint: &str, body: &Value) -> Reply {
        ask(&self.address("proxy_control"), method, endpoint, &[], body.to_string().as_bytes())
    }

    /// Sends a request to a control endpoint of another server.
    pub fn lab_control(&self, server: &str, method: &str, endpoint: &str, body: &Value) -> Reply {
        ask(
            &self.address(server),
            method,
            &format!("/_lab{endpoint}"),
            &[],
            body.to_string().as_bytes(),
        )
    }

    pub fn front(&self, method: &str, target: &str, body: &[u8]) -> Reply {
        ask(&self.address("proxy"), method, target, &[], body)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn token(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_lab")).arg("token").args(arguments).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn addresses_are_announced_until_the_lab_stops() {
    let mut lab = Lab::start(&Upstream::start().address);
    let file = lab.directory.path().join("servers.json");
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap(), lab.servers);
    assert!(lab.address("actions_cache").starts_with("http://127.0.0.1:"));
    assert!(lab.address("actions_cache").ends_with('/'));
    assert!(lab.address("proxy").starts_with("127.0.0.1:"));
    assert!(lab.stop("-INT").success());
    assert!(!file.exists());
}

#[test]
fn a_restart_keeps_addresses_settings_and_tokens() {
    let lab = Lab::start(&Upstream::start().address);
    assert_eq!(lab.control("PUT", "/settings", &json!({ "authentication": true })).status, 200);
    let token = json!({ "token": "t", "login": "l" });
    assert_eq!(lab.lab_control("github_api", "POST", "/tokens", &token).status, 204);
    let before = lab.servers.clone();
    let lab = lab.restart();
    assert_eq!(lab.servers, before);
    assert_eq!(lab.front("GET", "/v2/", b"").status, 401);
    let api = lab.address("github_api");
    let known = ask(&api, "GET", "/users/nobody", &[("Authorization", "token t")], b"");
    assert_eq!(known.status, 404);
}

#[test]
fn a_port_in_use_is_named() {
    let lab = Lab::start(&Upstream::start().address);
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["serve", "--registry", "127.0.0.1:1", "--proxy-port"])
        .arg(lab.address("proxy").rsplit_once(':').unwrap().1)
        .arg("--state-dir")
        .arg(directory.path())
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains(&format!("could not listen on `{}`", lab.address("proxy"))),
        "{message}"
    );
    assert!(message.contains("hint: "), "{message}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn unknown_endpoints_and_malformed_bodies_are_refused() {
    let lab = Lab::start(&Upstream::start().address);
    assert_eq!(lab.control("GET", "/nothing", &Value::Null).status, 404);
    let reply = lab.control("POST", "/faults", &json!({ "action": { "kind": "explode" } }));
    assert_eq!(reply.status, 400);
    assert!(String::from_utf8(reply.body).unwrap().contains("explode"));
    assert_eq!(lab.control("PUT", "/settings", &json!({ "authentication": 1 })).status, 400);
}

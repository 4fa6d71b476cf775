//! The lab from a test's point of view: its engine, the counts at its registry, and its faults.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use serde_json::{Value, json};

use super::labs::{self, Held};
use super::processes::wait_until;
use super::{Fixture, Ran};

const MANIFESTS: &str =
    "application/vnd.oci.image.index.v1+json,application/vnd.oci.image.manifest.v1+json";

/// A running lab.
pub struct Lab {
    status: Value,
    /// Reserves the lab for this test.
    pub held: Arc<Held>,
    /// Keeps its connections.
    pub agent: ureq::Agent,
}

impl Lab {
    pub fn up(fixture: &Fixture) -> Self {
        fixture.xtask(&["lab", "up"]).expect(0);
        let status = fixture.xtask(&["lab", "status", "--format=json"]).expect(0).json();
        let held = labs::held().unwrap();
        Self { status, held, agent: ureq::Agent::new_with_defaults() }
    }

    fn text(&self, pointer: &str) -> &str {
        self.status.pointer(pointer).unwrap().as_str().unwrap()
    }

    /// `HOST:PORT` of the registry.
    pub fn registry(&self) -> &str {
        self.text("/registry/address")
    }

    /// The engine's `DOCKER_HOST`, unless it is the default one.
    pub fn engine(&self) -> Option<&str> {
        self.status["engine"]["host"].as_str()
    }

    /// `HOST:PORT` of the registry behind the front: requests there are not counted and get no faults.
    pub fn behind(&self) -> &str {
        self.text("/registry/backend")
    }

    /// Makes the registry delete everything that no manifest refers to.
    pub fn collect_garbage(&self) {
        let configuration = Path::new(self.text("/state")).join("registry.yml");
        let mut command = Command::new("docker-registry");
        Ran::from(command.arg("garbage-collect").arg(configuration).output().unwrap()).expect(0);
    }

    /// The bytes of all files of the registry.
    pub fn stored(&self) -> u64 {
        let mut open = vec![Path::new(self.text("/state")).join("registry")];
        let mut bytes = 0;
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let known = entry.metadata().unwrap();
                if known.is_dir() {
                    open.push(entry.path());
                } else {
                    bytes += known.len();
                }
            }
        }
        bytes
    }

    pub fn docker(&self, arguments: &[&str]) -> Ran {
        let is_private = self.status["engine"]["kind"] == "private";
        // Images on the user's engine must not be deleted.
        assert!(is_private || !arguments.contains(&"prune"), "the engine is not the lab's own");
        let mut command = Command::new("docker");
        if let Some(host) = self.engine() {
            command.env("DOCKER_HOST", host);
            // A compose file mounts this in place of the machine's socket.
            command.env("DOCKER_SOCKET", host.trim_start_matches("unix://"));
        }
        Ran::from(command.args(arguments).output().unwrap())
    }

    /// Empties the engine like that of a fresh CI runner: no image, no layer, no cache.
    pub fn empty_engine(&self) {
        self.docker(&["system", "prune", "--all", "--force", "--volumes"]).expect(0);
        self.docker(&["buildx", "prune", "--all", "--force"]).expect(0);
    }

    /// Resets the counts at the registry.
    pub fn reset(&self) {
        self.control("POST", "/reset", None);
    }

    /// The traffic through the registry since [`Self::reset`].
    pub fn traffic(&self) -> Traffic {
        let counters = self.control("GET", "/counters", None);
        let number = |name: &str| counters[name].as_u64().unwrap();
        Traffic {
            requests: number("requests"),
            bytes: number("request_bytes") + number("response_bytes"),
        }
    }

    pub fn requests(&self) -> Vec<Value> {
        self.control("GET", "/requests", None).as_array().unwrap().clone()
    }

    pub fn fault(&self, fault: &Value) {
        self.control("POST", "/faults", Some(fault));
    }

    pub fn no_faults(&self) {
        self.control("DELETE", "/faults", None);
    }

    /// Holds up one request until [`Self::no_faults`]: the first of those that `matching` describes.
    pub fn hold_up(&self, mut matching: Value) {
        matching["count"] = 1.into();
        let action = json!({ "kind": "delay", "milliseconds": 120_000 });
        self.fault(&json!({ "match": matching, "action": action }));
    }

    /// Waits until a request is held up. False if the process ends without it.
    pub fn until_held_up(&self, child: &mut Child) -> bool {
        let fired = || self.control("GET", "/faults", None)[0]["fired"] == 1;
        wait_until("a request is held up", 120, || fired() || child.try_wait().unwrap().is_some());
        fired()
    }

    /// A control request to the registry's front.
    pub fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.call(method, &format!("{}{path}", self.text("/servers/front_control")), body)
    }

    /// Whether the registry behind the front has a manifest.
    pub fn holds(&self, repository: &str, name: &str) -> bool {
        let url = format!("http://{}/v2/{repository}/manifests/{name}", self.behind());
        self.agent.head(&url).header("accept", MANIFESTS).call().is_ok()
    }

    /// The manifest at a path below `/v2/`, with its digest; `None` if it does not exist.
    pub fn manifest(&self, repository: &str, name: &str) -> Option<(Value, String)> {
        let url = format!("http://{}/v2/{repository}/manifests/{name}", self.registry());
        let answer = self.agent.get(&url).header("accept", MANIFESTS).call();
        let mut answer = answer.ok()?;
        let digest = answer.headers()["docker-content-digest"].to_str().unwrap().to_owned();
        Some((serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap(), digest))
    }

    /// The registry behind the front has everything that a manifest refers to.
    #[track_caller]
    pub fn whole(&self, repository: &str, name: &str) {
        let place = format!("http://{}/v2/{repository}", self.behind());
        let answer =
            self.agent.get(format!("{place}/manifests/{name}")).header("accept", MANIFESTS).call();
        let text = answer
            .unwrap_or_else(|error| unreachable!("{repository} has lost {name}: {error}"))
            .body_mut()
            .read_to_string();
        let manifest: Value = serde_json::from_str(&text.unwrap()).unwrap();
        for child in manifest["manifests"].as_array().into_iter().flatten() {
            self.whole(repository, child["digest"].as_str().unwrap());
        }
        let layers = manifest["layers"].as_array().into_iter().flatten();
        for blob in layers.chain(manifest.get("config")) {
            let digest = blob["digest"].as_str().unwrap();
            let found = self.agent.head(format!("{place}/blobs/{digest}")).call();
            assert!(found.is_ok(), "{repository} has lost {digest}, which {name} needs");
        }
    }

    pub fn delete(&self, repository: &str, tag: &str) {
        if let Some((_, digest)) = self.manifest(repository, tag) {
            let url = format!("http://{}/v2/{repository}/manifests/{digest}", self.registry());
            self.agent.delete(&url).call().unwrap();
        }
    }

    /// The tags of a repository; none if it does not exist.
    pub fn tags(&self, repository: &str) -> BTreeSet<String> {
        let url = format!("http://{}/v2/{repository}/tags/list", self.registry());
        let Ok(mut answer) = self.agent.get(&url).call() else { return BTreeSet::new() };
        let text = answer.body_mut().read_to_string().unwrap();
        let listed: Value = serde_json::from_str(&text).unwrap();
        let tags = listed["tags"].as_array().cloned().unwrap_or_default();
        tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
    }

    /// The content of the Actions cache, as pairs of scope and key.
    pub fn cache_entries(&self) -> Vec<(String, String)> {
        let listed = self.cache_control("GET", "entries", None);
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
        let entries = listed.as_array().unwrap().iter();
        entries.map(|entry| (text(entry, "scope"), text(entry, "key"))).collect()
    }

    pub fn clear_cache(&self) {
        self.cache_control("DELETE", "entries", None);
    }

    /// A control request to the Actions cache.
    pub fn cache_control(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}/_lab/{path}", self.text("/servers/actions_cache"));
        self.call(method, &url, body)
    }

    /// The GitHub release of a tag; `None` if there is none.
    pub fn github_release(&self, repository: &str, tag: &str) -> Option<Value> {
        let api = self.text("/servers/github_api");
        let url = format!("{api}/repos/{repository}/releases/tags/{tag}");
        // Only `--lab` makes this token known, and the test may not have used it in this lab.
        let owner = repository.split('/').next().unwrap();
        let permissions = json!({ "contents": "write", "packages": "write" });
        let writer = json!({ "token": "lab-writer", "login": owner, "permissions": permissions });
        self.github("POST", "/tokens", Some(&writer));
        let unlimited = json!({ "token": "lab-writer", "remaining": 1000 });
        self.github("POST", "/limits", Some(&unlimited));
        let answer = self.agent.get(&url).header("authorization", "Bearer lab-writer").call();
        serde_json::from_str(&answer.ok()?.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// The variables that GitHub gives to actions for the cache service, with a token that may write to
    /// one scope.
    pub fn actions(&self, scope: &str) -> [(&'static str, String); 2] {
        self.actions_of(&[(scope.to_owned(), 3)])
    }

    /// The same for several scopes, the job's own first, each with its permission: 1 read, 3 also write.
    pub fn actions_of(&self, scopes: &[(String, u8)]) -> [(&'static str, String); 2] {
        let mut command = Command::new(self.held.target.join("debug").join("lab"));
        command.arg("token");
        for (scope, permission) in scopes {
            command.args(["--scope", scope, "--permission", &permission.to_string()]);
        }
        let token = command.output().unwrap();
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        let url = format!("{}/", self.text("/servers/actions_cache"));
        [("ACTIONS_RUNTIME_TOKEN", token), ("ACTIONS_RESULTS_URL", url)]
    }
}

/// Requests and bytes at the registry, both directions, heads and bodies.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    pub requests: u64,
    pub bytes: u64,
}

impl Lab {
    /// Sets the push time of every version of a plan to a year ago, at GitHub's stand-in.
    pub fn age(&self, repository: &str, plan: &Value) {
        let verdicts = plan["verdicts"].as_array().unwrap().iter();
        let digests = verdicts.map(|verdict| verdict["digest"].as_str().unwrap());
        self.age_all(repository, digests, "2025-01-01T00:00:00Z");
    }

    /// Sets the push time of versions, at GitHub's stand-in.
    pub fn age_all<'d>(
        &self,
        repository: &str,
        digests: impl Iterator<Item = &'d str>,
        created: &str,
    ) {
        let of = |digest: &str| json!({ "repository": repository, "digest": digest, "created_at": created });
        self.github("POST", "/versions", Some(&digests.map(of).collect()));
    }

    /// Deletes the version of a package that GitHub's stand-in lists first.
    pub fn delete_newest(&self, repository: &str) {
        let (owner, name) = repository.split_once('/').unwrap();
        let name = name.replace('/', "%2F");
        let versions = format!(
            "{}/users/{owner}/packages/container/{name}/versions",
            self.text("/servers/github_api")
        );
        let token = "Bearer lab-writer";
        let mut listed = self.agent.get(&versions).header("authorization", token).call().unwrap();
        let listed: Value =
            serde_json::from_str(&listed.body_mut().read_to_string().unwrap()).unwrap();
        let url = format!("{versions}/{}", listed[0]["id"]);
        self.agent.delete(url).header("authorization", token).call().unwrap();
    }

    /// A control request to GitHub's stand-in.
    pub fn github(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.call(method, &format!("{}/_lab{path}", self.text("/servers/github_api")), body)
    }

    /// One HTTP call on loopback; the answer as JSON, or null.
    fn call(&self, method: &str, url: &str, body: Option<&Value>) -> Value {
        let request = ureq::http::Request::builder().method(method).uri(url);
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        let answer = self.agent.run(request.body(bytes).unwrap());
        let text = answer
            .unwrap_or_else(|error| unreachable!("{method} {url}: {error}"))
            .body_mut()
            .read_to_string()
            .unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

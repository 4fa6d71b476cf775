//! The lab before a real registry: images go through the front and come back, and the API's deletions take effect.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{READ_TIMEOUT, ask, ask_url};
use crate::program::Lab;

const REPOSITORY: &str = "tzervas/autogit/git-server";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry of distribution with deletion enabled, and a lab before it.
struct World {
    lab: Lab,
    registry: Child,
    _storage: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.registry.kill();
        let _ = self.registry.wait();
    }
}

impl World {
    fn start() -> Self {
        let storage = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let configuration = storage.path().join("config.yml");
        let root = storage.path().join("data").display().to_string();
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: \
             {{rootdirectory: {root}}}\n  delete: {{enabled: true}}\nhttp: {{addr: '{address}'}}\n"
        );
        fs::write(&configuration, text).unwrap();
        let registry = Command::new("docker-registry")
            .arg("serve")
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < READ_TIMEOUT, "the registry does not come up");
            sleep(Duration::from_millis(20));
        }
        Self { lab: Lab::start(&address.to_string()), registry, _storage: storage }
    }

    /// Pushes a blob as clients do, by following the locations, and returns its digest.
    fn push_blob(&self, content: &[u8]) -> String {
        let digest = sha256(content);
        let begun = self.lab.front("POST", &format!("/v2/{REPOSITORY}/blobs/uploads/"), b"");
        assert_eq!(begun.status, 202);
        let location = begun.header("location").unwrap();
        let written =
            ask_url(location, "PATCH", &[("Content-Type", "application/octet-stream")], content);
        assert_eq!(written.status, 202);
        let location = written.header("location").unwrap();
        assert!(
            location.starts_with(&format!("http://{}/", self.lab.address("proxy"))),
            "{location}"
        );
        assert_eq!(ask_url(&format!("{location}&digest={digest}"), "PUT", &[], b"").status, 201);
        digest
    }

    /// Pushes an image with one layer, and returns its digest.
    fn push_image(&self, tag: &str, layer: &[u8]) -> String {
        let config = format!("{{\"os\":\"linux\",\"comment\":\"{tag}\"}}");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": self.push_blob(config.as_bytes()),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": self.push_blob(layer),
                "size": layer.len(),
            }],
        });
        let target = format!("/v2/{REPOSITORY}/manifests/{tag}");
        let headers = [("Content-Type", MANIFEST)];
        let pushed = ask(
            &self.lab.address("proxy"),
            "PUT",
            &target,
            &headers,
            manifest.to_string().as_bytes(),
        );
        assert_eq!(pushed.status, 201, "{}", String::from_utf8_lossy(&pushed.body));
        pushed.header("docker-content-digest").unwrap().to_owned()
    }

    fn pull_status(&self, reference: &str) -> u16 {
        let target = format!("/v2/{REPOSITORY}/manifests/{reference}");
        ask(&self.lab.address("proxy"), "GET", &target, &[("Accept", MANIFEST)], b"").status
    }

    fn api(&self, method: &str, target: &str) -> crate::client::Reply {
        let target =
            format!("/users/tzervas/packages/container/autogit%2Fgit-server/versions{target}");
        ask(&self.lab.address("github_api"), method, &target, &[("Authorization", "Bearer t")], b"")
    }

    fn allow(&self) {
        let token =
            json!({ "token": "t", "login": "tzervas", "permissions": { "packages": "write" } });
        self.lab.lab_control("github_api", "POST", "/tokens", &token);
    }
}

/// Uses the machine's own tool, so the crate needs no hashing.
fn sha256(content: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    let output = Command::new("sha256sum").arg(file.path()).output().unwrap();
    format!("sha256:{}", String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap())
}

#[test]
#[ignore = "needs docker-registry: cargo xtask test"]
fn an_image_passes_through_and_is_counted() {
    let world = World::start();
    let layer: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    world.push_image("dev", &layer);
    let digest = sha256(&layer);
    world.lab.control("POST", "/reset", &Value::Null);
    let pulled = world.lab.front("GET", &format!("/v2/{REPOSITORY}/blobs/{digest}"), b"");
    assert!(pulled.body == layer);
    let target = format!("/v2/{REPOSITORY}/blobs/{digest}");
    let part =
        ask(&world.lab.address("proxy"), "GET", &target, &[("Range", "bytes=11999996-")], b"");
    assert_eq!((part.status, part.body.as_slice()), (206, &layer[11_999_996..]));
    let counters = world.lab.control("GET", "/counters", &Value::Null).json();
    assert_eq!(
        (&counters["requests"], &counters["response_body_bytes"]),
        (&json!(2), &json!(12_000_004))
    );
}

#[test]
#[ignore = "needs docker-registry: cargo xtask test"]
fn the_api_deletes_and_restores_in_the_registry() {
    let world = World::start();
    world.allow();
    let kept = world.push_image("keep", b"layer");
    let digest = world.push_image("dev", b"other layer");
    let versions = world.api("GET", "").json();
    let version = versions
        .as_array()
        .unwrap()
        .iter()
        .find(|version| version["name"] == digest.as_str())
        .unwrap();
    assert_eq!(version["metadata"]["container"]["tags"], json!(["dev"]));
    assert_eq!(world.api("DELETE", &format!("/{}", version["id"])).status, 204);
    assert_eq!(
        [&digest, "dev", &kept].map(|reference| world.pull_status(reference)),
        [404, 404, 200]
    );
    assert_eq!(world.api("POST", &format!("/{}/restore", version["id"])).status, 204);
    assert_eq!([&digest, "dev"].map(|reference| world.pull_status(reference)), [200, 200]);
}

#[test]
#[ignore = "needs docker-registry: cargo xtask test"]
fn the_api_sees_deletions_at_the_registry() {
    let world = World::start();
    world.allow();
    world.push_image("keep", b"layer");
    let digest = world.push_image("dev", b"other layer");
    assert_eq!(
        world.lab.front("DELETE", &format!("/v2/{REPOSITORY}/manifests/{digest}"), b"").status,
        202
    );
    let names: Vec<_> =
        world.api("GET", "").json().as_array().unwrap().iter().map(|v| v["name"].clone()).collect();
    assert_eq!((names.len(), names.contains(&json!(digest))), (1, false));
}

#[test]
#[ignore = "needs docker-registry: cargo xtask test"]
fn a_broken_upload_leaves_the_registry_usable() {
    let world = World::start();
    let rule = json!({ "match": { "method": "PATCH" }, "action": { "kind": "reset" } });
    world.lab.control("POST", "/faults", &rule);
    let begun = world.lab.front("POST", &format!("/v2/{REPOSITORY}/blobs/uploads/"), b"");
    let location = begun.header("location").unwrap();
    let path = location.split_once("/v2/").unwrap().1;
    let mut client = crate::client::Client::connect(&world.lab.address("proxy"));
    assert!(client.ask("PATCH", &format!("/v2/{path}"), &[], b"content").is_err());
    world.lab.control("DELETE", "/faults", &Value::Null);
    world.push_image("dev", b"content");
    assert_eq!(world.pull_status("dev"), 200);
}

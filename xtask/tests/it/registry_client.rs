//! The client of registries, through the real binary: a registry of a few lines on this machine answers as
//! it should not, and keeps what it was sent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::support::{Fixture, Ran};
use serde_json::{Value, json};
use xtask::model::manifest::media_type::{OCI_CONFIGURATION, OCI_MANIFEST};
use xtask::outside::registry::digest::sha256;

/// What a server was asked.
#[derive(Debug, Clone)]
struct Request {
    method: String,
    path: String,
    authorization: Option<String>,
    body: String,
}

/// What it answers: status, headers and body.
type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// A server that lives as long as the test.
struct Server {
    /// `127.0.0.1:PORT`
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn new(answer: impl Fn(&str, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Self { address: address.clone(), requests: Arc::default() };
        let (answer, kept) = (Arc::new(answer), Arc::clone(&server.requests));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                let address = address.clone();
                std::thread::spawn(move || {
                    let Some(request) = read(&connection) else { return };
                    kept.lock().unwrap().push(request.clone());
                    // A client that has read enough may be gone.
                    let _ = write(&connection, &request, answer(&address, &request));
                });
            }
        });
        server
    }

    fn asked(&self, path: &str) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.path.contains(path)).cloned().collect()
    }
}

fn read(connection: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Request { method, path, authorization: headers.remove("authorization"), body })
}

fn write(mut connection: &TcpStream, request: &Request, answer: Answer) -> std::io::Result<()> {
    let (status, headers, body) = answer;
    write!(connection, "HTTP/1.1 {status} Any\r\nConnection: close\r\n")?;
    write!(connection, "Content-Length: {}\r\n", body.len())?;
    for (name, value) in headers {
        write!(connection, "{name}: {value}\r\n")?;
    }
    write!(connection, "\r\n")?;
    if request.method != "HEAD" {
        connection.write_all(&body)?;
    }
    Ok(())
}

fn plain(status: u16) -> Answer {
    (status, Vec::new(), Vec::new())
}

fn digest(bytes: &[u8]) -> String {
    sha256(bytes).unwrap().to_string()
}

/// The configuration and the manifest of an image that has no layer.
fn image() -> (Vec<u8>, Vec<u8>) {
    let configuration = json!({ "os": "linux", "architecture": "amd64" }).to_string().into_bytes();
    let entry = json!({
        "mediaType": OCI_CONFIGURATION, "digest": digest(&configuration), "size": configuration.len(),
    });
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": entry, "layers": [] });
    (configuration, manifest.to_string().into_bytes())
}

/// A registry with that image under `dev`.
fn registry(request: &Request) -> Answer {
    let (configuration, manifest) = image();
    let name = request.path.rsplit('/').next().unwrap();
    let of = |kind: &str, bytes: Vec<u8>| {
        let headers =
            vec![("Content-Type", kind.to_owned()), ("Docker-Content-Digest", digest(&bytes))];
        (200, headers, bytes)
    };
    match name {
        "list?n=1000" => of("application/json", br#"{"tags":["dev"]}"#.to_vec()),
        "dev" => of(OCI_MANIFEST, manifest),
        name if name == digest(&manifest) => of(OCI_MANIFEST, manifest),
        name if name == digest(&configuration) => of("application/octet-stream", configuration),
        _ => plain(404),
    }
}

/// What `verify` finds at a registry, with docker's configuration in `config`.
fn verified(address: &str, config: &Path, path: Option<&Path>) -> Vec<Value> {
    let fixture = Fixture::new();
    let images = format!(
        "[workspace]\nmembers = []\n\n[workspace.metadata.images]\nrepository = \"o/r\"\n\
         registry = \"{address}\"\nplatforms = [\"linux/amd64\"]\n"
    );
    fixture.write("Cargo.toml", &images);
    fixture.service("web", "FROM scratch\n");
    fixture.commit("feat: a service");
    let mut command = fixture.command(&["verify", "--format=json"]);
    command.env("DOCKER_CONFIG", config);
    if let Some(path) = path {
        let before = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{before}", path.display()));
    }
    Ran::from(command.output().unwrap()).json().as_array().unwrap().clone()
}

/// Level and detail of one check.
fn told(found: &[Value], check: &str) -> Vec<String> {
    let of_check = found.iter().filter(|one| one["check"] == check);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    of_check.map(|one| format!("{}: {}", text(&one["level"]), text(&one["detail"]))).collect()
}

/// A folder with docker's configuration.
fn config(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    xtask::outside::files::write_atomically(&folder.path().join("config.json"), text.as_bytes())
        .unwrap();
    folder
}

/// Credentials `user` and `password` for a registry.
fn login(address: &str) -> tempfile::TempDir {
    config(&json!({ "auths": { address: { "auth": "dXNlcjpwYXNzd29yZA==" } } }).to_string())
}

const BASIC: &str = "Basic dXNlcjpwYXNzd29yZA==";

/// Answers as the registry does, once the client has a token from it.
fn with_token(address: &str, request: &Request) -> Answer {
    if request.path.starts_with("/token") {
        return (200, Vec::new(), br#"{"token":"a-token"}"#.to_vec());
    }
    if request.authorization.as_deref() == Some("Bearer a-token") {
        return registry(request);
    }
    let challenge = format!("Bearer realm=\"http://{address}/token\",service=\"s\"");
    (401, vec![("WWW-Authenticate", challenge)], Vec::new())
}

#[test]
fn a_registry_without_credentials_is_read() {
    let server = Server::new(|_, request| registry(request));
    let found = verified(&server.address, config("{}").path(), None);
    assert_eq!(told(&found, "closure"), ["pass: all it leads to is there"], "{found:#?}");
}

#[test]
fn a_redirect_gets_no_token_and_no_password() {
    // It wants to see the password, too, at a place of its own.
    let store = Server::new(|address, _| {
        let challenge = format!("Bearer realm=\"http://{address}/realm\"");
        (401, vec![("WWW-Authenticate", challenge)], Vec::new())
    });
    let to = store.address.clone();
    let server = Server::new(move |address, request| {
        let answer = with_token(address, request);
        if answer.0 == 200 && request.path.contains("/blobs/") {
            return (307, vec![("Location", format!("http://{to}/signed"))], Vec::new());
        }
        answer
    });
    let found = verified(&server.address, login(&server.address).path(), None);
    assert!(
        server.asked("/token").iter().any(|asked| asked.authorization.as_deref() == Some(BASIC))
    );
    assert!(server.asked("/blobs/").iter().any(|asked| asked.authorization.is_some()));
    let leaked: Vec<_> =
        store.asked("").into_iter().filter(|r| r.authorization.is_some()).collect();
    assert!(!store.asked("/signed").is_empty());
    assert!(leaked.is_empty(), "{leaked:#?}");
    assert!(told(&found, "closure")[0].starts_with("unknown: the configuration"), "{found:#?}");
}

#[test]
fn bytes_that_do_not_match_their_digest_fail() {
    let server = Server::new(|_, request| {
        let (status, headers, mut bytes) = registry(request);
        if request.path.contains("/manifests/sha256:") {
            bytes.push(b' ');
        }
        (status, headers, bytes)
    });
    let found = verified(&server.address, config("{}").path(), None);
    let told = told(&found, "closure");
    assert!(
        told[0].starts_with("fail: the manifest ") && told[0].contains("is damaged"),
        "{told:?}"
    );
}

#[test]
fn an_endless_body_is_not_read() {
    let server = Server::new(|_, request| {
        let (status, headers, bytes) = registry(request);
        if request.path.contains("/manifests/sha256:") {
            return (status, headers, vec![b' '; 5 << 20]);
        }
        (status, headers, bytes)
    });
    let found = verified(&server.address, config("{}").path(), None);
    let told = told(&found, "closure");
    assert!(told[0].contains("malformed answer: more than 4194304 bytes"), "{told:?}");
    assert!(told[0].starts_with("unknown: "), "{told:?}");
}

#[test]
fn a_tag_that_cannot_be_read_is_unknown() {
    let server = Server::new(|_, request| {
        let refused = request.method == "HEAD" && request.path.ends_with("/manifests/dev");
        if refused { plain(503) } else { registry(request) }
    });
    let found = verified(&server.address, config("{}").path(), None);
    let unknown: Vec<_> = found.iter().filter(|one| one["subject"] == "web:dev").collect();
    assert!(unknown.iter().any(|one| one["level"] == "unknown"), "{found:#?}");
    assert!(unknown.iter().all(|one| one["level"] != "fail"), "{found:#?}");
}

#[cfg(unix)]
#[test]
fn a_helpers_password_goes_only_to_its_host() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::new(|_, request| {
        if request.authorization.as_deref() == Some(BASIC) {
            return registry(request);
        }
        (401, vec![("WWW-Authenticate", "Basic realm=x".to_owned())], Vec::new())
    });
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("docker-credential-ours");
    // A helper is asked for its host on standard input.
    let script = format!(
        "#!/bin/sh\nread host\n[ \"$host\" = {0} ] || exit 1\n\
         echo '{{\"ServerURL\":\"{0}\",\"Username\":\"user\",\"Secret\":\"password\"}}'\n",
        server.address
    );
    xtask::outside::files::write_atomically(&program, script.as_bytes()).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let helpers = json!({ "credHelpers": { server.address.clone(): "ours" } }).to_string();
    let found = verified(&server.address, config(&helpers).path(), Some(programs.path()));
    assert_eq!(told(&found, "closure"), ["pass: all it leads to is there"], "{found:#?}");
}

#[test]
fn an_identity_token_buys_an_access_token() {
    let server = Server::new(with_token);
    let auths = json!({ "auths": { server.address.clone(): {
        "auth": "dXNlcjo=", "identitytoken": "a refresh/token",
    } } });
    let found = verified(&server.address, config(&auths.to_string()).path(), None);
    assert_eq!(told(&found, "closure"), ["pass: all it leads to is there"], "{found:#?}");
    let asked = server.asked("/token");
    let refreshed = asked.iter().find(|request| request.method == "POST").unwrap();
    for part in ["grant_type=refresh_token", "refresh_token=a%20refresh%2Ftoken", "service=s"] {
        assert!(refreshed.body.contains(part), "{refreshed:?}");
    }
    // A secret in an address would stand in logs.
    assert!(asked.iter().all(|request| !request.path.contains("refresh")), "{asked:#?}");
}

#[test]
fn an_unreadable_docker_configuration_is_reported() {
    let server = Server::new(with_token);
    let found = verified(&server.address, config("{ not json").path(), None);
    let login = "fail: not logged in: docker's configuration cannot be read: `config.json`";
    assert_eq!(told(&found, "login"), [login], "{found:#?}");
}

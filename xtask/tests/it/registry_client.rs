//! The registry client, through the real binary: a minimal registry on this machine gives wrong answers
//! and records the requests.

use std::path::Path;

use crate::support::scripted_registry::{self, Answer, Request, ScriptedRegistry};
use crate::support::{self, Fixture, Ran};
use serde_json::{Value, json};
use xtask::model::reference::Tag;
use xtask::model::remote::RemoteError;
use xtask::outside::registry::{Client, CredentialSource, StoredManifest};

const REPOSITORY: &str = "o/r/web";

/// A registry with an image under `dev`.
fn registry() -> ScriptedRegistry {
    let registry = scripted_registry::start();
    let digest = registry.add_image(REPOSITORY, &[]);
    registry.set_tag(REPOSITORY, "dev", &digest);
    registry
}

/// The findings of `verify` at a registry, with docker's configuration in `config`.
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
fn findings(found: &[Value], check: &str) -> Vec<String> {
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

/// Requires a token, unless the request has one.
fn ask_for_token(registry: &ScriptedRegistry, request: &Request) -> Option<Answer> {
    if request.path.starts_with("/token") {
        let body = br#"{"token":"a-token"}"#.to_vec();
        return Some(Answer { status: 200, body, ..Answer::default() });
    }
    if request.authorization() == Some("Bearer a-token") {
        return None;
    }
    let realm = format!("Bearer realm=\"http://{}/token\",service=\"s\"", registry.address());
    Some(Answer::status(401).header("WWW-Authenticate", realm))
}

/// A registry that serves its image only to requests with a token.
fn registry_with_token() -> ScriptedRegistry {
    let registry = registry();
    registry.hook(ask_for_token);
    registry
}

/// All requests whose path contains `part`.
fn requests(registry: &ScriptedRegistry, part: &str) -> Vec<Request> {
    let all = registry.requests("", "");
    all.into_iter().filter(|request| request.path.contains(part)).collect()
}

#[test]
fn a_public_registry_needs_no_credentials() {
    let registry = registry();
    let found = verified(registry.address(), config("{}").path(), None);
    assert_eq!(findings(&found, "closure"), ["pass: complete"], "{found:#?}");
}

#[test]
fn a_redirect_takes_no_credentials_along() {
    // The other host requires the password, too.
    let store = scripted_registry::start();
    store.hook(|store, _| {
        let challenge = format!("Bearer realm=\"http://{}/realm\"", store.address());
        Some(Answer::status(401).header("WWW-Authenticate", challenge))
    });
    let registry = registry_with_token();
    let to = format!("http://{}/signed", store.address());
    registry.hook(move |_, request| {
        let is_blob = request.path.contains("/blobs/");
        is_blob.then(|| Answer::status(307).header("Location", to.clone()))
    });
    let found = verified(registry.address(), login(registry.address()).path(), None);
    let is_basic = |request: &Request| request.authorization() == Some(BASIC);
    assert!(requests(&registry, "/token").iter().any(is_basic));
    assert!(requests(&registry, "/blobs/").iter().any(|r| r.authorization().is_some()));
    assert!(!requests(&store, "/signed").is_empty());
    let leaked = requests(&store, "").into_iter().filter(|r| r.authorization().is_some());
    assert_eq!(leaked.collect::<Vec<_>>(), []);
    let closure = findings(&found, "closure");
    assert!(closure.iter().all(|finding| finding.starts_with("unknown: ")), "{closure:#?}");
}

/// The findings of `verify` about an image whose manifest, read by digest, has this body.
fn closure_of(body: fn(Vec<u8>) -> Vec<u8>) -> String {
    let registry = registry();
    registry.hook(move |registry, request| {
        let mut answer = registry.answer(request);
        answer.body = body(answer.body);
        request.path.contains("/manifests/sha256:").then_some(answer)
    });
    let found = verified(registry.address(), config("{}").path(), None);
    findings(&found, "closure").swap_remove(0)
}

#[test]
fn a_manifest_with_another_digest_is_damaged() {
    let closure = closure_of(|body| [&*body, b" "].concat());
    assert!(closure.starts_with("fail: the manifest "), "{closure}");
    assert!(closure.contains("is damaged"), "{closure}");
}

#[test]
fn a_manifest_that_is_too_large_is_unknown() {
    let closure = closure_of(|_| vec![b' '; 5 << 20]);
    assert!(closure.starts_with("unknown: "), "{closure}");
    assert!(closure.contains("malformed answer: more than 4194304 bytes"), "{closure}");
}

#[test]
fn a_tag_that_cannot_be_read_is_unknown() {
    let registry = registry();
    registry.always("HEAD", "/manifests/dev", Answer::status(503));
    let found = verified(registry.address(), config("{}").path(), None);
    let of_tag: Vec<_> = found.iter().filter(|one| one["subject"] == "web:dev").collect();
    assert!(of_tag.iter().any(|one| one["level"] == "unknown"), "{found:#?}");
    assert!(of_tag.iter().all(|one| one["level"] != "fail"), "{found:#?}");
}

#[cfg(unix)]
#[test]
fn a_credential_helper_is_asked_for_its_host() {
    use std::os::unix::fs::PermissionsExt;
    let registry = registry();
    registry.hook(|_, request| {
        let challenge = Answer::status(401).header("WWW-Authenticate", "Basic realm=x");
        (request.authorization() != Some(BASIC)).then_some(challenge)
    });
    let address = registry.address();
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("docker-credential-ours");
    // A helper reads its host from standard input.
    let script = format!(
        "#!/bin/sh\nread host\n[ \"$host\" = {address} ] || exit 1\n\
         echo '{{\"ServerURL\":\"{address}\",\"Username\":\"user\",\"Secret\":\"password\"}}'\n"
    );
    xtask::outside::files::write_atomically(&program, script.as_bytes()).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let helpers = json!({ "credHelpers": { address: "ours" } }).to_string();
    let found = verified(address, config(&helpers).path(), Some(programs.path()));
    assert_eq!(findings(&found, "closure"), ["pass: complete"], "{found:#?}");
}

#[test]
fn an_identity_token_is_exchanged_for_access() {
    let registry = registry_with_token();
    let auths = json!({ "auths": { registry.address(): {
        "auth": "dXNlcjo=", "identitytoken": "a refresh/token",
    } } });
    let found = verified(registry.address(), config(&auths.to_string()).path(), None);
    assert_eq!(findings(&found, "closure"), ["pass: complete"], "{found:#?}");
    let refreshed = registry.requests("POST", "/token").swap_remove(0);
    let body = support::text(&refreshed.body);
    for part in ["grant_type=refresh_token", "refresh_token=a%20refresh%2Ftoken", "service=s"] {
        assert!(body.contains(part), "{body}");
    }
    // A secret in an address would end up in logs.
    assert_eq!(requests(&registry, "refresh"), []);
}

#[test]
fn an_unreadable_docker_configuration_is_reported() {
    let registry = registry_with_token();
    let found = verified(registry.address(), config("{ not json").path(), None);
    let login = "fail: not logged in: cannot read docker's configuration: `config.json`";
    assert_eq!(findings(&found, "login"), [login], "{found:#?}");
}

#[test]
fn what_the_client_writes_can_be_read() {
    let registry = registry();
    let client = Client::new(CredentialSource::Anonymous);
    let repository = registry.reference("o/r/other");
    let tag = |name: &str| repository.with_tag(Tag::new(name).unwrap());
    let image = registry.add_image("o/r/other", &[("key", "value")]);
    let stored: StoredManifest = client.manifest(&repository.at(image.clone())).unwrap();
    client.put_manifest(&tag("v1.0.0"), &stored).unwrap();
    assert_eq!(registry.tag("o/r/other", "v1.0.0"), Some(image.clone()));
    assert_eq!(client.head_manifest(&tag("v1.0.0")).unwrap().digest, image);
    assert_eq!(client.tags(&repository).unwrap(), [tag("v1.0.0").tag.unwrap()]);
    let blob = client.put_blob(&repository, b"bytes").unwrap();
    assert_eq!(client.head_blob(&repository, &blob).unwrap(), Some(5));
    assert_eq!(client.blob(&repository, &blob, 100).unwrap(), b"bytes");
    client.delete_manifest(&repository.at(image)).unwrap();
    assert_eq!(client.digest_at(&tag("v1.0.0")).unwrap(), None);
}

#[test]
fn a_hook_changes_a_tag_before_one_request() {
    let registry = registry();
    let other = registry.add_image(REPOSITORY, &[("made", "later")]);
    let moved = other.clone();
    registry.before(2, "HEAD", "/manifests/dev", move |registry| {
        registry.set_tag(REPOSITORY, "dev", &moved);
        None
    });
    registry.before(3, "HEAD", "/manifests/dev", |_| Some(Answer::status(503)));
    registry.before(4, "HEAD", "/manifests/dev", |_| Some(Answer::broken()));
    let client = Client::new(CredentialSource::Anonymous);
    let dev = Tag::new("dev").unwrap();
    let head = || client.head_manifest(&registry.reference(REPOSITORY).with_tag(dev.clone()));
    assert_ne!(head().unwrap().digest, other);
    assert_eq!(head().unwrap().digest, other);
    assert!(matches!(head(), Err(RemoteError::Server { status: 503, .. })));
    assert!(matches!(head(), Err(RemoteError::Unreachable { .. })));
    assert_eq!(registry.requests("HEAD", "/manifests/dev").len(), 4);
    assert_eq!(registry.log().len(), 4);
}

#[test]
fn a_registry_that_never_answers_times_out() {
    let registry = registry();
    registry.hook(|_, _| {
        let pause = std::time::Duration::from_secs(1);
        xtask_outside::clock::sleep(pause).unwrap();
        None
    });
    let client = Client::new(CredentialSource::Anonymous);
    let client = client.within(std::time::Duration::from_millis(100));
    let error = client.tags(&registry.reference(REPOSITORY)).unwrap_err();
    assert!(matches!(error, RemoteError::TimedOut { .. }), "{error}");
    assert_eq!(error.exit(), xtask::model::failure::Exit::Unfinished);
}

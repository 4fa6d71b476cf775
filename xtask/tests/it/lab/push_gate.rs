//! What `cargo xtask push` and `release` check before they publish: permissions, the base of an image,
//! and its signature.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::lab::Lab;
use crate::support::locked::Locked;
use crate::support::pushing::{noise, push, the_service, unlike_any, unpublished};
use crate::support::{Fixture, Ran};

/// Puts a program of this name before all others on the PATH.
fn stand_in(folder: &Path, name: &str, script: &str) -> String {
    let program = folder.join(name);
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

/// Requests that store something at the registry.
fn writes(lab: &Lab) -> usize {
    let requests = lab.requests();
    requests.iter().filter(|one| matches!(one["method"].as_str(), Some("PUT" | "PATCH"))).count()
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_push_without_permission_builds_nothing() {
    let (fixture, lab) = unpublished();
    let locked = Locked::new(&lab);
    let no_login = tempfile::tempdir().unwrap();
    let (_, reader) = locked.login("read");
    for login in [no_login.path(), reader.path()] {
        lab.reset();
        let mut command = fixture.command(&["push", "--lab"]);
        let ran = Ran::from(command.env("DOCKER_CONFIG", login).output().unwrap()).expect(1);
        for words in ["`permissions: packages: write`", "docker login"] {
            assert!(ran.stderr.contains(words), "{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("web | "), "something was built: {}", ran.stderr);
        assert_eq!(writes(&lab), 0, "{:#?}", lab.requests());
    }
    assert!(!lab.holds(&fixture.image(), "dev"));

    let (_, writer) = locked.login("write");
    let push = || {
        let mut command = fixture.command(&["push", "--lab", "--format=json"]);
        Ran::from(command.env("DOCKER_CONFIG", writer.path()).output().unwrap()).expect(0)
    };
    push();
    fixture.another_commit();
    lab.reset();
    let ran = push();
    assert_eq!(the_service(&ran)["result"], "unchanged");
    // Requests for tokens do not count.
    let requests = lab.requests();
    let is_work = |one: &&serde_json::Value| {
        one["status"] != 401 && !one["path"].as_str().unwrap().starts_with("/token")
    };
    assert!(requests.iter().filter(is_work).count() < 10, "{requests:#?}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_image_is_signed_before_dev_moves() {
    let (fixture, lab) = unpublished();
    let folder = tempfile::tempdir().unwrap();
    let calls = folder.path().join("calls");
    let sign = |script: &str, key: &str| {
        let path = stand_in(folder.path(), "cosign", script);
        let mut command = fixture.command(&["push", "--lab", "--sign", "--format=json"]);
        Ran::from(command.env("PATH", path).env("COSIGN_KEY", key).output().unwrap())
    };
    let log = format!("echo \"$@\" >> {}", calls.display());
    let refused = sign(&log, "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----").expect(2);
    assert!(!refused.stderr.contains("BEGIN"), "{}", refused.stderr);
    assert!(
        lab.tags(&fixture.image()).is_empty(),
        "a key is looked at before anything is published"
    );

    let failed = sign("echo no such key >&2; exit 1", "env://KEY").expect(1);
    let digest = the_service(&failed)["digest"].as_str().unwrap().to_owned();
    assert!(failed.stderr.contains("no such key"), "{}", failed.stderr);
    let revision = fixture.git(&["rev-parse", "HEAD"]);
    let image = fixture.image();
    assert_eq!(lab.manifest(&image, &format!("dev-{revision}")).unwrap().1, digest);
    assert!(lab.manifest(&image, "dev").is_none(), "an unsigned image is not under `dev`");

    sign(&log, "env://KEY").expect(0);
    let expected = format!("sign --yes --key=env://KEY {}/{image}@{digest}\n", lab.registry());
    assert_eq!(std::fs::read_to_string(&calls).unwrap(), expected);
    assert_eq!(lab.manifest(&image, "dev").unwrap().1, digest);

    let signature = format!("{}/{image}:{}.sig", lab.registry(), digest.replace(':', "-"));
    let source = format!("{}/{image}:dev", lab.registry());
    lab.docker(&["buildx", "imagetools", "create", "--tag", &signature, &source]).expect(0);
    sign(&log, "env://KEY").expect(0);
    assert_eq!(std::fs::read_to_string(&calls).unwrap(), expected, "it is signed already");
}

/// The same repository, published to the lab's registry as if it were any other registry.
fn outside(fixture: &Fixture, lab: &Lab) {
    let path = fixture.root().join("Cargo.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, text.replace("127.0.0.1:9", lab.registry())).unwrap();
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_image_with_stand_ins_is_never_published() {
    let (fixture, lab) = unpublished();
    outside(&fixture, &lab);
    fixture.commit("build: another registry");
    push(&fixture, &[]).expect(0);
    let dev = lab.manifest(&fixture.image(), "dev").unwrap().1;
    let ran = fixture.xtask(&["push"]).expect(3);
    assert!(ran.stderr.contains("stand-in for `debian:bookworm`"), "{}", ran.stderr);

    // An image based on it inherits its labels, even with an engine outside the lab.
    let base = format!("{}/{}@{dev}", lab.registry(), fixture.image());
    fixture.service("web", &format!("FROM {base}\nCOPY --link data /data\n"));
    fixture.write("services/web/data", &noise(unlike_any(), 3000));
    fixture.commit("feat: on top of it");
    let folder = tempfile::tempdir().unwrap();
    let real = which::which("docker").unwrap();
    let script = format!("[ \"$1\" = info ] && exit 0\nexec {} \"$@\"", real.display());
    let path = stand_in(folder.path(), "docker", &script);
    let host = lab.engine().unwrap_or_default().to_owned();
    let mut command = fixture.command(&["push"]);
    let ran = Ran::from(command.env("PATH", path).env("DOCKER_HOST", &host).output().unwrap());
    let ran = ran.expect(3);
    assert!(ran.stderr.contains("stand-in for `debian:bookworm`"), "{}", ran.stderr);
    assert_eq!(lab.manifest(&fixture.image(), "dev").unwrap().1, dev);

    let mut command = fixture.command(&["push", "--rebuild"]);
    fixture.another_commit();
    let ran = Ran::from(command.env("DOCKER_HOST", &host).output().unwrap()).expect(3);
    assert!(ran.stderr.contains("this is the lab's engine"), "{}", ran.stderr);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn promoting_a_large_service_takes_few_requests() {
    let fixture = Fixture::unpublished();
    let layers = (0..10).map(|at| format!("RUN echo {} > /{at}\n", unlike_any()));
    let layers = layers.collect::<Vec<_>>().concat();
    for service in ["web", "api"] {
        fixture
            .service(service, &format!("FROM debian:bookworm\nRUN echo {service} > /x\n{layers}"));
    }
    fixture.commit("feat: two services");
    let lab = Lab::up(&fixture);
    push(&fixture, &[]).expect(0);
    let promote = |version: &str| {
        let more = ["--promote", "--create-tag", "--no-github-release", "--format=json"];
        fixture.xtask(&[&["release", version, "--lab"], &more[..]].concat())
    };
    for version in ["v1.0.0", "v1.0.1"] {
        lab.reset();
        let ran = promote(version).expect(0);
        let requests = lab.requests();
        for (at, service) in ["api", "web"].iter().enumerate() {
            let place = format!("/{}/{service}/", fixture.repository);
            let is_its = |one: &&serde_json::Value| one["path"].as_str().unwrap().contains(&place);
            let count = requests.iter().filter(is_its).count();
            assert!((1..=20).contains(&count), "{service}: {count} {requests:#?}");
            let digest = &ran.json()["services"][at]["digest"];
            for tag in ["dev", version, "latest"] {
                let image = format!("{}/{service}", fixture.repository);
                assert_eq!(*digest, lab.manifest(&image, tag).unwrap().1, "{service}:{tag}");
            }
        }
    }

    // If one service has lost a part, no service gets the tag.
    fixture.another_commit();
    push(&fixture, &["--rebuild"]).expect(0);
    let web = format!("{}/web", fixture.repository);
    let (index, _) = lab.manifest(&web, "dev").unwrap();
    lab.delete(&web, index["manifests"][0]["digest"].as_str().unwrap());
    let ran = promote("v1.0.2").expect(3);
    assert!(ran.stderr.contains("is not complete"), "{}", ran.stderr);
    for service in ["web", "api"] {
        assert!(!lab.holds(&format!("{}/{service}", fixture.repository), "v1.0.2"));
    }
}

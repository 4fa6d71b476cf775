//! The compose file of this repository, read, built and started by the real `docker compose` on the lab's
//! engine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::lab::Lab;
use crate::support::labs::hold_the_warm_one;
use crate::support::{Fixture, Ran};
use xtask::model::lab::DebianPackage;
use xtask::outside::lab::install::install;
use xtask::outside::process::Runner;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// `docker compose` with the file of a folder, under an unused project name.
fn compose_in(folder: &Path, lab: &Lab, arguments: &[&str]) -> Ran {
    let file = format!("--file={}", folder.join("compose.yaml").display());
    lab.docker(&[&["compose", "--project-name=autogit-of-a-test", &file], arguments].concat())
}

fn compose(lab: &Lab, arguments: &[&str]) -> Ran {
    compose_in(&root(), lab, arguments)
}

/// The lab with the fixture's base images; installs the compose plugin if it is missing.
fn lab_of(fixture: &Fixture) -> Lab {
    let lab = Lab::up(fixture);
    if lab.docker(&["compose", "version"]).code != Some(0) {
        let compose = DebianPackage { name: "docker-compose", from_forky: true };
        install(&Runner::new(&root(), false), &[compose]).unwrap();
    }
    lab
}

fn up() -> Lab {
    hold_the_warm_one();
    let fixture = Fixture::new();
    for service in ["git-server", "runner-coordinator"] {
        let path = root().join("services").join(service).join("Dockerfile");
        fixture.service(service, &std::fs::read_to_string(path).unwrap());
    }
    // The fixture has the services of this repository, so the lab has their base images.
    lab_of(&fixture)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn compose_accepts_the_file_and_names_our_images() {
    let lab = up();
    let listed = compose(&lab, &["config", "--images"]).expect(0).stdout;
    let images: BTreeSet<&str> = listed.lines().collect();
    let expected = ["git-server", "runner-coordinator"]
        .map(|service| format!("ghcr.io/tzervas/autogit/{service}:latest"));
    assert_eq!(images, expected.iter().map(String::as_str).collect());
}

/// Takes down the project on drop, even when the test fails.
struct Started<'l>(&'l Lab);

impl Drop for Started<'_> {
    fn drop(&mut self) {
        compose(self.0, &["down", "--volumes", "--rmi=all"]);
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn compose_builds_and_starts_both_services() {
    let lab = up();
    let ran = compose(&lab, &["build"]).expect(0);
    let _started = Started(&lab);
    for service in ["git-server", "runner-coordinator"] {
        let image = format!("ghcr.io/tzervas/autogit/{service}:latest");
        let found = lab.docker(&["image", "inspect", "--format={{.Id}}", &image]);
        assert!(found.code == Some(0), "{}{}", ran.stdout, ran.stderr);
    }
    compose(&lab, &["up", "--detach", "--wait", "--wait-timeout=120"]).expect(0);
    let page = |url: &str| lab.agent.get(url).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(page("http://127.0.0.1:8929/users/sign_in").contains("Sign in"));
    assert!(page("http://127.0.0.1:8080/health").contains("\"status\":\"ok\""));
    compose(&lab, &["down", "--volumes"]).expect(0);
    assert_eq!(compose(&lab, &["ps", "--all", "--quiet"]).expect(0).stdout, "");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn compose_takes_steps_from_its_cache_sources() {
    let fixture = Fixture::unpublished();
    let seed = &fixture.repository;
    // Only a step that runs can add. `CACHED` would not do: the plain display omits it for a fetched layer.
    let step = format!("RUN echo {seed} > /seed && echo executed $((40 + 2))");
    fixture.service("git-server", &format!("FROM debian:bookworm\n{step}\n"));
    fixture.commit("feat: a service");
    let lab = lab_of(&fixture);
    let text = std::fs::read_to_string(root().join("compose.yaml")).unwrap();
    let images = format!("{}/{seed}", lab.registry());
    let text = text.replace("ghcr.io/tzervas/autogit", &images);
    fixture.xtask(&["push", "--lab"]).expect(0);
    let builds = |text: &str| {
        fixture.write("compose.yaml", text);
        lab.empty_engine();
        let build = ["--progress=plain", "build", "git-server"];
        let ran = compose_in(fixture.root(), &lab, &build).expect(0);
        format!("{}{}", ran.stdout, ran.stderr)
    };
    let shown = builds(&text);
    assert!(!shown.contains("executed 42"), "the step was executed beside its cache:\n{shown}");
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("type=registry")).collect();
    let without = lines.join("\n").replace("cache_from:", "cache_from: []");
    let shown = builds(&without);
    assert!(shown.contains("executed 42"), "it is cached without any source:\n{shown}");
}

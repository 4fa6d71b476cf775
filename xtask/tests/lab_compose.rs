//! The compose file of this repository, read and built by the real `docker compose` on the lab's engine.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking")]

mod support;
#[path = "support/lab.rs"]
mod the_lab;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use support::{Fixture, Ran};
use the_lab::Lab;
use xtask::model::lab::Package;
use xtask::outside::lab::install::install;
use xtask::outside::process::Runner;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// `docker compose` with this repository's file; the plugin is installed as the engine is.
fn compose(lab: &Lab, arguments: &[&str]) -> Ran {
    let file = root().join("compose.yaml");
    let file = format!("--file={}", file.display());
    lab.docker(&[&["compose", &file], arguments].concat())
}

fn up() -> Lab {
    let fixture = Fixture::new();
    for service in ["git-server", "runner-coordinator"] {
        let path = root().join("services").join(service).join("Dockerfile");
        fixture.service(service, &std::fs::read_to_string(path).unwrap());
    }
    // Its services are those of this repository, so that the lab has their bases.
    let lab = Lab::up(&fixture);
    if lab.docker(&["compose", "version"]).code != Some(0) {
        let compose = Package { name: "docker-compose", from_forky: true };
        install(&Runner::new(&root(), false), &[compose]).unwrap();
    }
    lab
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_compose_file_is_accepted_and_names_the_images_of_the_plan() {
    let lab = up();
    let listed = compose(&lab, &["config", "--images"]).expect(0).stdout;
    let images: BTreeSet<&str> = listed.lines().collect();
    let expected = ["git-server", "runner-coordinator"]
        .map(|service| format!("ghcr.io/tzervas/autogit/{service}:latest"));
    assert_eq!(images, expected.iter().map(String::as_str).collect());
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_compose_file_builds_both_services() {
    let lab = up();
    let ran = compose(&lab, &["build"]).expect(0);
    for service in ["git-server", "runner-coordinator"] {
        let image = format!("ghcr.io/tzervas/autogit/{service}:latest");
        let found = lab.docker(&["image", "inspect", "--format={{.Id}}", &image]);
        assert!(found.code == Some(0), "{}{}", ran.stdout, ran.stderr);
        lab.docker(&["image", "rm", "--force", &image]).expect(0);
    }
}

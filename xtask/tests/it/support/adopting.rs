//! A repository that adopted xtask as docs/adopting.md describes, with three services of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Fixture;

/// The repository of xtask itself.
pub fn origin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The blocks of the page in one language, in order.
pub fn blocks(language: &str) -> Vec<String> {
    let page = fs::read_to_string(origin().join("docs/adopting.md")).unwrap();
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// A repository with the page's Cargo.toml, images at `registry`, and services.
pub fn adopted(registry: &str) -> Fixture {
    let mut fixture = Fixture::unpublished();
    let [manifest] = blocks("toml").try_into().unwrap();
    assert!(manifest.contains("\nregistry = \"ghcr.io\"\nrepository = \"acme/shop\"\n"));
    let manifest = manifest.replace("\"ghcr.io\"", &format!("\"{registry}\""));
    // In the lab every run uses different images.
    if registry == "ghcr.io" {
        let own = format!("repository = \"{}\"", fixture.repository);
        fixture.write("Cargo.toml", &manifest.replace("repository = \"acme/shop\"", &own));
    } else {
        fixture.write("Cargo.toml", &manifest);
        fixture.repository = String::from("acme/shop");
    }
    fixture.write(".gitignore", "target/\n");
    fixture.service("motd", "FROM scratch\nCOPY motd.txt /motd.txt\n");
    fixture.write("services/motd/motd.txt", "good evening\n");
    fixture.write("services/motd/.dockerignore", "*\n!motd.txt\n");
    fixture.service(
        "worker",
        "FROM debian:bookworm-slim\nRUN echo work > /work\nUSER 65532:65532\nCMD [\"cat\", \"/work\"]\n",
    );
    fixture.service(
        "api",
        "ARG DEBIAN=bookworm\n\
         FROM debian:${DEBIAN} AS build\n\
         ARG GREETING=hello\n\
         RUN echo \"$GREETING\" > /greeting\n\
         FROM busybox:1.37 AS unused\n\
         FROM scratch AS final\n\
         COPY --link --from=build /greeting /greeting\n\
         FROM build AS tests\n\
         RUN false\n",
    );
    fixture
}

/// Runs the commands under Copy, without the network.
pub fn copy_xtask(fixture: &Fixture) {
    let typed = blocks("sh").remove(0);
    let (clone, rest) = typed.split_once('\n').unwrap();
    assert!(clone.starts_with("git clone ") && clone.ends_with(" ../autogit"), "{clone}");
    type_in(fixture, rest);
}

/// Runs the commands under Workflows.
pub fn copy_workflows(fixture: &Fixture) {
    let typed = blocks("sh").into_iter().find(|block| block.contains(".github")).unwrap();
    type_in(fixture, &typed);
}

fn type_in(fixture: &Fixture, script: &str) {
    let script = script.replace("../autogit", origin().to_str().unwrap());
    let status = Command::new("sh").args(["-euc", &script]).current_dir(fixture.root()).status();
    assert!(status.unwrap().success(), "{script}");
}

/// Cargo in the repository, offline.
pub fn cargo(fixture: &Fixture, arguments: &[&str]) -> super::Ran {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(fixture.root()).env("CARGO_NET_OFFLINE", "true");
    command.env("CARGO_TARGET_DIR", compiled());
    command.env_remove("CARGO_MANIFEST_DIR");
    command.output().unwrap().into()
}

/// A target folder with the libraries compiled for this workspace: external crates are the same in every
/// repository.
fn compiled() -> PathBuf {
    let from = super::target().join("debug");
    let folder = super::target().join("adopted");
    let to = folder.join("debug");
    if !to.is_dir() {
        fs::create_dir_all(to.join("deps")).unwrap();
        let copy = |paths: Vec<PathBuf>, to: &Path| {
            let mut copy = Command::new("cp");
            super::Ran::from(copy.arg("--archive").args(paths).arg(to).output().unwrap()).expect(0);
        };
        let files = fs::read_dir(from.join("deps")).unwrap().map(|entry| entry.unwrap().path());
        let is_library = |path: &PathBuf| path.extension().is_some_and(|kind| kind != "o");
        copy(files.filter(is_library).collect(), &to.join("deps"));
        copy([".fingerprint", "build"].map(|name| from.join(name)).into(), &to);
    }
    folder
}

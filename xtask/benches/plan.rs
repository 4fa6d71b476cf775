//! How long a decision takes: `cargo bench -p xtask`.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use xtask::model::config::Config;
use xtask::model::facts::{Builder, BuilderNode, Engine, Facts, Git, ServiceFacts};
use xtask::model::platform::Platform;
use xtask::model::reference::Repository;
use xtask::model::service::ServiceName;
use xtask::plan::build::{BuildOptions, plan};

fn main() {
    divan::main();
}

/// A repository with `count` services, each with a Dockerfile of two stages and twenty steps.
fn facts(count: usize) -> Facts {
    let steps = (0..20).map(|step| format!("RUN make step-{step}")).collect::<Vec<_>>().join("\n");
    let dockerfile = format!(
        "ARG VERSION=1\nFROM rust:${{VERSION}} AS build\n{steps}\nFROM debian:bookworm\nCOPY --from=build /a /a\n"
    );
    let service = |number: usize| {
        let name = ServiceName::new(format!("service-{number:03}")).unwrap();
        ServiceFacts {
            folder: format!("services/{name}"),
            dockerfile: dockerfile.clone(),
            earlier: Vec::new(),
            name,
        }
    };
    let node = BuilderNode {
        name: "default".to_owned(),
        status: "running".to_owned(),
        error: None,
        buildkit: None,
        platforms: vec![Platform::new("linux/amd64").unwrap()],
        containerd_store: true,
    };
    let builder = Builder {
        name: "default".to_owned(),
        driver: "docker".to_owned(),
        current: true,
        nodes: vec![node],
    };
    Facts {
        git: Some(Git {
            revision: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            time: 1_767_323_045,
            remote: Some(Repository::new("owner/name").unwrap()),
            ..Git::default()
        }),
        engine: Engine::Ready { buildx: "0.29.1".to_owned(), builders: vec![builder] },
        ..Facts::of_files(Config::default(), (0..count).map(service).collect())
    }
}

#[divan::bench(args = [2, 200])]
fn build(bencher: divan::Bencher<'_, '_>, services: usize) {
    let facts = facts(services);
    bencher.bench(|| plan(divan::black_box(&facts), &BuildOptions::default()).unwrap());
}

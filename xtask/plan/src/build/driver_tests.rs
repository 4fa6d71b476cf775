//! Tests of the whole command for each driver of a builder.

use expect_test::{Expect, expect};

use xtask_model::facts::{Builder, BuilderNode, Engine, Git};
use xtask_model::tier::{CacheTier, Seen, ServiceUrl, TierLook};

use super::*;
use xtask_model::invocation::Invocation;

fn facts(driver: &str) -> Facts {
    let service: ServiceName = "web".parse().unwrap();
    let node = BuilderNode {
        name: "one".to_owned(),
        status: "running".to_owned(),
        error: None,
        buildkit: None,
        platforms: Vec::new(),
        containerd_store: driver == "docker",
    };
    let builder = Builder {
        name: "mine".to_owned(),
        driver: driver.to_owned(),
        current: false,
        nodes: vec![node],
    };
    let url = ServiceUrl::new("https://results.example/").unwrap();
    let look = |tier, reference: Option<&str>, seen| TierLook {
        service: service.clone(),
        tier,
        reference: reference.map(|text| text.parse().unwrap()),
        seen,
        seconds: 0.0,
    };
    let cache = Some("ghcr.io/o/r/web:cache");
    let looks = vec![
        look(CacheTier::Cache, cache, Seen::NotThere),
        look(
            CacheTier::Gha,
            None,
            Seen::GhaUsable { url, can_write: true, expires: 9, has_index: true },
        ),
    ];
    let git = Git { revision: "1".repeat(40), ..Git::default() };
    Facts {
        git: Some(git),
        engine: Engine::Ready { buildx: "0.29.1".to_owned(), builders: vec![builder] },
        tiers: [(service, looks)].into(),
        ..crate::sample::facts("", "FROM scratch\n")
    }
}

/// The command and its export, without labels and annotations.
fn shown(driver: &str, channel: Channel) -> String {
    let options = BuildOptions {
        channel: Some(channel),
        builder: Some("mine".to_owned()),
        ..BuildOptions::default()
    };
    let plan = plan(&facts(driver), &options).unwrap();
    let service = &plan.services[0];
    let export = service.export(true).unwrap().invocation();
    let lines = |call: &Invocation| {
        let wanted = |argument: &&String| {
            !argument.starts_with("--label=") && !argument.starts_with("--annotation=")
        };
        let kept: Vec<_> = call.arguments.iter().filter(wanted).cloned().collect();
        kept.join("\n")
    };
    format!("{}\n\n{}", lines(&service.command), lines(&export))
}

#[track_caller]
fn check(drivers: &[&str], channel: Channel, expected: &Expect) {
    let shown: Vec<_> = drivers.iter().map(|driver| shown(driver, channel)).collect();
    assert!(shown.iter().all(|one| *one == shown[0]), "{shown:#?}");
    expected.assert_eq(&shown[0]);
}

#[test]
fn a_push_with_the_docker_driver_is_lazy() {
    check(
        &["docker"],
        Channel::Dev,
        &expect![[r"
        buildx
        build
        --builder=mine
        --file=services/web/Dockerfile
        --cache-from=type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s
        --cache-to=type=inline
        --provenance=mode=min
        --output=type=image,name=ghcr.io/o/r/web:dev-1111111111111111111111111111111111111111,push=true,unpack=false,store=false,source-date-epoch=0
        services/web

        buildx
        build
        --builder=mine
        --file=services/web/Dockerfile
        --cache-from=type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s
        --cache-to=type=registry,ref=ghcr.io/o/r/web:cache,mode=max,image-manifest=true,oci-mediatypes=true,compression=zstd,ignore-error=true
        --cache-to=type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s,mode=max,ignore-error=true
        --provenance=false
        --output=type=cacheonly
        services/web"]],
    );
}

#[test]
fn a_push_with_other_drivers_is_already_lazy() {
    check(
        &["docker-container", "kubernetes", "remote"],
        Channel::Dev,
        &expect![[r"
        buildx
        build
        --builder=mine
        --file=services/web/Dockerfile
        --cache-from=type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s
        --cache-to=type=inline
        --provenance=mode=min
        --output=type=image,name=ghcr.io/o/r/web:dev-1111111111111111111111111111111111111111,push=true,source-date-epoch=0
        services/web

        buildx
        build
        --builder=mine
        --file=services/web/Dockerfile
        --cache-from=type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s
        --cache-to=type=registry,ref=ghcr.io/o/r/web:cache,mode=max,image-manifest=true,oci-mediatypes=true,compression=zstd,ignore-error=true
        --cache-to=type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s,mode=max,ignore-error=true
        --provenance=false
        --output=type=cacheonly
        services/web"]],
    );
}

#[test]
fn a_pull_request_only_fills_the_cache() {
    let drivers = ["docker", "docker-container", "kubernetes", "remote"];
    check(
        &drivers,
        Channel::Pr,
        &expect![[r"
        buildx
        build
        --builder=mine
        --file=services/web/Dockerfile
        --cache-from=type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s
        --provenance=false
        --output=type=cacheonly
        services/web

        buildx
        build
        --builder=mine
        --file=services/web/Dockerfile
        --cache-from=type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s
        --cache-to=type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s,mode=max,ignore-error=true
        --provenance=false
        --output=type=cacheonly
        services/web"]],
    );
}

use expect_test::{Expect, expect};

use super::*;
use crate::build::Purpose;
use crate::builder::{Needs, Several};
use xtask_model::build::Output;
use xtask_model::config::SecretSource;
use xtask_model::facts::{Builder, BuilderNode, Engine};
use xtask_model::platform::Platform;

fn facts(images: &str, dockerfile: &str) -> Facts {
    Facts { engine: engine("docker", true), ..crate::sample::facts(images, dockerfile) }
}

fn engine(driver: &str, containerd_store: bool) -> Engine {
    let node = BuilderNode {
        name: "default".to_owned(),
        status: "running".to_owned(),
        error: None,
        buildkit: None,
        platforms: Vec::new(),
        containerd_store,
    };
    let builder = Builder {
        name: "default".to_owned(),
        driver: driver.to_owned(),
        current: true,
        nodes: vec![node],
    };
    Engine::Ready { buildx: "0.29.1".to_owned(), builders: vec![builder] }
}

fn on(channel: Channel, purpose: Purpose) -> BuildOptions {
    BuildOptions { channel: Some(channel), purpose, ..BuildOptions::default() }
}

/// The builder and the service as planned, or why there is no plan.
fn shown(facts: &Facts, options: &BuildOptions) -> String {
    match plan(facts, options) {
        Ok(plan) => {
            let service = plan.services.first().unwrap();
            let choices = plan.choices.iter().chain(&service.choices);
            let choices =
                choices.filter(|choice| !["service", "repository"].contains(&choice.what));
            let lines = choices
                .map(|choice| format!("{}: {} ({})", choice.what, choice.value, choice.reason));
            lines.chain([service.command.script()]).collect::<Vec<_>>().join("\n")
        }
        Err(failure) => format!("{failure} / {}", failure.hint.clone().unwrap_or_default()),
    }
}

fn check(facts: &Facts, options: &BuildOptions, expected: &Expect) {
    expected.assert_eq(&shown(facts, options));
}

#[test]
fn a_local_build_is_loaded_without_cache_export() {
    let images = "platforms = ['linux/amd64', 'linux/arm64']\n";
    let mut facts = facts(images, "ARG V=1\nFROM debian:$V\n");
    facts.engine = Engine::Unasked;
    check(
        &facts,
        &on(Channel::Local, Purpose::Image),
        &expect![[r"
            channel: local (named on the command line)
            builder: the current one (every builder can do this)
            platform: the builder's own (an image for this machine)
            output: load r-web:local (the local channel loads the image into the engine)
            docker buildx build \
              --file=services/web/Dockerfile \
              --tag=r-web:local \
              --label=org.opencontainers.image.base.name=docker.io/library/debian:1 \
              --label=org.opencontainers.image.created=2026-01-02T03:04:05Z \
              --label=org.opencontainers.image.revision=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
              --label=org.opencontainers.image.source=https://github.com/o/r \
              --label=org.opencontainers.image.title=web \
              --label=org.opencontainers.image.version=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
              --provenance=false \
              --output=type=docker,source-date-epoch=1767323045 services/web"]],
    );
}

#[test]
fn a_pull_request_loads_only_what_it_tests() {
    let facts = facts("platforms = ['linux/amd64', 'linux/arm64']\n", "FROM scratch\n");
    check(
        &facts,
        &on(Channel::Pr, Purpose::Image),
        &expect![[r"
        channel: pr (named on the command line)
        builder: default (the current builder can do everything the plan needs)
        platform: linux/amd64,linux/arm64 (set in the configuration)
        no cache to: :cache (a pull request never writes the registry cache)
        no cache to: gha (it was not checked)
        output: type=cacheonly (a pull request's image is not pushed)
        docker buildx build \
          --file=services/web/Dockerfile \
          --platform=linux/amd64,linux/arm64 \
          --label=org.opencontainers.image.created=2026-01-02T03:04:05Z \
          --label=org.opencontainers.image.revision=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
          --label=org.opencontainers.image.source=https://github.com/o/r \
          --label=org.opencontainers.image.title=web \
          --label=org.opencontainers.image.version=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
          --provenance=false \
          --output=type=cacheonly services/web"]],
    );
    check(
        &facts,
        &on(Channel::Pr, Purpose::Test),
        &expect![[r"
        channel: pr (named on the command line)
        builder: default (the current builder can do everything the plan needs)
        platform: the builder's own (`--test` starts the image on this machine)
        no cache to: :cache (a pull request never writes the registry cache)
        no cache to: gha (it was not checked)
        output: load by digest (`--test` starts the image, which must be loaded)
        docker buildx build \
          --file=services/web/Dockerfile \
          --label=org.opencontainers.image.created=2026-01-02T03:04:05Z \
          --label=org.opencontainers.image.revision=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
          --label=org.opencontainers.image.source=https://github.com/o/r \
          --label=org.opencontainers.image.title=web \
          --label=org.opencontainers.image.version=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
          --provenance=false \
          --output=type=docker,source-date-epoch=1767323045 services/web"]],
    );
}

#[test]
fn a_published_image_gets_its_exact_tag() {
    let images =
        "[workspace.metadata.images.services.web]\nplatforms = ['linux/amd64', 'linux/arm64']\n";
    let mut facts = facts(images, "FROM scratch\n");
    check(
        &facts,
        &on(Channel::Dev, Purpose::Image),
        &expect![[r"
        channel: dev (named on the command line)
        builder: default (the current builder can do everything the plan needs)
        platform: linux/amd64,linux/arm64 (set in the service's configuration)
        cache to: type=inline (makes the image itself a cache tier)
        cache to: type=registry,ref=ghcr.io/o/r/web:cache,mode=max,image-manifest=true,oci-mediatypes=true,compression=zstd,ignore-error=true (every stage, for the next runner)
        no cache to: gha (it was not checked)
        output: type=image,name=ghcr.io/o/r/web:dev-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,push=true,unpack=false,store=false (pushed lazily under its exact tag)
        docker buildx build \
          --file=services/web/Dockerfile \
          --platform=linux/amd64,linux/arm64 \
          --label=org.opencontainers.image.created=2026-01-02T03:04:05Z \
          --label=org.opencontainers.image.revision=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
          --label=org.opencontainers.image.source=https://github.com/o/r \
          --label=org.opencontainers.image.title=web \
          --label=org.opencontainers.image.version=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
          --annotation=index:org.opencontainers.image.created=2026-01-02T03:04:05Z \
          --annotation=index:org.opencontainers.image.revision=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
          --annotation=index:org.opencontainers.image.source=https://github.com/o/r \
          --annotation=index:org.opencontainers.image.title=web \
          --annotation=index:org.opencontainers.image.version=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
          --cache-to=type=inline \
          --provenance=mode=min \
          --output=type=image,name=ghcr.io/o/r/web:dev-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,push=true,unpack=false,store=false,source-date-epoch=1767323045 services/web"]],
    );
    facts.git = None;
    check(
        &facts,
        &on(Channel::Dev, Purpose::Image),
        &expect!["there is no commit to publish / git commit"],
    );
    facts.config.repository = None;
    check(
        &facts,
        &on(Channel::Dev, Purpose::Image),
        &expect![[
            r#"cannot publish: the repository is not known / set `repository = "OWNER/REPO"` under [workspace.metadata.images] in Cargo.toml"#
        ]],
    );
}

#[test]
fn a_check_needs_no_secret() {
    let facts = facts("", "FROM scratch\nRUN --mount=type=secret,id=npm x\n");
    check(
        &facts,
        &on(Channel::Dev, Purpose::Check),
        &expect![[r"
            channel: dev (named on the command line)
            builder: default (the current builder can do everything the plan needs)
            platform: the builder's own (no platform is configured)
            output: type=cacheonly (no image is made)
            docker buildx build \
              --file=services/web/Dockerfile \
              --call=check,format=json services/web"]],
    );
}

#[test]
fn the_builder_must_support_each_services_platforms() {
    let images =
        "[workspace.metadata.images.services.web]\nplatforms = ['linux/amd64', 'linux/arm64']\n";
    let facts = facts(images, "FROM scratch\n");
    let needed = |options: &BuildOptions| {
        let selection = select(&facts, &[]).unwrap();
        needs(&facts, options, options.channel.unwrap(), &selection.chosen)
    };
    let published = needed(&on(Channel::Dev, Purpose::Image));
    assert!(published.several_platforms == Several::Made && published.attestations);
    assert_eq!(published.platforms.len(), 2);
    assert_eq!(needed(&on(Channel::Local, Purpose::Image)), Needs::default());
    assert!(!must_look(&facts, &on(Channel::Local, Purpose::Image)));
    assert!(must_look(&facts, &on(Channel::Pr, Purpose::Image)));
    assert!(!must_look(&facts, &on(Channel::Pr, Purpose::Check)));
}

#[test]
fn only_containerds_store_loads_several_platforms() {
    let mut facts = facts("", "FROM scratch\n");
    let platforms = ["linux/amd64", "linux/arm64"].map(|name| Platform::new(name).unwrap());
    let options =
        BuildOptions { platforms: platforms.to_vec(), ..on(Channel::Local, Purpose::Image) };
    assert!(shown(&facts, &options).contains("--platform=linux/amd64,linux/arm64"));
    facts.engine = engine("docker", false);
    check(
        &facts,
        &options,
        &expect![
            "the engine cannot load a multi-platform image, because it does not use containerd's image store / choose one platform, or change the store: https://docs.docker.com/engine/storage/containerd/"
        ],
    );
}

#[test]
fn a_mounted_secret_must_have_a_source() {
    let mut facts = facts("", "FROM debian\nRUN --mount=type=secret,id=npm-token x\n");
    let mut options = on(Channel::Local, Purpose::Image);
    check(
        &facts,
        &options,
        &expect![[
            r#"services/web/Dockerfile:2: the build secret `npm-token` is mounted, but has no source / --secret id=npm-token,env=NPM_TOKEN, or `npm-token = "env:NPM_TOKEN"` under [workspace.metadata.images.services.web.secrets]; `required=false` on the mount makes it optional"#
        ]],
    );
    let source = SecretSource::Env("NPM".to_owned());
    options.secrets.insert("npm-token".to_owned(), source.clone());
    check(
        &facts,
        &options,
        &expect![
            "the build secret `npm-token` is missing: `NPM` is not set / export NPM=…, then run it again"
        ],
    );
    facts.environment.secrets_present.push(source);
    assert!(shown(&facts, &options).contains("--secret=id=npm-token,env=NPM"));
}

#[test]
fn a_missing_stage_or_secret_argument_is_refused() {
    let target = "[workspace.metadata.images.services.web]\ntarget = 'final'\n";
    check(
        &facts(target, "FROM a AS b\n"),
        &on(Channel::Local, Purpose::Image),
        &expect![
            "services/web/Dockerfile has no stage `final` / correct `target` under [workspace.metadata.images.services.web]"
        ],
    );
    let mut options = on(Channel::Local, Purpose::Image);
    options.build_args.insert("API_KEY".to_owned(), "x".to_owned());
    check(
        &facts("", "FROM a\n"),
        &options,
        &expect![
            "`--build-arg API_KEY`: `API_KEY` looks like a secret, and build arguments are published with the image; mount it with `--secret id=api_key,env=API_KEY` instead / "
        ],
    );
}

#[test]
fn the_export_repeats_the_sources_of_the_build() {
    let facts = facts("", "FROM scratch\n");
    let plan = plan(&facts, &on(Channel::Dev, Purpose::Image)).unwrap();
    let service = plan.services.first().unwrap();
    assert_eq!(service.build.cache_to, ["type=inline"]);
    assert_eq!(service.export(false), None);
    let export = service.export(true).unwrap();
    assert_eq!(export.output, Output::CacheOnly);
    assert_eq!(export.cache_from, service.build.cache_from);
    assert!(export.cache_to.concat().contains("ref=ghcr.io/o/r/web:cache,mode=max"));
    assert_eq!(service.whole().cache_to.len(), 2);
}

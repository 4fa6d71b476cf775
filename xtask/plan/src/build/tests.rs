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
fn a_local_build_is_loaded_under_a_name_and_exports_no_cache() {
    let images = "platforms = ['linux/amd64', 'linux/arm64']\n";
    let mut facts = facts(images, "ARG V=1\nFROM debian:$V\n");
    facts.engine = Engine::Unasked;
    check(
        &facts,
        &on(Channel::Local, Purpose::Image),
        &expect![[r"
            channel: local (named on the command line)
            builder: the current one (any builder can do this, and buildx knows its current one)
            platform: the builder's own (an image for this machine)
            output: load r-web:local (the local channel loads into the engine)
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
fn a_pull_request_loads_only_what_is_tested_and_for_this_machine_alone() {
    let facts = facts("platforms = ['linux/amd64', 'linux/arm64']\n", "FROM scratch\n");
    check(
        &facts,
        &on(Channel::Pr, Purpose::Image),
        &expect![[r"
        channel: pr (named on the command line)
        builder: default (the current one can do all the plan needs)
        platform: linux/amd64,linux/arm64 (the configuration names it)
        no cache to: :cache (a pull request never writes the registry cache)
        no cache to: gha (it was not looked at)
        output: type=cacheonly (a pull request's image goes nowhere)
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
        builder: default (the current one can do all the plan needs)
        platform: the builder's own (`--test` starts the image on this machine)
        no cache to: :cache (a pull request never writes the registry cache)
        no cache to: gha (it was not looked at)
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
fn a_published_image_goes_lazily_under_its_exact_tag_with_all_platforms() {
    let images =
        "[workspace.metadata.images.services.web]\nplatforms = ['linux/amd64', 'linux/arm64']\n";
    let mut facts = facts(images, "FROM scratch\n");
    check(
        &facts,
        &on(Channel::Dev, Purpose::Image),
        &expect![[r"
        channel: dev (named on the command line)
        builder: default (the current one can do all the plan needs)
        platform: linux/amd64,linux/arm64 (the service's configuration names it)
        cache to: type=inline (so that the image itself is a cache tier)
        cache to: type=registry,ref=ghcr.io/o/r/web:cache,mode=max,image-manifest=true,oci-mediatypes=true,compression=zstd,ignore-error=true (every stage, for the next runner)
        no cache to: gha (it was not looked at)
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
            r#"no repository to publish to is known / set `repository = "OWNER/REPO"` under [workspace.metadata.images] in Cargo.toml"#
        ]],
    );
}

#[test]
fn a_check_makes_no_image_and_asks_for_no_secret() {
    let facts = facts("", "FROM scratch\nRUN --mount=type=secret,id=npm x\n");
    check(
        &facts,
        &on(Channel::Dev, Purpose::Check),
        &expect![[r"
            channel: dev (named on the command line)
            builder: default (the current one can do all the plan needs)
            platform: the builder's own (none is configured)
            output: type=cacheonly (no image is made)
            docker buildx build \
              --file=services/web/Dockerfile \
              --call=check,format=json services/web"]],
    );
}

#[test]
fn what_a_service_alone_is_built_for_is_needed_of_the_builder() {
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
fn several_platforms_are_loaded_where_the_engines_store_can_take_them() {
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
            "the engine cannot load an image of several platforms, because it does not keep images in containerd's store / name one platform, or change the store: https://docs.docker.com/engine/storage/containerd/"
        ],
    );
}

#[test]
fn a_secret_that_a_step_mounts_must_be_given() {
    let mut facts = facts("", "FROM debian\nRUN --mount=type=secret,id=npm-token x\n");
    let mut options = on(Channel::Local, Purpose::Image);
    check(
        &facts,
        &options,
        &expect![[
            r#"services/web/Dockerfile:2: the build secret `npm-token` is mounted, and nothing gives it / --secret id=npm-token,env=NPM_TOKEN, or `npm-token = "env:NPM_TOKEN"` under [workspace.metadata.images.services.web.secrets]; `required=false` on the mount lets it be absent"#
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
fn a_stage_that_is_not_there_and_an_argument_that_is_a_secret_are_refused() {
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
fn the_export_follows_the_build_and_repeats_its_sources() {
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

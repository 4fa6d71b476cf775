//! Chooses the buildx builder of a plan: the requested one if it can do what the plan needs, otherwise the
//! first one that can, otherwise a new one for the project.

use serde::Serialize;

use xtask_model::facts::{Builder, BuilderNode, Engine};
use xtask_model::failure::Failure;
use xtask_model::invocation::Invocation;
use xtask_model::platform::Platform;

use super::Choice;

/// What a plan needs from a builder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Export a registry or gha cache.
    pub cache_export: bool,
    /// Provenance or SBOM attestations.
    pub attestations: bool,
    pub several_platforms: Several,
    pub platforms: Vec<Platform>,
}

/// Whether a plan has a multi-platform image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Several {
    #[default]
    No,
    Made,
    /// It is also loaded into the engine.
    Loaded,
}

/// The builder to use, and how to create it if necessary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BuilderPlan {
    /// The value for `--builder`; `None` for buildx's own choice.
    pub name: Option<String>,
    pub driver: String,
    /// Whether the driver never downloads layers that it only passes on. The `docker` driver needs an
    /// option for that.
    pub lazy_by_itself: bool,
    /// Whether this builder keeps images in containerd's store.
    pub containerd_store: bool,
    /// The call that creates the builder first.
    pub create: Option<Invocation>,
    pub choice: Choice,
}

/// Major and minor number.
type Series = (u64, u64);

/// Oldest buildx that supports `--progress=rawjson`, `ls --format` and index annotations.
const OLDEST_BUILDX: Series = (0, 13);

/// Oldest buildx that has `--call`.
const OLDEST_TO_CHECK: Series = (0, 15);

/// Oldest BuildKit that exports a cache as an image manifest, and the first engine that has it.
const OLDEST_BUILDKIT: Series = (0, 12);
const OLDEST_ENGINE: u64 = 25;

/// Chooses the builder. `asked` is the name from `--builder` or the configuration, with its source;
/// `project` names a new builder if no other fits; `host_network` gives a new builder the host's network, so
/// that it reaches a registry on loopback.
///
/// Without an engine this is an error, unless the plan is only shown: then it assumes the builder of the lab
/// or of a recent Docker, and says so.
pub fn builder(
    engine: &Engine,
    only_shown: bool,
    asked: Option<(&str, &str)>,
    needs: &Needs,
    project: &str,
    host_network: bool,
) -> Result<BuilderPlan, Failure> {
    if *engine == Engine::Unasked {
        return Ok(current("every builder can do this"));
    }
    let (buildx, builders) = match ready(engine) {
        Ok(ready) => ready,
        Err(failure) if only_shown => return Ok(assumed(asked, &failure)),
        Err(failure) => return Err(failure),
    };
    check_buildx(buildx, OLDEST_BUILDX)?;
    check_load(builders, needs)?;
    if let Some((name, source)) = asked {
        return asked_for(builders, name, source, needs);
    }
    let current = builders.iter().find(|builder| builder.current);
    let lack = match current {
        Some(current) => match lacking(current, needs) {
            None => {
                let reason = "the current builder can do everything the plan needs";
                return Ok(planned(current, None, reason.to_owned()));
            }
            Some(lack) => format!("the current builder, `{}`, {lack}", current.name),
        },
        None => "buildx has no current builder".to_owned(),
    };
    let ours = format!("{project}-builder");
    if let Some(able) = builders.iter().find(|builder| {
        (builder.name == ours || builder.driver == "docker") && lacking(builder, needs).is_none()
    }) {
        return Ok(planned(able, Some(able.name.clone()), lack));
    }
    Ok(created(ours, &lack, host_network))
}

/// Whether the choice needs facts about the engine: only if a builder was requested, or if the plan needs
/// something that some builders cannot do.
pub fn must_look(asked: bool, needs: &Needs) -> bool {
    asked || *needs != Needs::default()
}

/// Why no builder can build; `None` if one can.
pub fn problem(engine: &Engine) -> Option<Failure> {
    let current = ready(engine).and_then(|(buildx, builders)| {
        check_buildx(buildx, OLDEST_BUILDX)?;
        Ok(builders.iter().find(|builder| builder.current))
    });
    match current {
        Err(failure) => Some(failure),
        Ok(current) => {
            let builder = current?;
            // buildx reports no driver for an engine that does not answer. The error of a builder with
            // a driver says nothing about the engine: that builder may only not have started yet.
            if let Some(BuilderNode { error: Some(detail), .. }) =
                builder.nodes.first().filter(|_| builder.driver.is_empty())
            {
                return Some(not_running(detail));
            }
            let old = too_old(builder)?;
            let message = format!("the current builder, `{}`, {old}", builder.name);
            Some(Failure::failed(message).hint(INSTALL))
        }
    }
}

/// Why no builder can check a Dockerfile; `None` if one can.
pub fn problem_of_check(engine: &Engine) -> Option<Failure> {
    problem(engine).or_else(|| check_buildx(ready(engine).ok()?.0, OLDEST_TO_CHECK).err())
}

fn current(reason: &str) -> BuilderPlan {
    BuilderPlan {
        name: None,
        driver: "docker".to_owned(),
        lazy_by_itself: false,
        containerd_store: true,
        create: None,
        choice: Choice::new("builder", "the current one", reason),
    }
}

const INSTALL: &str = "install Docker Engine 26 or later with buildx, or let the lab bring its own: \
                       cargo xtask build --lab";

const LAB: &str = "or use the engine of the lab: cargo xtask build --lab";

fn ready(engine: &Engine) -> Result<(&str, &[Builder]), Failure> {
    match engine {
        Engine::Ready { buildx, builders } => Ok((buildx, builders)),
        Engine::Unasked => Ok(("", &[])),
        Engine::NoClient => Err(Failure::failed("there is no `docker` on the PATH").hint(INSTALL)),
        Engine::NoBuildx { detail } => {
            Err(Failure::failed(format!("`docker` has no buildx plugin: {detail}"))
                .hint(format!("apt-get install docker-buildx, {LAB}")))
        }
        Engine::NotRunning { detail } => Err(not_running(detail)),
    }
}

fn not_running(detail: &str) -> Failure {
    Failure::failed(format!("no docker engine answers: {detail}"))
        .hint(format!("start it (systemctl start docker, or Docker Desktop), {LAB}"))
}

fn assumed(asked: Option<(&str, &str)>, failure: &Failure) -> BuilderPlan {
    let reason = format!("{failure}; planned for an engine with containerd's image store");
    let name = asked.map(|(name, _)| name.to_owned());
    BuilderPlan {
        driver: "docker".to_owned(),
        lazy_by_itself: false,
        containerd_store: true,
        create: None,
        choice: Choice::new("builder", name.as_deref().unwrap_or("default"), reason),
        name,
    }
}

/// The release in a version; a development build has none.
fn release(version: &str) -> Option<Series> {
    let mut numbers = version.trim_start_matches('v').split(['.', '+', '-']);
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?)).filter(|release| *release != (0, 0))
}

/// Why a node's BuildKit is too old, as the end of a sentence that starts with the builder's name. A BuildKit
/// without a version counts as new enough.
fn too_old(builder: &Builder) -> Option<String> {
    let versions = builder.nodes.iter().filter_map(|node| node.buildkit.as_deref());
    let (version, (major, _)) = versions
        .filter_map(|version| Some((version, release(version)?)))
        // If BuildKit reports no version, buildx shows that of the engine.
        .find(|(_, release)| {
            *release < OLDEST_BUILDKIT || (1..OLDEST_ENGINE).contains(&release.0)
        })?;
    let (zero, oldest) = OLDEST_BUILDKIT;
    Some(match major {
        0 => format!("has BuildKit {version}: {zero}.{oldest} or later is needed"),
        _ => format!("is Docker Engine {version}: {OLDEST_ENGINE} or later is needed"),
    })
}

/// Only containerd's store can load a multi-platform image, whichever builder made it.
fn check_load(builders: &[Builder], needs: &Needs) -> Result<(), Failure> {
    let engine = builders.iter().filter(|builder| builder.driver == "docker");
    let takes = engine.flat_map(|builder| &builder.nodes).any(|node| node.containerd_store);
    if takes || needs.several_platforms != Several::Loaded {
        return Ok(());
    }
    let message = "the engine cannot load a multi-platform image, because it does not use containerd's \
                   image store";
    Err(Failure::failed(message).hint(
        "choose one platform, or change the store: \
         https://docs.docker.com/engine/storage/containerd/",
    ))
}

fn check_buildx(version: &str, oldest: Series) -> Result<(), Failure> {
    if release(version).is_none_or(|found| found >= oldest) {
        return Ok(());
    }
    let (major, minor) = oldest;
    let message = format!("buildx {version} is too old: {major}.{minor} or later is needed");
    Err(Failure::failed(message).hint("apt-get install docker-buildx"))
}

fn asked_for(
    builders: &[Builder],
    name: &str,
    source: &str,
    needs: &Needs,
) -> Result<BuilderPlan, Failure> {
    let Some(found) = builders.iter().find(|builder| builder.name == name) else {
        let names: Vec<_> = builders.iter().map(|builder| builder.name.as_str()).collect();
        let message = format!("the builder `{name}` from {source} does not exist");
        return Err(Failure::usage(message).hint(match names.as_slice() {
            [] => format!("docker buildx create --name {name}"),
            names => {
                format!("choose one of {}, or docker buildx create --name {name}", names.join(", "))
            }
        }));
    };
    match lacking(found, needs) {
        None => Ok(planned(found, Some(name.to_owned()), format!("set by {source}"))),
        Some(lack) => Err(Failure::failed(format!("the builder `{name}` from {source} {lack}"))
            .hint("docker buildx ls")),
    }
}

/// What the builder cannot do, as the end of a sentence that starts with its name.
fn lacking(builder: &Builder, needs: &Needs) -> Option<String> {
    if let Some(error) = builder.nodes.iter().find_map(|node| node.error.as_deref()) {
        return Some(format!("does not answer: {error}"));
    }
    if let Some(old) = too_old(builder) {
        return Some(old);
    }
    let classic = builder.driver == "docker" && !builder.nodes.iter().all(|n| n.containerd_store);
    let store = "because its engine does not use containerd's image store";
    if classic && needs.cache_export {
        return Some(format!("cannot export a registry or gha cache, {store}"));
    }
    if classic && needs.several_platforms != Several::No {
        return Some(format!("cannot build a multi-platform image, {store}"));
    }
    if classic && needs.attestations {
        return Some(format!("cannot attest provenance, {store}"));
    }
    // A builder that has not started yet does not report its platforms.
    let is_known = builder.nodes.iter().all(|node| !node.platforms.is_empty());
    let has =
        |platform: &&Platform| builder.nodes.iter().any(|node| node.platforms.contains(platform));
    let missing = needs.platforms.iter().find(|platform| is_known && !has(platform))?;
    Some(format!("cannot build for {missing}"))
}

fn planned(builder: &Builder, name: Option<String>, reason: String) -> BuilderPlan {
    BuilderPlan {
        name,
        driver: builder.driver.clone(),
        lazy_by_itself: builder.driver != "docker",
        containerd_store: builder.nodes.iter().all(|node| node.containerd_store),
        create: None,
        choice: Choice::new("builder", &builder.name, reason),
    }
}

fn created(name: String, lack: &str, host_network: bool) -> BuilderPlan {
    let mut create = Invocation::new(
        "docker",
        ["buildx", "create", "--name", &name, "--driver", "docker-container"],
    );
    if host_network {
        create.arguments.extend(["--driver-opt".to_owned(), "network=host".to_owned()]);
    }
    BuilderPlan {
        driver: "docker-container".to_owned(),
        lazy_by_itself: true,
        containerd_store: false,
        create: Some(create),
        choice: Choice::new("builder", &name, format!("no existing builder fits: {lack}")),
        name: Some(name),
    }
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;

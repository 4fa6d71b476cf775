//! Which buildx builder a plan runs on: the one asked for when it can do what the plan needs, else
//! the first that can, else one to be created for the project.

use serde::Serialize;

use crate::model::facts::{Builder, Engine};
use crate::model::failure::Failure;
use crate::model::invocation::Invocation;
use crate::model::platform::Platform;

use super::Choice;

/// What a plan needs a builder to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Export a registry or gha cache.
    pub cache_export: bool,
    /// Provenance or SBOM attestations.
    pub attestations: bool,
    /// An image index of several platforms.
    pub several_platforms: bool,
    pub platforms: Vec<Platform>,
}

/// The builder to use and what must be done to have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BuilderPlan {
    /// The value for `--builder`; `None` when nobody asked and buildx's own choice is right.
    pub name: Option<String>,
    pub driver: String,
    /// Whether the driver downloads nothing that it only passes on. The `docker` driver is not
    /// lazy by itself and must be told.
    pub lazy_by_itself: bool,
    /// Whether images of this builder are kept in containerd's store.
    pub containerd_store: bool,
    /// Creates the builder first.
    pub create: Option<Invocation>,
    pub choice: Choice,
}

/// Oldest buildx that speaks `--progress=rawjson`, `--call` and index annotations.
const OLDEST_BUILDX: (u64, u64) = (0, 13);

/// Chooses the builder. `asked` is `--builder` or the configuration's; `project` names the builder
/// to be created when none will do; `host_network` gives such a builder the host's network, so that
/// it reaches a registry on loopback.
pub fn builder(
    engine: &Engine,
    asked: Option<(&str, &str)>,
    needs: &Needs,
    project: &str,
    host_network: bool,
) -> Result<BuilderPlan, Failure> {
    let (buildx, builders) = ready(engine)?;
    check_buildx(buildx)?;
    if let Some((name, source)) = asked {
        return asked_for(builders, name, source, needs);
    }
    let current = builders.iter().find(|builder| builder.current);
    let lack = match current {
        Some(current) => match lacking(current, needs) {
            None => {
                let reason = "the current one can do all the plan needs";
                return Ok(planned(current, None, reason.to_owned()));
            }
            Some(lack) => format!("the current one, `{}`, {lack}", current.name),
        },
        None => "there is no current one".to_owned(),
    };
    let ours = format!("{project}-builder");
    if let Some(able) = builders.iter().find(|builder| {
        (builder.name == ours || builder.driver == "docker") && lacking(builder, needs).is_none()
    }) {
        return Ok(planned(able, Some(able.name.clone()), lack));
    }
    Ok(created(ours, &lack, host_network))
}

fn ready(engine: &Engine) -> Result<(&str, &[Builder]), Failure> {
    let lab = "or let the lab bring its own: cargo xtask build --lab";
    match engine {
        Engine::Ready { buildx, builders } => Ok((buildx, builders)),
        Engine::NoClient => Err(Failure::failed("there is no `docker` on the PATH")
            .hint(format!("install Docker Engine 26 or later with buildx, {lab}"))),
        Engine::NoBuildx { detail } => {
            Err(Failure::failed(format!("`docker` has no buildx plugin: {detail}"))
                .hint(format!("apt-get install docker-buildx, {lab}")))
        }
        Engine::NotRunning { detail } => {
            Err(Failure::failed(format!("no docker engine answers: {detail}"))
                .hint(format!("start it (systemctl start docker, or Docker Desktop), {lab}")))
        }
    }
}

fn check_buildx(version: &str) -> Result<(), Failure> {
    let mut numbers = version.trim_start_matches('v').split(['.', '+', '-']).map(str::parse::<u64>);
    let found = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        // A development build names no version; it is new enough.
        _ => return Ok(()),
    };
    if found >= OLDEST_BUILDX {
        return Ok(());
    }
    let (major, minor) = OLDEST_BUILDX;
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
        let message = format!("there is no builder `{name}`, which {source} names");
        return Err(Failure::usage(message).hint(match names.as_slice() {
            [] => format!("docker buildx create --name {name}"),
            names => {
                format!("name one of {}, or docker buildx create --name {name}", names.join(", "))
            }
        }));
    };
    match lacking(found, needs) {
        None => Ok(planned(found, Some(name.to_owned()), format!("{source} names it"))),
        Some(lack) => {
            Err(Failure::failed(format!("builder `{name}`, which {source} names, {lack}"))
                .hint("docker buildx ls"))
        }
    }
}

/// What the builder cannot do of what is needed, as the end of a sentence that begins with its name.
fn lacking(builder: &Builder, needs: &Needs) -> Option<String> {
    if let Some(error) = builder.nodes.iter().find_map(|node| node.error.as_deref()) {
        return Some(format!("does not answer: {error}"));
    }
    let classic = builder.driver == "docker" && !builder.nodes.iter().all(|n| n.containerd_store);
    let store = "because its engine does not keep images in containerd's store";
    if classic && needs.cache_export {
        return Some(format!("cannot export a registry or gha cache, {store}"));
    }
    if classic && needs.several_platforms {
        return Some(format!("cannot build an image of several platforms, {store}"));
    }
    if classic && needs.attestations {
        return Some(format!("cannot attest provenance, {store}"));
    }
    // A builder that has not started yet does not tell its platforms.
    let told = builder.nodes.iter().all(|node| !node.platforms.is_empty());
    let has =
        |platform: &&Platform| builder.nodes.iter().any(|node| node.platforms.contains(platform));
    let missing = needs.platforms.iter().find(|platform| told && !has(platform))?;
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
        choice: Choice::new("builder", &name, format!("to be created, because {lack}")),
        name: Some(name),
    }
}

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
    /// Load the image into the engine.
    pub load: bool,
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
///
/// When no engine answers that is an error, unless the plan is only to be shown: then it is made
/// for the builder that the lab or a recent Docker has, and says so.
pub fn builder(
    engine: &Engine,
    only_shown: bool,
    asked: Option<(&str, &str)>,
    needs: &Needs,
    project: &str,
    host_network: bool,
) -> Result<BuilderPlan, Failure> {
    if *engine == Engine::Unasked {
        return Ok(current("any builder can do this, and buildx knows its current one"));
    }
    let (buildx, builders) = match ready(engine) {
        Ok(ready) => ready,
        Err(failure) if only_shown => return Ok(assumed(asked, &failure)),
        Err(failure) => return Err(failure),
    };
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
    if needs.load && needs.several_platforms {
        let message = format!("no builder can load an image of several platforms: {lack}");
        return Err(Failure::usage(message).hint(
            "name one platform, or let the engine keep images in containerd's store: \
             https://docs.docker.com/engine/storage/containerd/",
        ));
    }
    Ok(created(ours, &lack, host_network))
}

/// Whether the engine must be looked at to choose a builder: not when nobody named one and the plan
/// needs nothing that some builders lack.
pub fn must_look(asked: bool, needs: &Needs) -> bool {
    // Every builder can load what is for one platform.
    asked || *needs != Needs { load: needs.load, ..Needs::default() }
}

/// Why there is no builder, or nothing when there is one.
pub fn problem(engine: &Engine) -> Option<Failure> {
    ready(engine).and_then(|(buildx, _)| check_buildx(buildx)).err()
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

fn ready(engine: &Engine) -> Result<(&str, &[Builder]), Failure> {
    let lab = "or let the lab bring its own: cargo xtask build --lab";
    match engine {
        Engine::Ready { buildx, builders } => Ok((buildx, builders)),
        Engine::Unasked => Ok(("", &[])),
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

fn assumed(asked: Option<(&str, &str)>, failure: &Failure) -> BuilderPlan {
    let reason = format!("{failure}; shown for an engine with containerd's image store");
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
    let is_engine = builder.driver == "docker";
    let classic = is_engine && !builder.nodes.iter().all(|n| n.containerd_store);
    let store = "because its engine does not keep images in containerd's store";
    if classic && needs.cache_export {
        return Some(format!("cannot export a registry or gha cache, {store}"));
    }
    if classic && needs.several_platforms {
        return Some(format!("cannot build an image of several platforms, {store}"));
    }
    if !is_engine && needs.load && needs.several_platforms {
        return Some("cannot load an image of several platforms into the engine".to_owned());
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

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use crate::model::facts::BuilderNode;

    use super::*;

    fn a_builder(name: &str, driver: &str, containerd_store: bool) -> Builder {
        Builder {
            name: name.to_owned(),
            driver: driver.to_owned(),
            current: name == "default",
            nodes: vec![BuilderNode {
                name: name.to_owned(),
                status: "running".to_owned(),
                error: None,
                buildkit: None,
                platforms: vec![Platform::new("linux/amd64").unwrap()],
                containerd_store,
            }],
        }
    }

    fn publishing() -> Needs {
        Needs { cache_export: true, attestations: true, ..Needs::default() }
    }

    fn check(builders: Vec<Builder>, asked: Option<&str>, needs: &Needs, expected: &Expect) {
        let engine = Engine::Ready { buildx: "0.29.1+ds1".to_owned(), builders };
        let asked = asked.map(|name| (name, "`--builder`"));
        let shown = match builder(&engine, false, asked, needs, "autogit", true) {
            Ok(plan) => {
                let create = plan.create.map(|call| format!("\n{call}")).unwrap_or_default();
                format!("{}: {}{create}", plan.choice.value, plan.choice.reason)
            }
            Err(failure) => format!("{failure} / {}", failure.hint.clone().unwrap_or_default()),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn the_current_builder_is_kept_when_it_can_do_the_job() {
        let default = || vec![a_builder("default", "docker", true)];
        let same = expect!["default: the current one can do all the plan needs"];
        check(default(), None, &Needs::default(), &same);
        check(default(), None, &publishing(), &same);
        check(vec![a_builder("default", "docker", false)], None, &Needs::default(), &same);
    }

    #[test]
    fn an_engine_without_containerd_store_gets_a_builder_of_its_own_for_publishing() {
        check(
            vec![a_builder("default", "docker", false)],
            None,
            &publishing(),
            &expect![[r"
                autogit-builder: to be created, because the current one, `default`, cannot export a registry or gha cache, because its engine does not keep images in containerd's store
                docker buildx create --name autogit-builder --driver docker-container --driver-opt network=host"]],
        );
        check(
            vec![
                a_builder("default", "docker", false),
                a_builder("autogit-builder", "docker-container", false),
            ],
            None,
            &publishing(),
            &expect![
                "autogit-builder: the current one, `default`, cannot export a registry or gha cache, because its engine does not keep images in containerd's store"
            ],
        );
    }

    #[test]
    fn a_builder_that_was_asked_for_is_used_or_the_reason_said() {
        let both =
            || vec![a_builder("default", "docker", false), a_builder("far", "remote", false)];
        check(both(), Some("far"), &publishing(), &expect!["far: `--builder` names it"]);
        check(
            both(),
            Some("default"),
            &publishing(),
            &expect![
                "builder `default`, which `--builder` names, cannot export a registry or gha cache, because its engine does not keep images in containerd's store / docker buildx ls"
            ],
        );
        check(
            both(),
            Some("fra"),
            &publishing(),
            &expect![
                "there is no builder `fra`, which `--builder` names / name one of default, far, or docker buildx create --name fra"
            ],
        );
    }

    #[test]
    fn a_platform_that_no_node_has_is_named() {
        let needs =
            Needs { platforms: vec![Platform::new("linux/arm64").unwrap()], ..Needs::default() };
        check(
            vec![a_builder("default", "docker", true)],
            Some("default"),
            &needs,
            &expect![
                "builder `default`, which `--builder` names, cannot build for linux/arm64 / docker buildx ls"
            ],
        );
    }

    #[test]
    fn a_missing_engine_is_one_message_with_its_remedy_and_only_a_note_in_a_dry_run() {
        for engine in [
            Engine::NoClient,
            Engine::NoBuildx { detail: "unknown command".to_owned() },
            Engine::NotRunning { detail: "connection refused".to_owned() },
            Engine::Ready { buildx: "0.9.1".to_owned(), builders: vec![] },
        ] {
            let failure = builder(&engine, false, None, &Needs::default(), "x", false).unwrap_err();
            assert_eq!(failure.exit, crate::model::failure::Exit::Failed);
            assert!(failure.hint.is_some(), "{failure}");
        }
        let shown = builder(&Engine::NoClient, true, None, &Needs::default(), "x", false).unwrap();
        assert!(shown.choice.reason.starts_with("there is no `docker` on the PATH; shown for"));
    }
}

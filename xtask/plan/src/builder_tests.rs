//! Tests of the choice of a builder.

use expect_test::{Expect, expect};

use xtask_model::facts::BuilderNode;

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
fn a_current_builder_that_suffices_is_used() {
    let default = || vec![a_builder("default", "docker", true)];
    let same = expect!["default: the current builder can do everything the plan needs"];
    check(default(), None, &Needs::default(), &same);
    check(default(), None, &publishing(), &same);
    check(vec![a_builder("default", "docker", false)], None, &Needs::default(), &same);
}

#[test]
fn publishing_without_containerds_store_creates_a_builder() {
    check(
        vec![a_builder("default", "docker", false)],
        None,
        &publishing(),
        &expect![[r"
            autogit-builder: no existing builder fits: the current builder, `default`, cannot export a registry or gha cache, because its engine does not use containerd's image store
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
            "autogit-builder: the current builder, `default`, cannot export a registry or gha cache, because its engine does not use containerd's image store"
        ],
    );
}

#[test]
fn a_requested_builder_is_used_or_refused() {
    let both = || vec![a_builder("default", "docker", false), a_builder("far", "remote", false)];
    check(both(), Some("far"), &publishing(), &expect!["far: set by `--builder`"]);
    check(
        both(),
        Some("default"),
        &publishing(),
        &expect![
            "the builder `default` from `--builder` cannot export a registry or gha cache, because its engine does not use containerd's image store / docker buildx ls"
        ],
    );
    check(
        both(),
        Some("fra"),
        &publishing(),
        &expect![
            "the builder `fra` from `--builder` does not exist / choose one of default, far, or docker buildx create --name fra"
        ],
    );
}

#[test]
fn a_silent_engine_is_reported_despite_other_builders() {
    let mut silent = a_builder("default", "", true);
    silent.nodes.iter_mut().for_each(|node| node.error = Some("Cannot connect".to_owned()));
    let other = Builder { current: false, ..a_builder("far", "docker-container", false) };
    let engine = |builders| Engine::Ready { buildx: "0.29.1".to_owned(), builders };
    let shown = |engine: &Engine| problem(engine).map(|failure| failure.message);
    let silent_engine = Some("no docker engine answers: Cannot connect".to_owned());
    assert_eq!(shown(&engine(vec![silent, other.clone()])), silent_engine);
    assert_eq!(shown(&engine(vec![a_builder("default", "docker", true), other])), None);
}

#[test]
fn an_old_version_is_reported_with_the_minimum() {
    let engine = |buildx: &str, buildkit: Option<&str>| {
        let mut found = a_builder("default", "docker", true);
        found.nodes.iter_mut().for_each(|node| node.buildkit = buildkit.map(str::to_owned));
        Engine::Ready { buildx: buildx.to_owned(), builders: vec![found] }
    };
    let check = |engine: Engine, building: Option<&str>, checking: Option<&str>| {
        let shown = |failure: Option<Failure>| failure.map(|failure| failure.message);
        assert_eq!(shown(problem(&engine)).as_deref(), building, "{engine:?}");
        assert_eq!(shown(problem_of_check(&engine)).as_deref(), checking, "{engine:?}");
    };
    let old = Some("buildx 0.12.1 is too old: 0.13 or later is needed");
    check(Engine::Ready { buildx: "0.12.1".to_owned(), builders: vec![] }, old, old);
    check(
        engine("v0.14.0", Some("v0.13.2")),
        None,
        Some("buildx v0.14.0 is too old: 0.15 or later is needed"),
    );
    for buildkit in [None, Some("v0.0.0+unknown"), Some("v0.25.1"), Some("28.5.2")] {
        check(engine("0.29.1+ds1", buildkit), None, None);
    }
    let old = Some("the current builder, `default`, has BuildKit v0.11.6: 0.12 or later is needed");
    check(engine("0.29.1", Some("v0.11.6")), old, old);
    let old =
        Some("the current builder, `default`, is Docker Engine 20.10.17: 25 or later is needed");
    check(engine("0.29.1", Some("20.10.17")), old, old);
}

#[test]
fn a_platform_without_a_node_is_reported() {
    let needs =
        Needs { platforms: vec![Platform::new("linux/arm64").unwrap()], ..Needs::default() };
    check(
        vec![a_builder("default", "docker", true)],
        Some("default"),
        &needs,
        &expect![
            "the builder `default` from `--builder` cannot build for linux/arm64 / docker buildx ls"
        ],
    );
}

#[test]
fn a_missing_engine_fails_except_in_dry_runs() {
    for engine in [
        Engine::NoClient,
        Engine::NoBuildx { detail: "unknown command".to_owned() },
        Engine::NotRunning { detail: "connection refused".to_owned() },
        Engine::Ready { buildx: "0.9.1".to_owned(), builders: vec![] },
    ] {
        let failure = builder(&engine, false, None, &Needs::default(), "x", false).unwrap_err();
        assert_eq!(failure.exit, xtask_model::failure::Exit::Failed);
        assert!(failure.hint.is_some(), "{failure}");
    }
    let shown = builder(&Engine::NoClient, true, None, &Needs::default(), "x", false).unwrap();
    assert!(shown.choice.reason.starts_with("there is no `docker` on the PATH; planned for"));
}

//! Tests of how the lab comes up: on a bare machine, next to an existing engine, without root.

use expect_test::{Expect, expect};

use super::*;

fn bare_debian() -> World {
    World {
        linux: true,
        root: true,
        distribution: Some(("debian".to_owned(), "bookworm".to_owned())),
        programs: vec![Program::Ip],
        bases: vec![Base {
            reference: "debian:bookworm".to_owned(),
            pullable: false,
            present: false,
        }],
        ..World::default()
    }
}

fn check(world: &World, choice: EngineChoice, may_install: bool, expected: &Expect) {
    let shown = match plan(world, choice, may_install) {
        Ok(plan) => {
            let engine = if plan.private { "private" } else { "existing" };
            let head = format!("{engine}: {}", plan.engine_reason);
            let steps = plan.steps.iter().map(|s| format!("\n{} ({})", s.action, s.reason));
            std::iter::once(head).chain(steps).collect()
        }
        Err(failure) => {
            format!("{failure}\nhint: {}", failure.hint.clone().unwrap_or_default())
        }
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_bare_machine_gets_everything() {
    check(
        &bare_debian(),
        EngineChoice::Auto,
        true,
        &expect![[r"
            private: no engine answers
            install docker-cli/forky docker-buildx/forky docker.io/forky docker-registry debootstrap (missing: `docker`, `docker buildx`, `dockerd`, `docker-registry`, `debootstrap`)
            start the registry (it is not running)
            start the stand-in servers (they are not running)
            start a private engine (it is not running)
            make a stand-in for debian:bookworm (its registry does not answer, and there is no stand-in from the same inputs)"]],
    );
}

#[test]
fn a_lab_that_is_up_needs_nothing() {
    let mut world = bare_debian();
    world.programs = Program::ALL.to_vec();
    world.running = Running { registry: true, servers: true, engine: true };
    world.private_before = Some(true);
    world.bases.iter_mut().for_each(|base| base.present = true);
    check(&world, EngineChoice::Auto, true, &expect!["private: the lab already has one"]);
}

#[test]
fn a_recent_existing_engine_is_used() {
    let mut world = bare_debian();
    world.programs = Program::ALL.to_vec();
    world.bases.clear();
    world.engine = Some(FoundEngine { version: "28.5.2+dfsg4".to_owned() });
    let servers = expect![[r"
        existing: engine 28.5.2+dfsg4 answers
        start the registry (it is not running)
        start the stand-in servers (they are not running)"]];
    check(&world, EngineChoice::Auto, true, &servers);
    world.engine = Some(FoundEngine { version: "20.10.24".to_owned() });
    let old = expect![[r"
        private: engine 20.10.24 is older than 26
        start the registry (it is not running)
        start the stand-in servers (they are not running)
        start a private engine (it is not running)"]];
    check(&world, EngineChoice::Auto, true, &old);
    let refused = expect![[r"
        the lab cannot use an existing engine: engine 20.10.24 is older than 26
        hint: cargo xtask lab up --engine private"]];
    check(&world, EngineChoice::Existing, true, &refused);
}

#[test]
fn without_installing_the_command_is_shown() {
    check(
        &bare_debian(),
        EngineChoice::Auto,
        false,
        &expect![[r"
            the lab needs programs that are missing, and `--no-install` is set: `docker`, `docker buildx`, `dockerd`, `docker-registry`, `debootstrap`
            hint: apt-get install --no-install-recommends docker-cli/forky docker-buildx/forky docker.io/forky docker-registry debootstrap"]],
    );
}

#[test]
fn a_private_engine_needs_linux_and_root() {
    let mac = World { linux: false, root: false, ..World::default() };
    let desktop = expect![[r"
        the lab's own engine runs on Linux only, and no engine answers
        hint: start Docker Desktop, then run it again"]];
    check(&mac, EngineChoice::Auto, true, &desktop);
    let user = World { root: false, ..bare_debian() };
    let root = expect![[r"
        the lab's own engine needs root, and no engine answers
        hint: run it again as root, or start a docker engine"]];
    check(&user, EngineChoice::Auto, true, &root);
}

#[test]
fn a_user_with_sudo_installs_programs() {
    let mut user = World { root: false, sudo: true, ..bare_debian() };
    user.engine = Some(FoundEngine { version: "28.0.4".to_owned() });
    user.programs = vec![Program::Docker, Program::Buildx, Program::Dockerd];
    user.bases.iter_mut().for_each(|base| base.pullable = true);
    let by_sudo = expect![[r"
        existing: engine 28.0.4 answers
        install docker-registry (missing: `docker-registry`)
        start the registry (it is not running)
        start the stand-in servers (they are not running)"]];
    check(&user, EngineChoice::Auto, true, &by_sudo);
    user.sudo = false;
    let by_hand = expect![[r"
        the lab needs programs that are missing, and only root can install: `docker-registry`
        hint: sudo apt-get install --no-install-recommends docker-registry"]];
    check(&user, EngineChoice::Auto, true, &by_hand);
    user.bases.iter_mut().for_each(|base| base.pullable = false);
    let stand_in = expect![[r"
        the registry of a base image does not answer, and a stand-in needs root: `debian:bookworm`
        hint: run it again as root"]];
    check(&user, EngineChoice::Auto, true, &stand_in);
}

#[test]
fn no_package_is_named_twice() {
    let distribution = Some(("ubuntu".to_owned(), "noble".to_owned()));
    let ubuntu = World { distribution, ..bare_debian() };
    let plan = plan(&ubuntu, EngineChoice::Auto, true).unwrap();
    let install = plan.steps.first().unwrap().action.to_string();
    assert_eq!(install, "install docker.io docker-buildx docker-registry debootstrap");
}

#[test]
fn a_lab_with_the_requested_engine_is_ready() {
    let all = Running { registry: true, servers: true, engine: true };
    let none = Running { engine: false, ..all };
    let check = |running, is_private, choice, expected| {
        assert_eq!(runs(running, is_private, choice), expected, "{running:?} {choice:?}");
    };
    check(all, true, EngineChoice::Auto, true);
    check(none, true, EngineChoice::Auto, false);
    check(none, false, EngineChoice::Auto, true);
    check(none, false, EngineChoice::Private, false);
    check(all, true, EngineChoice::Existing, false);
    check(Running { servers: false, ..all }, true, EngineChoice::Private, false);
}

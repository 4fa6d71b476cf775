//! Where the checks that empty an engine may run: only on the lab's own engine.

use xtask::model::lab::EngineChoice;
use xtask::plan::lab::{World, plan};

/// An engine for the checks of the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// The lab's own.
    Private,
    /// The lab's own, started through `sudo`.
    PrivateBySudo,
    /// An engine that the lab does not own, and why the lab cannot have its own.
    Existing(String),
    /// No engine, and why.
    Nowhere(String),
}

/// Decides where the checks of the lab run.
pub fn ground(world: &World, may_install: bool) -> Ground {
    let Err(no_private) = plan(world, EngineChoice::Private, may_install) else {
        return Ground::Private;
    };
    let as_root = World { root: true, ..world.clone() };
    if world.sudo && !world.root && plan(&as_root, EngineChoice::Private, may_install).is_ok() {
        return Ground::PrivateBySudo;
    }
    match plan(world, EngineChoice::Existing, may_install) {
        Ok(_) => Ground::Existing(no_private.message),
        Err(_) => Ground::Nowhere(no_private.message),
    }
}

#[cfg(test)]
mod tests {
    use xtask::plan::lab::{Base, FoundEngine, Program};

    use super::*;

    #[test]
    fn checks_empty_only_the_engine_of_the_lab() {
        let base =
            Base { reference: "debian:bookworm".to_owned(), pullable: false, present: false };
        let mut world = World {
            linux: true,
            root: true,
            distribution: Some(("debian".to_owned(), "bookworm".to_owned())),
            programs: vec![Program::Ip],
            bases: vec![base],
            ..World::default()
        };
        assert_eq!(ground(&world, true), Ground::Private);
        world.root = false;
        world.sudo = true;
        assert_eq!(ground(&world, true), Ground::PrivateBySudo);
        world.sudo = false;
        let why = "the lab's own engine needs root, and a private engine was requested";
        assert_eq!(ground(&world, true), Ground::Nowhere(why.to_owned()));
        world.engine = Some(FoundEngine { version: "28.0.4".to_owned() });
        world.programs = Program::ALL.to_vec();
        world.bases.clear();
        assert_eq!(ground(&world, true), Ground::Existing(why.to_owned()));
    }
}

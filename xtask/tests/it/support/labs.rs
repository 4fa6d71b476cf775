//! The labs for tests that run side by side. A test below `lab::` has a lab to itself until it ends, so it may
//! count requests, break the registry, empty the engine and end the lab. `--test-threads=4` makes four copies
//! of the workspace's lab, and reserves the lab itself for tests that need a warm builder. Without it
//! there is one lab, and the other tests wait.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};

use xtask::model::lab::EngineState;
use xtask::model::reference::Reference;
use xtask::outside::lab::{LabPaths, engine, servers};
use xtask::outside::process::Runner;

use super::{Fixture, Ran};

/// A lab that belongs to one test.
#[derive(Debug)]
pub struct Held {
    /// The target folder with the lab's state.
    pub target: PathBuf,
}

/// The labs that no test uses now.
static FREE: LazyLock<Mutex<Vec<PathBuf>>> = LazyLock::new(|| Mutex::new(all()));
static RETURNED: Condvar = Condvar::new();

thread_local! {
    static HELD: RefCell<Option<Arc<Held>>> = const { RefCell::new(None) };
}

/// The lab of this thread's test; waits until one is free. `None` in a test that needs no lab.
pub fn held() -> Option<Arc<Held>> {
    let is_lab_test = std::thread::current().name().is_some_and(|name| name.starts_with("lab::"));
    HELD.with_borrow_mut(|held| {
        if held.is_none() && is_lab_test {
            *held = Some(Arc::new(Held::take(false)));
        }
        held.clone()
    })
}

/// Gives this test the workspace's own lab, whose builder has cached our services' steps. The test must keep them.
pub fn hold_the_warm_one() {
    HELD.set(Some(Arc::new(Held::take(true))));
}

/// The target folder of this test's lab.
pub fn target() -> PathBuf {
    held().unwrap().target.clone()
}

impl Held {
    fn take(warm: bool) -> Self {
        let fits = |target: &PathBuf| copies().is_empty() || warm == (*target == super::target());
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(at) = free.iter().position(fits) {
                return Self { target: free.remove(at) };
            }
            free = RETURNED.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Shares the lab with this thread, which works for the same test.
    pub fn share(self: &Arc<Self>) {
        HELD.set(Some(Arc::clone(self)));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(std::mem::take(&mut self.target));
        RETURNED.notify_all();
    }
}

/// The numbers of the copies: one for each parallel test, if there is more than one.
fn copies() -> RangeInclusive<usize> {
    let threads = std::env::args()
        .find_map(|argument| argument.strip_prefix("--test-threads=")?.parse().ok())
        .unwrap_or(1);
    1..=if threads > 1 { threads } else { 0 }
}

/// The target folders of all labs. Copies are made while no test runs.
fn all() -> Vec<PathBuf> {
    let mut labs = vec![super::target()];
    let fixture = Fixture::new();
    fixture.service("web", "FROM debian:bookworm\n");
    if !copies().is_empty() {
        up(&fixture, &super::target());
    }
    for number in copies() {
        let target = super::target().join("test-labs").join(number.to_string());
        if !target.join("lab").is_dir() {
            make_copy(&super::target(), &target);
        }
        up(&fixture, &target);
        labs.push(target);
    }
    labs
}

fn up(fixture: &Fixture, target: &Path) {
    let mut command = fixture.command(&[]);
    command.args(["lab", "up", "--engine=private"]).env("CARGO_TARGET_DIR", target);
    Ran::from(command.output().unwrap()).expect(0);
}

/// A lab that shares the first one's base images and program, and nothing else.
fn make_copy(first: &Path, target: &Path) {
    let (from, to) = (LabPaths::new(first), LabPaths::new(target));
    std::fs::create_dir_all(&to.folder).unwrap();
    let program = target.join("debug");
    if !program.exists() {
        std::os::unix::fs::symlink(first.join("debug"), program).unwrap();
    }
    let copy = |name: &str, how: &[&str]| {
        let into = to.folder.join(name);
        std::fs::create_dir_all(into.parent().unwrap()).unwrap();
        let mut copy = Command::new("cp");
        copy.arg("--archive").args(how).args([from.folder.join(name), into]);
        Ran::from(copy.output().unwrap()).expect(0);
    };
    copy("bases", &[]);
    copy("registry/docker/registry/v2/repositories", &[]);
    // A registry moves a blob to its final path whole, and never writes to it again.
    copy("registry/docker/registry/v2/blobs", &["--link"]);
    let mut state = from.state().unwrap();
    state.ports = servers::choose_ports().unwrap();
    let runner = Runner::new(target, false);
    let none = EngineState::Existing { host: None };
    state.engine = engine::choose(&runner, &to, &none).unwrap();
    let registry = state.registry().unwrap();
    for base in state.bases.values_mut() {
        base.image = Reference { registry: registry.clone(), ..base.image.clone() };
    }
    to.save(&state).unwrap();
}

//! A service to push, and the effects of a push.

use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::lab::Lab;
use super::{Fixture, Ran};

/// Packages that no other image has, then a changing file of 300 kB. The `WORKDIR` above a
/// step must not miss the cache because a commit has a different time.
pub fn service(seed: u128) -> String {
    format!(
        "FROM debian:bookworm AS build\n\
         WORKDIR /work\n\
         RUN head -c 2000000 /dev/urandom > /built && echo {seed}\n\
         FROM debian:bookworm\n\
         RUN head -c 3000000 /dev/urandom > /packages && echo {seed}\n\
         COPY --from=build /built /built\n\
         COPY --link data /data\n"
    )
}

pub fn seed() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()
}

/// A salt that no other run has.
pub fn unlike_any() -> u64 {
    u64::try_from(seed() % u128::from(u64::MAX)).unwrap()
}

/// Bytes that do not compress, different for each `salt`.
pub fn noise(salt: u64, count: usize) -> String {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b' ' + u8::try_from(state % 95).unwrap())
        })
        .collect()
}

/// A repository with one service `web`, committed and not published.
pub fn unpublished() -> (Fixture, Lab) {
    let fixture = Fixture::unpublished();
    fixture.service("web", &service(seed()));
    fixture.write("services/web/data", &noise(1, 300_000));
    fixture.commit("feat: a service");
    let lab = Lab::up(&fixture);
    (fixture, lab)
}

impl Fixture {
    pub fn image(&self) -> String {
        format!("{}/web", self.repository)
    }

    pub fn another_commit(&self) -> String {
        self.write("README.md", &format!("{}", seed()));
        self.commit("docs: nothing of the service")
    }
}

pub fn push(fixture: &Fixture, more: &[&str]) -> Ran {
    fixture.xtask(&[&["push", "--lab", "--format=json"], more].concat())
}

pub fn the_service(ran: &Ran) -> Value {
    ran.json()["services"][0].clone()
}

/// Pulls and runs the published image on an emptied engine.
pub fn pulls(lab: &Lab, fixture: &Fixture, tag: &str) {
    lab.docker(&["image", "prune", "--all", "--force"]).expect(0);
    let reference = format!("{}/{}:{tag}", lab.registry(), fixture.image());
    lab.docker(&["run", "--rm", &reference, "test", "-s", "/data"]).expect(0);
}

/// The real `xtask` in another checkout of the fixture's repository, in progress.
pub fn begun_in(fixture: &Fixture, folder: &Path, arguments: &[&str]) -> Child {
    let mut command = fixture.command(arguments);
    command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder.join("xtask"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

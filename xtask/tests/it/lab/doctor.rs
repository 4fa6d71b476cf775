//! `cargo xtask doctor --lab` and `verify --lab` with something wrong on purpose: they name each cause of a
//! build without cache, of an image that is too large and of a denied push, with the command
//! to type.

use crate::support::lab::Lab;
use crate::support::locked::Locked;
use crate::support::{Fixture, Ran};
use serde_json::Value;

fn dockerfile(base: &str, fixture: &Fixture) -> String {
    let salt = &fixture.repository;
    format!(
        "FROM {base}\nRUN head -c 3000000 /dev/urandom > /built && echo {salt}\n\
         COPY --link data /data\nUSER 65532:65532\n"
    )
}

/// One service `web`, committed and not published.
fn unpublished() -> (Fixture, Lab) {
    let fixture = Fixture::unpublished();
    fixture.service("web", &dockerfile("debian:bookworm", &fixture));
    fixture.write("services/web/data", "one\n");
    fixture.write("services/web/.dockerignore", "*\n!data\n");
    fixture.commit("feat: a service");
    let lab = Lab::up(&fixture);
    (fixture, lab)
}

fn published() -> (Fixture, Lab) {
    let (fixture, lab) = unpublished();
    fixture.xtask(&["push", "--lab"]).expect(0);
    (fixture, lab)
}

impl Fixture {
    fn commit_nothing(&self) {
        self.write("README.md", &format!("{:?}", std::time::Instant::now()));
        self.commit("docs: nothing of the service");
    }
}

fn image(fixture: &Fixture) -> String {
    format!("{}/web", fixture.repository)
}

/// The findings of a command, with any exit code.
fn findings(fixture: &Fixture, command: &str) -> Vec<Value> {
    fixture.xtask(&[command, "--lab", "--format=json"]).json().as_array().unwrap().clone()
}

/// The finding of `check` about `subject` has this level, its detail contains these words, and its remedy
/// begins with this text.
#[track_caller]
fn check(found: &[Value], subject: &str, check: &str, expected: [&str; 3]) {
    let is_it = |one: &&Value| one["subject"] == subject && one["check"] == check;
    let one = found.iter().find(is_it).unwrap_or_else(|| unreachable!("{found:#?}"));
    let [level, detail, remedy] = expected;
    assert_eq!(one["level"], level, "{one:#}");
    assert!(one["detail"].as_str().unwrap().contains(detail), "{one:#}");
    assert!(one["remedy"].as_str().unwrap_or_default().starts_with(remedy), "{one:#}");
}

/// The hints without a command.
#[track_caller]
fn check_hint(found: &[Value], subject: &str, check: &str, expected: &str) {
    let is_it = |one: &&Value| one["subject"] == subject && one["check"] == check;
    let one = found.iter().find(is_it).unwrap_or_else(|| unreachable!("{found:#?}"));
    assert!(one["hint"].as_str().unwrap_or_default().contains(expected), "{one:#}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn doctor_names_what_is_missing_from_the_cache() {
    let (fixture, lab) = unpublished();
    let missing = ["warn", "nothing is published there", "cargo xtask push"];
    check(&findings(&fixture, "doctor"), "web :cache", "cache", missing);
    fixture.xtask(&["push", "--lab"]).expect(0);
    check(&findings(&fixture, "doctor"), "web :cache", "cache", ["pass", "results", ""]);

    lab.delete(&image(&fixture), "cache");
    let gone = ["warn", "nothing is published there", "cargo xtask push --rebuild"];
    check(&findings(&fixture, "doctor"), "web :cache", "cache", gone);

    let reference = |tag: &str| format!("{}/{}:{tag}", lab.registry(), image(&fixture));
    lab.docker(&[
        "buildx",
        "imagetools",
        "create",
        "--tag",
        &reference("cache"),
        &reference("dev"),
    ])
    .expect(0);
    let remedy = "cargo xtask cache invalidate && cargo xtask push --rebuild";
    let replaced = ["fail", "the tag points to an image, not to a cache", remedy];
    check(&findings(&fixture, "doctor"), "web :cache", "cache", replaced);
    // The remedy works.
    fixture.xtask(&["cache", "invalidate", "--lab"]).expect(0);
    fixture.commit_nothing();
    fixture.xtask(&["push", "--lab", "--rebuild"]).expect(0);
    check(&findings(&fixture, "doctor"), "web :cache", "cache", ["pass", "result", ""]);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn doctor_names_what_changed_since_the_cache() {
    let (fixture, lab) = unpublished();
    let base = format!("{}/{}/base:1", lab.registry(), fixture.repository);
    let point = |source: &str| {
        lab.docker(&["buildx", "imagetools", "create", "--tag", &base, source]).expect(0);
    };
    let debian = format!("{}/library/debian:bookworm", lab.registry());
    point(&debian);
    // An image built on the image of a service must run as root.
    let dockerfile = || dockerfile(&base, &fixture).replace("USER 65532:65532\n", "");
    fixture.service("web", &dockerfile());
    fixture.commit("feat: another base");
    fixture.xtask(&["push", "--lab"]).expect(0);
    point(&format!("{}/{}:dev", lab.registry(), image(&fixture)));
    fixture.commit_nothing();
    fixture.xtask(&["push", "--lab"]).expect(0);
    let name = format!("the base {base}: ");
    let changed = ["warn", name.as_str(), "cargo xtask push --explain"];
    check(&findings(&fixture, "doctor"), "web", "last build", changed);

    let missed_because = |why: &str| {
        fixture.commit("feat: another image");
        fixture.xtask(&["push", "--lab"]).expect(0);
        let changed = ["warn", why, "cargo xtask push --explain"];
        check(&findings(&fixture, "doctor"), "web", "last build", changed);
    };
    fixture.write("services/web/data", &format!("two of {}\n", fixture.repository));
    missed_because("COPY --link data /data: changed files: data; ");
    fixture.service("web", &format!("{}RUN true\n", dockerfile()));
    missed_because("RUN true: the previous build did not have this step");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn verify_names_the_step_of_a_large_image() {
    let (fixture, _lab) = published();
    fixture.configure("size-limit = \"1MB\"\n");
    let found = findings(&fixture, "verify");
    let large = ["fail", "exceeds the limit of 1.00 MB", "docker pull "];
    check(&found, "web:dev", "size", large);
    check_hint(&found, "web:dev", "size", "move build tools to another stage");

    // A rule finds the file that a later layer only hides.
    fixture.service(
        "web",
        "FROM debian:bookworm\nRUN apt-get update && apt-get install -y gcc\n\
         RUN rm -rf /var/lib/apt/lists/*\nCOPY --link data /data\nUSER 65532:65532\n",
    );
    let found = findings(&fixture, "verify");
    let kept = ["warn", "late-clean-up: the image keeps the files that line 2 wrote", ""];
    check(&found, "services/web/Dockerfile:3", "dockerfile", kept);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn doctor_names_what_the_credentials_forbid() {
    let (fixture, lab) = published();
    let locked = Locked::new(&lab);
    let registry = lab.registry();
    let doctor = |login: Option<&tempfile::TempDir>| {
        let mut command = fixture.command(&["doctor", "--lab", "--format=json"]);
        // Without a login: a folder without credentials.
        command.env("DOCKER_CONFIG", login.map_or(fixture.root(), tempfile::TempDir::path));
        Ran::from(command.output().unwrap()).json().as_array().unwrap().clone()
    };
    let remedy = format!("docker login {registry}");
    let in_a_job = "`permissions: packages: write`";
    let found = doctor(None);
    check(&found, "web :cache", "cache", ["fail", "authentication required", "docker login"]);
    check(&found, registry, "may push", ["fail", "authentication required", &remedy]);
    check_hint(&found, registry, "may push", in_a_job);

    let (_, reader) = locked.login("read");
    let found = doctor(Some(&reader));
    check(&found, "web :cache", "cache", ["pass", "result", ""]);
    check(&found, "web", "may push", ["fail", "permission_denied: write_package", &remedy]);
    // Credentials that work for other packages: this package may belong to another repository.
    check_hint(&found, "web", "may push", "link the package to this repository");
    check_hint(&found, "web", "may push", "%2Fweb/settings");

    let (token, writer) = locked.login("write");
    check(&doctor(Some(&writer)), registry, "may push", ["pass", "a test upload was accepted", ""]);
    // The token is revoked or expired.
    lab.github("DELETE", &format!("/tokens/{token}"), None);
    let found = doctor(Some(&writer));
    check(&found, "web :cache", "cache", ["fail", "denied", "docker login"]);
    check(&found, "web", "may push", ["fail", "denied", &remedy]);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_doctor_dry_run_begins_no_upload() {
    let (fixture, lab) = unpublished();
    lab.reset();
    let ran = fixture.xtask(&["doctor", "--lab", "--dry-run", "--format=json"]);
    let found = ran.json().as_array().unwrap().clone();
    check(&found, lab.registry(), "may push", ["skip", "a dry run tries no upload", ""]);
    let requests = lab.requests();
    assert!(requests.iter().all(|request| request["method"] != "POST"), "{requests:#?}");
}

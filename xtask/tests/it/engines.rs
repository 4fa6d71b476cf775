//! `cargo xtask build` with programs on the PATH that replace docker: no engine, too old a one, and builds
//! that end in ways that a real engine seldom shows.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{Fixture, Ran};

/// Two services, and a folder that is the whole PATH: git, and optionally `docker`.
struct World {
    fixture: Fixture,
    path: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let fixture = Fixture::new();
        for name in ["web", "worker"] {
            fixture.service(name, "FROM debian:bookworm\nRUN true\n");
        }
        fixture.commit("feat: two services");
        let path = tempfile::tempdir().unwrap();
        symlink(which::which("git").unwrap(), path.path().join("git")).unwrap();
        Self { fixture, path }
    }

    /// Puts a docker on the PATH, with scripts for `buildx build`, `buildx version` and `buildx ls`. It counts
    /// the builds.
    fn docker(build: &str, version: &str, list: &str) -> Self {
        let world = Self::new();
        let folder = world.path.path().display();
        let script = format!(
            "#!/bin/sh\nPATH=/usr/bin:/bin\n\
             for argument; do case \"$argument\" in\n\
             --metadata-file=*) echo '{{}}' > \"${{argument#*=}}\" ;;\n\
             --no-cache) no_cache=true ;;\nesac; done\n\
             case \"$1 $2\" in\n\
             'buildx build') echo x >> {folder}/builds\n{build} ;;\n\
             'buildx version') {version} ;;\n\
             'buildx ls') {list} ;;\nesac\n"
        );
        let file = world.path.path().join("docker");
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        world
    }

    fn xtask(&self, arguments: &[&str]) -> Ran {
        let mut command = self.fixture.command(arguments);
        Ran::from(command.env("PATH", self.path.path()).output().unwrap())
    }

    fn builds(&self) -> usize {
        let counted = std::fs::read_to_string(self.path.path().join("builds"));
        counted.unwrap_or_default().lines().count()
    }
}

const RECENT: &str = "echo github.com/docker/buildx 0.29.1 abc";

const RUNNING: &str = r#"echo '{"Name":"default","Driver":"docker","Current":true,"Nodes":[{"Name":"default","Status":"running"}]}'"#;

/// A step that ran, as BuildKit reports it.
const STEP: &str = r#"echo '{"vertexes":[{"digest":"a","name":"[2/2] RUN true","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:01Z"}]}' >&2"#;

/// One message with its remedy, and no second attempt.
#[track_caller]
fn told_once(world: &World, message: &str, remedy: &str) {
    for arguments in [&["build"][..], &["build", "--check"]] {
        let before = world.builds();
        let ran = world.xtask(arguments).expect(1);
        assert_eq!(ran.stderr.matches(message).count(), 1, "{}", ran.stderr);
        assert_eq!(ran.stderr.matches("hint: ").count(), 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(remedy), "{}", ran.stderr);
        assert!(world.builds() <= before + 2, "it was tried again");
    }
}

#[test]
fn a_missing_docker_is_reported_once() {
    told_once(&World::new(), "there is no `docker` on the PATH", "install Docker Engine");
}

#[test]
fn a_missing_buildx_is_reported_once() {
    let fails = "echo \"docker: 'buildx' is not a docker command.\" >&2; exit 1";
    let world = World::docker(fails, fails, fails);
    told_once(&world, "`docker` has no buildx plugin", "docker-buildx");
}

#[test]
fn a_stopped_engine_is_reported_once() {
    let error = "Cannot connect to the Docker daemon at unix:///x.sock: connection refused";
    let build = format!("echo 'ERROR: {error}' >&2; exit 1");
    let list = format!(
        r#"echo '{{"Name":"default","Driver":"docker","Current":true,"Nodes":[{{"Name":"default","Status":"error","Err":"{error}"}}]}}'"#
    );
    told_once(&World::docker(&build, RECENT, &list), "no docker engine answers", "systemctl start");
}

#[test]
fn an_old_buildx_is_reported_once() {
    let fails = "echo 'unknown flag: --format' >&2; exit 125";
    let world = World::docker(fails, "echo github.com/docker/buildx v0.9.1 abc", fails);
    told_once(&world, "buildx v0.9.1 is too old", "docker-buildx");
}

#[test]
fn services_not_built_have_a_row_and_record() {
    let world = World::new();
    let ran = world.xtask(&["build"]).expect(1);
    let rows: Vec<&str> = ran.stdout.lines().collect();
    assert!(rows[1].starts_with("web ") && rows[1].contains("failed"), "{}", ran.stdout);
    assert!(rows[2].starts_with("worker ") && rows[2].contains("failed"), "{}", ran.stdout);
    let records = world.xtask(&["build", "--format=json"]).expect(1).json();
    assert_eq!(records["records"][1]["error"], "there is no `docker` on the PATH");
}

#[test]
fn plain_progress_builds_each_service_once() {
    let world = World::docker("exit 0", RECENT, RUNNING);
    let ran = world.xtask(&["build", "--progress=native"]).expect(0);
    assert_eq!(world.builds(), 2);
    assert_eq!(ran.stdout.matches(" built ").count(), 2, "{}", ran.stdout);
    let world = World::docker("exit 3", RECENT, RUNNING);
    let ran = world.xtask(&["build", "--progress=native"]).expect(1);
    assert_eq!(world.builds(), 2);
    assert_eq!(ran.stdout.matches("failed     0/0").count(), 2, "{}", ran.stdout);
}

#[test]
fn a_missing_cache_layer_costs_one_attempt() {
    let gone = "failed to compute cache key: blob sha256:043e7f3dd05ab4bea31533694054d95fdc672fa089066248f176a60cb051493c not found";
    let build = format!("{STEP}\n[ -n \"$no_cache\" ] || {{ echo 'ERROR: {gone}' >&2; exit 1; }}");
    let world = World::docker(&build, RECENT, RUNNING);
    let ran = world.xtask(&["build", "web", "--format=json"]).expect(0);
    let record = &ran.json()["records"][0];
    assert_eq!(record["attempts"][0]["reason"], "a layer of the cache is gone", "{record:#}");
    // The log contains both attempts.
    let log = world.fixture.root().join(record["log"].as_str().unwrap());
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains(gone) && log.contains("==== attempt 2 of 4"), "{log}");
}

#[test]
fn a_long_retry_after_ends_the_attempts() {
    let error = "429 Too Many Requests - toomanyrequests: retry-after: 10m, allowed: 1/s";
    let build = format!("{STEP}\necho 'ERROR: {error}' >&2; exit 1");
    let world = World::docker(&build, RECENT, RUNNING);
    let ran = world.xtask(&["build", "web"]).expect(4);
    assert_eq!(world.builds(), 1);
    assert!(
        ran.stderr.contains("too many requests; the server asks to wait 10 min"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_job_gets_the_summary_of_its_builds() {
    let world = World::docker(STEP, RECENT, RUNNING);
    let summary = world.path.path().join("summary");
    let mut command = world.fixture.command(&["build", "--channel=local"]);
    command.env("PATH", world.path.path()).env("GITHUB_STEP_SUMMARY", &summary);
    Ran::from(command.output().unwrap()).expect(0);
    let summary = std::fs::read_to_string(summary).unwrap();
    for part in ["| web | built | 0/1 |", "| web | :cache failed (", "[2/2] RUN true"] {
        assert!(summary.contains(part), "no {part:?} in {summary}");
    }
}

#[test]
fn a_pull_request_never_invalidates_the_cache() {
    let world = World::new();
    let mut command = world.fixture.command(&["cache", "invalidate"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "pull_request");
    let ran = Ran::from(command.output().unwrap()).expect(3);
    assert!(ran.stderr.contains("a pull request never writes the registry cache"), "{ran:?}");
}

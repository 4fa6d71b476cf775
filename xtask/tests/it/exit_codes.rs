//! Every exit code of the design, with a test for each command that can end with it and needs no engine. An
//! outage of the registry in all its forms is in `outages`.

use std::process::Stdio;
use std::sync::{Arc, OnceLock};

use serde_json::json;
use xtask::model::manifest::media_type::{OCI_INDEX, OCI_MANIFEST};
use xtask::outside::registry::digest::sha256;

use crate::support::Ran;
use crate::support::processes::signal;
use crate::support::project::Project;
use crate::support::scripted_registry::Answer;

/// What a command finds.
#[derive(Debug, Clone, Copy)]
enum State {
    NothingPublished,
    /// The commit is published, also under a version.
    Published,
    /// A layer of the published image is gone.
    Incomplete,
    /// An index refers to a manifest that is gone.
    MissingManifest,
    Dirty,
    /// Each build fails.
    BuildFails,
    /// The registry denies every write.
    Denied,
    /// The registry answers 503 to everything.
    Outage,
    /// The registry takes longer for its answers than a look at a cache tier may take.
    Silent,
    /// A job for a pull request runs the command.
    PullRequest,
}

use State::*;

fn project(state: State) -> Project {
    let project = Project::new();
    let revision = project.head();
    if !matches!(state, NothingPublished | BuildFails) {
        project.publish(&revision, &["dev", &format!("dev-{revision}"), "cache"]);
    }
    let registry = &project.registry;
    match state {
        Incomplete => registry.remove("o/r/web", &sha256(b"a layer").unwrap()),
        MissingManifest => {
            let child = sha256(b"no manifest").unwrap();
            let child = json!({ "mediaType": OCI_MANIFEST, "digest": child, "size": 11 });
            let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child] });
            let index = registry.add_manifest("o/r/web", OCI_INDEX, index.to_string().as_bytes());
            registry.set_tag("o/r/web", "dev", &index);
        }
        Dirty => project.fixture.write("services/web/new", "not committed"),
        BuildFails => registry.before(1, "POST", "/build", |_| Some(Answer::status(500))),
        Denied => {
            registry.always("PUT", "", Answer::status(403));
            registry.always("POST", "/blobs/uploads/", Answer::status(403));
        }
        Outage => registry.always("", "", Answer::status(503)),
        Silent => registry.hook(|_, _| {
            std::thread::sleep(std::time::Duration::from_secs(20));
            None
        }),
        NothingPublished | Published | PullRequest => {}
    }
    project
}

/// Each line ends with its code.
fn check(cases: &[(i32, State, &[&str])]) {
    let run = |(code, state, line): &(i32, State, &[&str])| {
        let project = project(*state);
        let mut command = project.command(line);
        if matches!(state, PullRequest) {
            command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "pull_request");
        }
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.code, Some(*code), "{state:?} {line:?}\n{}{}", ran.stdout, ran.stderr);
    };
    std::thread::scope(|scope| cases.iter().for_each(|case| drop(scope.spawn(move || run(case)))));
}

#[test]
fn build_ends_with_its_exit_codes() {
    check(&[
        (0, NothingPublished, &["build"]),
        (1, BuildFails, &["build"]),
        (2, NothingPublished, &["build", "wbe"]),
        (3, PullRequest, &["build", "--channel=dev"]),
    ]);
}

#[test]
fn push_ends_with_its_exit_codes() {
    check(&[
        (0, Published, &["push"]),
        (1, BuildFails, &["push"]),
        (1, Denied, &["push", "--rebuild"]),
        (2, Published, &["push", "wbe"]),
        (3, Dirty, &["push"]),
        (3, PullRequest, &["push"]),
        (3, Incomplete, &["push"]),
        (4, Outage, &["push"]),
    ]);
}

#[test]
fn release_ends_with_its_exit_codes() {
    check(&[
        (0, Published, &["release", "v1.0.0", "--create-tag", "--promote", "--no-github-release"]),
        (1, BuildFails, &["release", "v1.0.0", "--create-tag", "--no-github-release"]),
        (1, Denied, &["release", "v1.0.0", "--create-tag", "--promote", "--no-github-release"]),
        (2, Published, &["release", "v1.0"]),
        (3, Published, &["release", "v1.0.0", "--promote"]),
        (4, Outage, &["release", "v1.0.0", "--create-tag"]),
    ]);
}

#[test]
fn prune_ends_with_its_exit_codes() {
    check(&[
        (0, Published, &["prune", "--backend=registry"]),
        (1, Published, &["prune", "--backend=registry", "--apply", "no-such-plan.json"]),
        (2, Published, &["prune", "--backend=registry", "wbe"]),
        (3, MissingManifest, &["prune", "--backend=registry"]),
        (4, Outage, &["prune", "--backend=registry"]),
    ]);
}

#[test]
fn verify_ends_with_its_exit_codes() {
    check(&[
        (0, NothingPublished, &["verify", "--local"]),
        (1, Incomplete, &["verify"]),
        (2, Published, &["verify", "wbe"]),
        (4, Outage, &["verify"]),
    ]);
}

#[test]
fn cache_ends_with_its_exit_codes() {
    check(&[
        (0, NothingPublished, &["cache", "status"]),
        (2, Published, &["cache", "status", "wbe"]),
        (4, Outage, &["cache", "status"]),
        (4, Silent, &["cache", "status"]),
        (0, Published, &["cache", "invalidate"]),
        (1, Denied, &["cache", "invalidate"]),
        (2, Published, &["cache", "invalidate", "wbe"]),
        (3, PullRequest, &["cache", "invalidate"]),
        (4, Outage, &["cache", "invalidate"]),
    ]);
}

#[test]
fn doctor_ends_with_its_exit_codes() {
    check(&[
        (0, NothingPublished, &["doctor"]),
        (1, Denied, &["doctor"]),
        (2, Published, &["doctor", "--format=bake"]),
        (4, Outage, &["doctor"]),
    ]);
}

#[test]
fn lab_ends_with_its_exit_codes() {
    check(&[
        (0, NothingPublished, &["lab", "status"]),
        (0, NothingPublished, &["lab", "down"]),
        (1, NothingPublished, &["lab", "up", "--engine=existing", "--dry-run"]),
        (2, NothingPublished, &["lab", "status", "--facts=f.json"]),
        (2, NothingPublished, &["lab", "bench"]),
    ]);
}

/// Runs a command, and interrupts it at its first request of this kind.
fn check_interrupted(state: State, line: &[&str], method: &'static str, end: &str) {
    let (project, pid) = (project(state), Arc::new(OnceLock::<u32>::new()));
    let interrupted = Arc::clone(&pid);
    project.registry.before(1, method, end, move |_| {
        signal("INT", &interrupted.wait().to_string());
        // Long enough to be noticed; whoever waits for the answer has gone by then.
        std::thread::sleep(std::time::Duration::from_millis(500));
        Some(Answer::broken())
    });
    let mut command = project.command(line);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    pid.set(child.id()).unwrap();
    Ran::from(child.wait_with_output().unwrap()).expect(4);
}

#[test]
fn an_interrupt_ends_every_command_with_4() {
    let promote = &["release", "v1.0.0", "--create-tag", "--promote", "--no-github-release"];
    let cases: [(State, &[&str], &'static str, &str); 8] = [
        (NothingPublished, &["build"], "POST", "/build"),
        (NothingPublished, &["push"], "POST", "/build"),
        (Published, &["push"], "HEAD", "/manifests/dev"),
        (Published, promote, "PUT", "/manifests/latest"),
        (Published, &["prune", "--backend=registry"], "GET", "/tags/list"),
        (Published, &["verify"], "GET", "/tags/list"),
        (Published, &["cache", "status"], "GET", "/manifests/dev"),
        (Published, &["doctor"], "GET", "/manifests/dev"),
    ];
    std::thread::scope(|scope| {
        for (state, line, method, end) in cases {
            scope.spawn(move || check_interrupted(state, line, method, end));
        }
    });
}

/// Runs a command that `xtask-tools` does, with a program that stands in for cargo and ends with `status`.
fn with_cargo(line: &[&str], status: &str) -> Option<i32> {
    use std::os::unix::fs::PermissionsExt;
    let project = project(NothingPublished);
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = run ] && exit {status}\necho '{{\"packages\":[{{\"name\":\"xtask-tools\"}}]}}'\n"
    );
    let cargo = folder.path().join("cargo");
    std::fs::write(&cargo, script).unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = project.command(line);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", folder.path().display()));
    command.output().unwrap().status.code()
}

#[test]
fn checks_and_benchmark_hand_on_their_code() {
    for line in [&["test"][..], &["lab", "bench"]] {
        let ended = ["0", "1", "2", "3", "4", "101"].map(|status| with_cargo(line, status));
        assert_eq!(ended, [0, 1, 2, 3, 4, 1].map(Some), "{line:?}");
    }
}

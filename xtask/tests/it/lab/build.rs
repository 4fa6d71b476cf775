//! `cargo xtask build --lab` against a real engine: builds, failures, tests of images, and that the
//! commands it prints are the commands it runs.

use std::process::{Command, Stdio};

use crate::support::processes::{running, signal, wait_until};
use crate::support::{Fixture, Ran, text};

/// A fixture with one service, committed.
fn with_service(name: &str, dockerfile: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.service(name, dockerfile);
    fixture.commit("feat: a service");
    fixture
}

/// A step that no other test or run has in its cache.
fn unique(instruction: &str) -> String {
    let nanoseconds = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("FROM debian:bookworm\nRUN echo {nanoseconds} > /unique\n{instruction}\n")
}

/// `docker` with the lab's engine.
fn docker(fixture: &Fixture, arguments: &[&str]) -> Ran {
    let status = fixture.xtask(&["lab", "status", "--format=json"]).expect(0).json();
    let mut command = Command::new("docker");
    if let Some(host) = status["engine"]["host"].as_str() {
        command.env("DOCKER_HOST", host);
    }
    Ran::from(command.args(arguments).current_dir(fixture.root()).output().unwrap())
}

fn record(ran: &Ran, position: usize) -> serde_json::Value {
    ran.json()["records"][position].clone()
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_second_build_is_cached_and_identical() {
    let fixture = with_service("web", &unique("RUN echo two > /two"));
    let build = ["build", "--lab", "--format=json"];
    let first = record(&fixture.xtask(&build).expect(0), 0);
    assert_eq!(first["totals"]["cached"], 0, "{first}");
    assert_eq!(first["totals"]["total"], 2);
    let second = record(&fixture.xtask(&build).expect(0), 0);
    assert_eq!(second["totals"]["cached"], 2);
    assert_eq!(first["image"]["digest"], second["image"]["digest"]);
    // buildx fetches it after the build for a file that xtask does not read.
    let log = crate::support::labs::target().join("xtask/logs/web.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("exporting to image") && !log.contains("resolving provenance"), "{log}");
    let inspected = docker(&fixture, &["image", "inspect", "repo-web:local"]).expect(0).json();
    let labels = &inspected[0]["Config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.title"], "web");
    assert_eq!(labels["org.opencontainers.image.created"], "2026-01-02T03:04:05Z");
    // The time of the commit, not of the build.
    assert_eq!(inspected[0]["Created"], "2026-01-02T03:04:05Z");
    assert_eq!(labels["io.autogit.lab.stand-in"], "debian:bookworm");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn one_failing_service_does_not_stop_the_others() {
    let fixture = with_service("bad", &unique("# a comment\nRUN echo last words && false"));
    fixture.service("good", &unique(""));
    let ran = fixture.xtask(&["build", "--lab"]).expect(1);
    let rows: Vec<&str> = ran.stdout.lines().collect();
    assert!(rows[1].starts_with("bad ") && rows[1].contains("failed"), "{}", ran.stdout);
    assert!(rows[2].starts_with("good ") && rows[2].contains("built"), "{}", ran.stdout);
    assert!(ran.stderr.contains("services/bad/Dockerfile:4"), "{}", ran.stderr);
    assert!(ran.stderr.contains(">   4 | RUN echo last words && false"), "{}", ran.stderr);
    assert!(ran.stderr.contains("    last words\n"), "{}", ran.stderr);
    let log = ran.stderr.lines().find_map(|line| line.trim().strip_prefix("full log: ")).unwrap();
    assert!(std::fs::read_to_string(fixture.root().join(log)).unwrap().contains("last words"));
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_github_failure_is_annotated_at_its_line() {
    let fixture = with_service("bad", &unique("RUN false"));
    let mut command = fixture.command(&["build", "--lab", "--channel=local"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "push");
    let ran = Ran::from(command.output().unwrap()).expect(1);
    assert!(ran.stderr.contains("::group::bad: failed\n"), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("::error file=services/bad/Dockerfile,line=3,title=bad failed to build::"),
        "{}",
        ran.stderr
    );
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn pasted_dry_run_commands_build_the_same_image() {
    let fixture = with_service("web", &unique("LABEL shown=\"it's $HOME\""));
    let built = record(&fixture.xtask(&["build", "--lab", "--format=json"]).expect(0), 0);
    let script = fixture.xtask(&["build", "--lab", "--dry-run"]).expect(0).stdout;
    docker(&fixture, &["image", "rm", "--force", "repo-web:local"]).expect(0);
    // From any folder, and without `DOCKER_HOST`.
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script]).current_dir(std::env::temp_dir()).env_remove("DOCKER_HOST");
    let pasted = shell.output().unwrap();
    assert!(pasted.status.success(), "{}", text(&pasted.stderr));
    let inspected = docker(&fixture, &["image", "inspect", "repo-web:local"]).expect(0).json();
    assert_eq!(inspected[0]["Id"], built["image"]["id"]);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn several_platforms_are_loaded_as_one_image() {
    let fixture = with_service("web", "FROM scratch\nCOPY Dockerfile /Dockerfile\n");
    let both = ["build", "--lab", "--platform=linux/amd64,linux/amd64/v2"];
    fixture.xtask(&both).expect(0);
    for platform in ["linux/amd64", "linux/amd64/v2"] {
        let of_platform = format!("--platform={platform}");
        docker(&fixture, &["image", "inspect", &of_platform, "repo-web:local"]).expect(0);
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_bake_file_builds_the_same_image() {
    let fixture = with_service("web", &unique("RUN echo ${NOT_BAKE} '%{if}'"));
    let built = record(&fixture.xtask(&["build", "--lab", "--format=json"]).expect(0), 0);
    let file = fixture.xtask(&["build", "--lab", "--format=bake"]).expect(0).stdout;
    fixture.write("bake.json", &file);
    docker(&fixture, &["buildx", "bake", "--print", "--file=bake.json"]).expect(0);
    docker(&fixture, &["image", "rm", "--force", "repo-web:local"]).expect(0);
    docker(&fixture, &["buildx", "bake", "--file=bake.json"]).expect(0);
    let inspected = docker(&fixture, &["image", "inspect", "repo-web:local"]).expect(0).json();
    assert_eq!(inspected[0]["Id"], built["image"]["id"]);
}

const SERVER: &str = r#"RUN printf '%s\n' '#!/usr/bin/perl' 'use IO::Socket::INET; $SIG{TERM} = sub { exit 0 };' 'my $s = IO::Socket::INET->new(LocalPort => 8000, Listen => 5);' 'while (my $c = $s->accept) { print $c "HTTP/1.0 200 OK\r\n\r\nwell\n"; close $c }' > /server && chmod +x /server
CMD ["/server"]"#;

const CONTRACT: &str = "[workspace.metadata.images.services.web.smoke-test]\nport = 8000\nbody = 'well'\ntimeout-seconds = 5\n";

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_smoke_test_always_removes_its_container() {
    let fixture = with_service("web", &unique(SERVER));
    fixture.configure(CONTRACT);
    let ran = fixture.xtask(&["build", "--lab", "--test"]).expect(0);
    assert!(ran.stderr.contains("web: healthy after"), "{}", ran.stderr);
    fixture.configure(&CONTRACT.replace("well", "something else"));
    let ran = fixture.xtask(&["build", "--lab", "--test"]).expect(1);
    assert!(ran.stderr.contains("expected a body with \"something else\""), "{}", ran.stderr);
    assert!(ran.stdout.contains("test failed"), "{}", ran.stdout);
    fixture.service("web", &unique("CMD [\"sh\", \"-c\", \"echo out of cheese; exit 3\"]"));
    let ran = fixture.xtask(&["build", "--lab", "--test"]).expect(1);
    assert!(ran.stderr.contains("out of cheese"), "{}", ran.stderr);
    let left = docker(&fixture, &["ps", "--all", "--quiet", "--filter=name=xtask-smoke"]).expect(0);
    assert_eq!(left.stdout, "");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn an_interrupt_ends_every_child_process() {
    // Another run of this test may be in progress.
    let nap = format!("sleep 6{}", std::process::id());
    let fixture = with_service("slow", &unique(&format!("RUN {nap}")));
    let child = fixture
        .command(&["build", "--lab", "--progress=plain"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let step = || running(|process| process.command.starts_with(&nap));
    wait_until("the step begins", 60, || !step().is_empty());
    let root = fixture.root().canonicalize().unwrap();
    let children = || running(|process| process.folder.starts_with(&root));
    assert!(children().iter().any(|child| child.command.contains("buildx")), "{:?}", children());
    signal("INT", &child.id().to_string());
    let ran = Ran::from(child.wait_with_output().unwrap()).expect(4);
    assert!(ran.stderr.contains("interrupted; no partly written file is left"), "{}", ran.stderr);
    assert_eq!(format!("{:?}", children()), "[]");
    wait_until("the step ends", 10, || step().is_empty());

    assert_eq!(fixture.git(&["status", "--porcelain"]), "");
    let records = crate::support::labs::target().join("xtask").join("records").join("slow");
    for entry in std::fs::read_dir(records).unwrap().flatten() {
        let path = entry.path();
        assert_eq!(path.extension().unwrap(), "json", "half-written: {}", path.display());
        let text = std::fs::read_to_string(&path).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_buildkit_check_is_reported_with_its_line() {
    let fixture = with_service("web", "FROM debian:bookworm as base\nENTRYPOINT echo hi\n");
    let ran = fixture.xtask(&["build", "--lab", "--check"]).expect(1);
    assert!(ran.stdout.contains("services/web/Dockerfile:1: FromAsCasing"), "{}", ran.stdout);
    fixture.service("web", "FROM debian:bookworm\nENTRYPOINT [\"true\"]\n");
    fixture.xtask(&["build", "--lab", "--check"]).expect(0);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_secret_reaches_only_its_step() {
    let step = "RUN --mount=type=secret,id=token sha256sum /run/secrets/token | cut -c1-8 > /seen";
    let fixture = with_service("web", &unique(step));
    let mut command = fixture.command(&["build", "--lab", "--secret=id=token,env=THE_TOKEN", "-v"]);
    let ran = Ran::from(command.env("THE_TOKEN", "hunter2-hunter2").output().unwrap()).expect(0);
    assert!(!format!("{ran:?}").contains("hunter2"), "the value must not be shown");
    let seen = docker(&fixture, &["run", "--rm", "repo-web:local", "cat", "/seen"]).expect(0);
    assert_eq!(seen.stdout.trim(), "84ca4458");
}

//! `cargo xtask build --dry-run` through the real binary, planned from facts, with no engine.

use crate::support::Fixture;

const DOCKERFILE: &str = "ARG BASE=debian:bookworm\nFROM ${BASE}\nRUN true\n";

fn two_services() -> Fixture {
    let fixture = Fixture::new();
    fixture.service("web", DOCKERFILE);
    fixture.service("worker", DOCKERFILE);
    fixture.commit("feat: two services");
    fixture
}

#[test]
fn a_dry_run_prints_a_script() {
    let fixture = two_services();
    let ran = fixture.xtask(&["build", "--dry-run"]).expect(0);
    let revision = fixture.git(&["rev-parse", "HEAD"]);
    assert!(ran.stdout.contains("\ndocker buildx build \\\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("--tag=repo-web:local"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("--label=org.opencontainers.image.revision={revision}")));
    assert!(ran.stdout.contains("--label=org.opencontainers.image.created=2026-01-02T03:04:05Z"));
    assert!(
        ran.stdout.contains("--output=type=docker,source-date-epoch=1767323045"),
        "{}",
        ran.stdout
    );
    assert_eq!(fixture.git(&["status", "--porcelain"]), "");
}

#[test]
fn recorded_facts_give_the_same_plan() {
    let fixture = two_services();
    let facts = fixture.root().join("facts.json");
    let path = facts.to_str().unwrap();
    let json = ["--dry-run", "--format=json"];
    let seen =
        fixture.xtask(&[&["build"], &json[..], &["--record-facts", path]].concat()).expect(0);
    std::fs::remove_dir_all(fixture.root().join("services")).unwrap();
    let planned = fixture.xtask(&[&["build"], &json[..], &["--facts", path]].concat()).expect(0);
    assert_eq!(seen.json(), planned.json());
    assert_eq!(planned.json()["services"].as_array().unwrap().len(), 2);
}

#[test]
fn a_mistyped_service_suggests_the_nearest_name() {
    let fixture = two_services();
    let ran = fixture.xtask(&["build", "wbe", "--dry-run"]).expect(2);
    assert_eq!(ran.stdout, "");
    assert_eq!(ran.stderr, "error: there is no service `wbe`\n\nhint: did you mean `web`?\n");
}

#[test]
fn changed_since_builds_only_changed_services() {
    let fixture = two_services();
    let matrix = |fixture: &Fixture| {
        let ran = fixture.xtask(&["build", "--changed-since=HEAD", "--format=matrix"]).expect(0);
        ran.json()["service"].clone()
    };
    assert_eq!(matrix(&fixture), serde_json::json!([]));
    fixture.write("services/worker/new.txt", "untracked");
    assert_eq!(matrix(&fixture), serde_json::json!(["worker"]));
    fixture.configure("[workspace.metadata.images.services.web.build-args]\nBASE = 'debian:12'\n");
    assert_eq!(matrix(&fixture), serde_json::json!(["web", "worker"]));
}

#[test]
fn a_nested_workspace_sees_its_own_changes() {
    let fixture = Fixture::new();
    let configuration = |more: &str| {
        format!("[workspace]\n[workspace.metadata.images]\nregistry = '127.0.0.1:9'\n{more}")
    };
    fixture.write("images/Cargo.toml", &configuration(""));
    for service in ["web", "worker"] {
        fixture.write(&format!("images/services/{service}/Dockerfile"), DOCKERFILE);
    }
    fixture.commit("feat: two services");
    let run = |arguments: &[&str]| {
        let mut command = fixture.command(arguments);
        let root = fixture.root().join("images");
        command.current_dir(&root).env("CARGO_MANIFEST_DIR", root.join("xtask"));
        crate::support::Ran::from(command.output().unwrap()).expect(0)
    };
    let changed = || {
        let ran = run(&["build", "--changed-since=HEAD", "--format=matrix"]);
        ran.json()["service"].clone()
    };
    let plan = || run(&["build", "--dry-run"]).stdout;
    fixture.write("services/web/outside.txt", "of another workspace");
    assert_eq!(changed(), serde_json::json!([]));
    assert!(!plan().contains("-dirty"), "{}", plan());
    fixture.write("images/services/worker/untracked.txt", "new");
    assert_eq!(changed(), serde_json::json!(["worker"]));
    assert!(plan().contains("-dirty"), "{}", plan());
    fixture.write("images/services/web/Dockerfile", "FROM debian:12\n");
    assert_eq!(changed(), serde_json::json!(["web", "worker"]));
    fixture.commit("feat: another base");
    let build_args =
        "[workspace.metadata.images.services.web]\nbuild-args = { BASE = 'debian:12' }\n";
    fixture.write("images/Cargo.toml", &configuration(build_args));
    assert_eq!(changed(), serde_json::json!(["web"]));
}

#[test]
fn a_missing_secret_fails_before_the_build() {
    let fixture = two_services();
    let missing = ["build", "--dry-run", "--secret=id=npm,env=THE_NPM_TOKEN"];
    let ran = fixture.xtask(&missing).expect(2);
    assert!(ran.stderr.contains("`THE_NPM_TOKEN` is not set"), "{}", ran.stderr);
    let mut command = fixture.command(&missing);
    let ran = crate::support::Ran::from(
        command.env("THE_NPM_TOKEN", "hunter2-hunter2").output().unwrap(),
    );
    let ran = ran.expect(0);
    assert!(ran.stdout.contains("--secret=id=npm,env=THE_NPM_TOKEN"));
    assert!(!format!("{ran:?}").contains("hunter2"), "the value must not be shown");
}

#[test]
fn a_missing_secret_fails_at_its_line() {
    let fixture = Fixture::new();
    fixture.service("web", "FROM debian\nRUN --mount=type=secret,id=npm true\n");
    let ran = fixture.xtask(&["build", "--dry-run"]).expect(2);
    let expected = "services/web/Dockerfile:2: the build secret `npm` is mounted";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    fixture.xtask(&["build", "--format=matrix"]).expect(0);
    fixture.xtask(&["build", "--check", "--dry-run"]).expect(0);
    fixture.service("web", "FROM debian\nRUN --mount=type=secret,id=npm,required=false true\n");
    fixture.xtask(&["build", "--dry-run"]).expect(0);
}

#[test]
fn a_check_dry_run_shows_the_command() {
    let fixture = two_services();
    let ran = fixture.xtask(&["build", "web", "--check", "--dry-run"]).expect(0);
    assert!(ran.stdout.contains("--call=check,format=json"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("--output"), "{}", ran.stdout);
    let plan = fixture.xtask(&["build", "web", "--check", "--dry-run", "--format=json"]).expect(0);
    let command = plan.json()["services"][0]["command"]["arguments"].clone();
    assert!(command.as_array().unwrap().contains(&"--call=check,format=json".into()));
}

#[test]
fn facts_from_a_file_build_nothing() {
    let fixture = two_services();
    let facts = fixture.root().join("facts.json");
    let path = facts.to_str().unwrap();
    fixture.xtask(&["build", "--dry-run", "--record-facts", path]).expect(0);
    for more in [&["build", "--facts", path][..], &["build", "--check", "--facts", path]] {
        let ran = fixture.xtask(more).expect(2);
        assert!(ran.stderr.contains("hint: add --dry-run"), "{}", ran.stderr);
    }
}

#[test]
fn the_repository_comes_from_configuration_environment_or_remote() {
    let fixture = Fixture::new();
    fixture.service("web", DOCKERFILE);
    fixture.commit("feat: a service");
    fixture.git(&["remote", "add", "origin", "https://github.com/Of/Remote.git"]);
    let repository = |variable: &str| {
        let mut command = fixture.command(&["build", "--dry-run"]);
        let ran =
            crate::support::Ran::from(command.env("GITHUB_REPOSITORY", variable).output().unwrap());
        let stdout = ran.expect(0).stdout;
        stdout.lines().find_map(|line| line.strip_prefix("# repository: ")).unwrap().to_owned()
    };
    assert_eq!(repository("Of/Job"), "fixture/repo (set in the configuration)");
    fixture.write(
        "Cargo.toml",
        "[workspace]\n[workspace.metadata.images]\nregistry = '127.0.0.1:9'\n",
    );
    assert_eq!(repository("Of/Job"), "of/job (from `GITHUB_REPOSITORY`)");
    assert_eq!(repository(""), "of/remote (from the git remote `origin`)");
}

#[test]
fn a_pull_request_never_publishes() {
    let fixture = two_services();
    let mut command = fixture.command(&["build", "--dry-run", "--channel=dev"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "pull_request");
    let ran = crate::support::Ran::from(command.output().unwrap()).expect(3);
    assert!(ran.stderr.contains("a pull request never publishes"), "{}", ran.stderr);
}

#[test]
fn a_folder_without_git_still_has_a_plan() {
    let fixture = Fixture::new();
    fixture.service("web", DOCKERFILE);
    let ran = fixture.xtask(&["build", "--dry-run"]).expect(0);
    assert!(!ran.stdout.contains("image.revision"), "{}", ran.stdout);
}

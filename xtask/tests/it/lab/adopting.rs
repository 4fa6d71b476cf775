//! The steps of docs/adopting.md with an engine and a registry: the services of a different repository are
//! built, and a service that is added to it is published, released, verified and pruned.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::Fixture;
use crate::support::adopting::{adopted, cargo, copy_workflows, copy_xtask};
use crate::support::events::Event;
use crate::support::lab::Lab;
use crate::support::lab_jobs::run;

/// One field of each service in the output of a command, by the service's name.
fn by_service(list: &Value, field: &str) -> BTreeMap<String, Value> {
    let services = list.as_array().unwrap().iter();
    let name = |service: &Value| service["service"].as_str().unwrap().to_owned();
    services.map(|service| (name(service), service[field].clone())).collect()
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_copied_xtask_compiles_and_runs() {
    let fixture = adopted("ghcr.io");
    copy_xtask(&fixture);
    fixture.commit("feat: take xtask");
    let matrix = cargo(&fixture, &["xtask", "build", "--format=matrix"]).expect(0);
    assert_eq!(matrix.json(), json!({"service": ["api", "motd", "worker"]}));
    cargo(&fixture, &["xtask", "verify", "--local", "--strict"]).expect(0);

    std::fs::remove_dir_all(fixture.root().join("xtask/lab")).unwrap();
    let manifest = std::fs::read_to_string(fixture.root().join("Cargo.toml")).unwrap();
    fixture.write("Cargo.toml", &manifest.replace(", \"xtask/lab\"", ""));
    let ran = cargo(&fixture, &["xtask", "build", "--lab"]).expect(2);
    assert!(ran.stderr.contains("the crate of the lab is missing"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: copy `xtask/lab`"), "{}", ran.stderr);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn another_repositorys_services_are_built() {
    let fixture = adopted("ghcr.io");
    fixture.commit("feat: take xtask");
    let lab = Lab::up(&fixture);
    let built = fixture.xtask(&["build", "--lab", "--format=json"]).expect(0).json();
    let names: Vec<String> = by_service(&built["records"], "result").into_keys().collect();
    assert_eq!(names, ["api", "motd", "worker"], "{built:#}");
    let image = |name: &str| {
        let (_, repository) = fixture.repository.split_once('/').unwrap();
        format!("{repository}-{name}:local")
    };
    let ran = lab.docker(&["run", "--rm", &image("worker")]).expect(0);
    assert_eq!(ran.stdout, "work\n");
    // The build used the build argument and the target of the configuration.
    let container = lab.docker(&["create", &image("api"), "none"]).expect(0).stdout;
    let copied = lab.docker(&["cp", &format!("{}:/greeting", container.trim()), "-"]).expect(0);
    assert!(copied.stdout.contains("good morning\n"), "{}", copied.stdout);
    lab.docker(&["rm", container.trim()]).expect(0);
}

/// Commits the new service, a different one for each `minute`, with that minute as its time.
fn write_service(fixture: &Fixture, minute: u32) -> String {
    let dockerfile = format!(
        "FROM debian:bookworm\nRUN echo {} {minute} > /x\nUSER 65532:65532\nCMD [\"sleep\", \"60\"]\n",
        fixture.repository
    );
    fixture.service("web", &dockerfile);
    fixture.git(&["add", "--all"]);
    let date = format!("2026-01-03T03:0{minute}:00Z");
    let mut command = Command::new("git");
    command.args(["commit", "--quiet", "--message=feat: a web service"]);
    command.env("GIT_COMMITTER_DATE", date).current_dir(fixture.root());
    assert!(command.status().unwrap().success());
    fixture.git(&["rev-parse", "HEAD"])
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_new_service_is_a_new_folder() {
    let fixture = adopted("ghcr.io");
    let old = fixture.commit("feat: take xtask");
    let lab = Lab::up(&fixture);
    fixture.xtask(&["push", "--lab"]).expect(0);
    let first = write_service(&fixture, 0);
    assert_eq!(fixture.git(&["diff", "--name-only", &old]), "services/web/Dockerfile");

    let changed = ["--changed-since", &old];
    let command = [&["build", "--lab", "--format=json"], &changed[..]].concat();
    let built = fixture.xtask(&command).expect(0).json();
    assert_eq!(built["records"].as_array().unwrap().len(), 1, "{built:#}");
    let pushed = fixture.xtask(&["push", "--lab", "--format=json"]).expect(0).json();
    let expected = ["api", "motd", "worker"].map(|name| (name.to_owned(), json!("unchanged")));
    let mut expected = BTreeMap::from(expected);
    expected.insert("web".to_owned(), json!("built"));
    assert_eq!(by_service(&pushed["services"], "result"), expected, "{pushed:#}");

    let image = format!("{}/web", fixture.repository);
    let digest = |tag: &str| lab.manifest(&image, tag).map(|(_, digest)| digest);
    let release =
        ["release", "v1.0.0", "--lab", "--create-tag", "--promote", "--no-github-release"];
    fixture.xtask(&release).expect(0);
    for tag in ["dev", "v1.0.0", &first, "1.0", "1", "latest"] {
        assert_eq!(digest(tag), digest(&format!("dev-{first}")), "{tag}");
    }
    let found = fixture.xtask(&["verify", "web", "--lab", "--format=json"]).expect(0).json();
    let failed = found.as_array().unwrap().iter().filter(|finding| finding["level"] == "fail");
    assert_eq!(failed.count(), 0, "{found:#}");
    pruned(&fixture, &lab, &first);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn copied_workflows_run_in_another_repository() {
    let fixture = adopted("ghcr.io");
    copy_workflows(&fixture);
    fixture.commit("feat: take xtask and its workflows");
    let there = fixture.git(&["ls-files", ".github/workflows"]);
    assert!(there.contains("docker-build.yml") && !there.contains("/ci.yml"), "{there}");
    let lab = Lab::up(&fixture);
    let published = ["affected: 0", "push (api): 0", "push (motd): 0", "push (worker): 0"];
    run(&fixture, &lab, "docker-dev-build.yml", &Event::push_to_dev()).expect(&published);
    for service in ["api", "motd", "worker"] {
        let tags = lab.tags(&format!("{}/{service}", fixture.repository));
        assert!(tags.contains("dev") && tags.contains("cache"), "{service}: {tags:?}");
    }
    fixture.git(&["checkout", "--quiet", "-b", "feature/web"]);
    fixture.service(
        "web",
        "FROM debian:bookworm\nUSER 65532:65532\n\
         CMD [\"perl\", \"-e\", \"$SIG{TERM} = sub { exit 0 }; sleep 1 while 1\"]\n",
    );
    fixture.commit("feat: a web service");
    let ran = run(&fixture, &lab, "docker-build.yml", &Event::pull_request(&fixture));
    ran.expect(&["affected: 0", "build (web): 0"]);
}

/// Only expired images of the new service are deleted.
fn pruned(fixture: &Fixture, lab: &Lab, first: &str) {
    let image = format!("{}/web", fixture.repository);
    let mut commits = vec![first.to_owned()];
    // More images than are kept for a rollback; the commits are old.
    for minute in 1..=6 {
        commits.push(write_service(fixture, minute));
        fixture.xtask(&["push", "web", "--lab"]).expect(0);
    }
    fixture.xtask(&["prune", "--lab", "--apply"]).expect(0);
    let there = |tag: &str| lab.manifest(&image, tag).is_some();
    let kept: Vec<bool> = commits.iter().map(|commit| there(&format!("dev-{commit}"))).collect();
    // The first image belongs to the release, too.
    assert_eq!(kept, [true, false, true, true, true, true, true]);
    assert!(there("v1.0.0") && there("dev") && there("cache"));
    let others = ["api", "motd", "worker"].map(|name| format!("{}/{name}", fixture.repository));
    assert!(others.iter().all(|other| lab.manifest(other, "dev").is_some()));
}

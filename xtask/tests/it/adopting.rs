//! The steps of docs/adopting.md in a different repository with its own services and the real binary. The
//! registry is empty; `lab/adopting.rs` does the same with an engine.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::support::adopting::{adopted, blocks, cargo, copy_xtask};
use crate::support::{Fixture, Ran};
use expect_test::expect;
use serde_json::{Value, json};

/// An empty registry: `HOST:PORT`.
fn empty_registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let head = BufReader::new(&stream).lines().map_while(Result::ok);
            let _ = head.take_while(|line| !line.is_empty()).count();
            let body = "{\"errors\":[{\"code\":\"NAME_UNKNOWN\"}]}";
            let length = body.len();
            let _ = write!(
                &stream,
                "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    address
}

#[test]
fn a_copy_is_a_workspace_that_cargo_accepts() {
    let fixture = adopted("ghcr.io");
    copy_xtask(&fixture);
    let members = |fixture: &Fixture| {
        let metadata =
            cargo(fixture, &["metadata", "--no-deps", "--format-version=1"]).expect(0).json();
        let names = metadata["packages"].as_array().unwrap().iter();
        names.map(|package| package["name"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let layers = ["xtask", "xtask-model", "xtask-outside", "xtask-plan", "xtask-report"];
    assert_eq!(members(&fixture), named(&[&["lab"], &layers[..]].concat()));
    let aliases = std::fs::read_to_string(fixture.root().join(".cargo/config.toml")).unwrap();
    assert!(aliases.contains("xtask = \"run --package xtask"), "{aliases}");

    assert_eq!(blocks("sh")[1], "rm -r xtask/lab\n");
    std::fs::remove_dir_all(fixture.root().join("xtask/lab")).unwrap();
    let manifest = std::fs::read_to_string(fixture.root().join("Cargo.toml")).unwrap();
    fixture.write("Cargo.toml", &manifest.replace(", \"xtask/lab\"", ""));
    assert_eq!(members(&fixture), named(&layers));
}

#[test]
fn another_repositorys_services_are_planned() {
    let registry = empty_registry();
    let fixture = adopted(&registry);
    let revision = fixture.commit("feat: take xtask");
    let plan = fixture.xtask(&["build", "--dry-run", "--format=json"]).expect(0).json();
    let services = plan["services"].as_array().unwrap();
    let shown: Vec<Value> = services
        .iter()
        .map(|service| {
            let repository = service["repository"].as_str().unwrap().replace(&registry, "ghcr.io");
            json!([service["service"], repository, service["bases"]])
        })
        .collect();
    let expected = json!([
        ["api", "ghcr.io/acme/shop/api", ["debian:bookworm"]],
        ["motd", "ghcr.io/acme/shop/motd", []],
        ["worker", "ghcr.io/acme/shop/worker", ["debian:bookworm-slim"]],
    ]);
    assert_eq!(json!(shown), expected);
    let matrix = fixture.xtask(&["build", "--format=matrix"]).expect(0);
    assert_eq!(matrix.stdout, "{\"service\":[\"api\",\"motd\",\"worker\"]}\n");
    let bake = fixture.xtask(&["build", "--format=bake"]).expect(0).json();
    assert_eq!(bake["group"]["default"]["targets"], json!(["api", "motd", "worker"]));
    let api = serde_json::to_string_pretty(&bake["target"]["api"]).unwrap();
    let expected = expect![[r#"
        {
          "args": {
            "GREETING": "good morning"
          },
          "attest": [
            "type=provenance,disabled=true"
          ],
          "context": "services/api",
          "dockerfile": "Dockerfile",
          "labels": {
            "org.opencontainers.image.created": "2026-01-02T03:04:05Z",
            "org.opencontainers.image.description": "Says good morning",
            "org.opencontainers.image.licenses": "MIT",
            "org.opencontainers.image.revision": "REVISION",
            "org.opencontainers.image.source": "https://github.com/acme/shop",
            "org.opencontainers.image.title": "api",
            "org.opencontainers.image.version": "REVISION"
          },
          "output": [
            "type=docker,source-date-epoch=1767323045"
          ],
          "tags": [
            "shop-api:local"
          ],
          "target": "final"
        }"#]];
    expected.assert_eq(&api.replace(&revision, "REVISION"));
    let found = fixture.xtask(&["verify", "--local", "--strict", "--format=json"]).expect(0).json();
    let found = found.as_array().unwrap().iter().filter(|finding| finding["check"] == "dockerfile");
    let shown: Vec<Value> =
        found.map(|finding| json!([finding["subject"], finding["level"]])).collect();
    let expected = ["api", "motd", "worker"]
        .map(|name| json!([format!("services/{name}/Dockerfile"), "pass"]));
    assert_eq!(shown, expected);
}

/// A service whose Dockerfile breaks one of our rules, and the programs that `verify` may find on the PATH.
fn linted(programs: &[(&str, &str)]) -> (Fixture, tempfile::TempDir) {
    let fixture = adopted(&empty_registry());
    fixture.service("motd", "FROM debian:bookworm\nARG GIT_SHA\nRUN make\nCOPY . /\n");
    fixture.commit("feat: take xtask");
    let folder = tempfile::tempdir().unwrap();
    let git = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join("git"))
        .find(|path| path.is_file());
    std::os::unix::fs::symlink(git.unwrap(), folder.path().join("git")).unwrap();
    for (name, script) in programs {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    (fixture, folder)
}

/// The findings of `verify --local` above `pass` about the Dockerfile, with their advice.
fn dockerfile_findings(programs: &[(&str, &str)], code: i32) -> String {
    let (fixture, folder) = linted(programs);
    let mut command = fixture.command(&["verify", "motd", "--local", "--strict", "--format=json"]);
    command.env("PATH", folder.path());
    let found = Ran::from(command.output().unwrap()).expect(code).json();
    let checks = ["dockerfile", "hadolint", "buildkit"];
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let shown = found
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| checks.contains(&one["check"].as_str().unwrap()) && one["level"] != "pass")
        .map(|one| {
            let [level, subject, detail] = ["level", "subject", "detail"].map(|key| text(one, key));
            format!("{level} {subject}: {detail}\n  {}{}\n", text(one, "remedy"), text(one, "hint"))
        });
    shown.collect()
}

#[test]
fn missing_linters_are_skipped_with_their_remedy() {
    expect![[r"
        warn services/motd/Dockerfile:2: volatile-above-run: `GIT_SHA` changes with every commit and re-runs line 3
          services/motd/Dockerfile:2: move `GIT_SHA` below line 3, or set it with --label
        warn services/motd/Dockerfile:4: copy-without-link: a change here or below rebuilds the copy and pulls the layers below
          services/motd/Dockerfile:4: write `COPY --link …`
        skip Dockerfiles: hadolint is not installed
          cargo xtask test dockerfiles
        skip Dockerfiles: BuildKit's checks cannot run: there is no `docker` on the PATH
          install Docker Engine 26 or later with buildx, or let the lab bring its own: cargo xtask build --lab
    "]]
    .assert_eq(&dockerfile_findings(&[], 1));
}

#[test]
fn linter_findings_name_their_file_and_line() {
    let hadolint = r#"echo '[{"code":"DL3015","column":1,"file":"'$3'","level":"info","line":3,"message":"Avoid"}]'"#;
    let docker = r#"echo '{"warnings":[{"ruleName":"CopyIgnoredFile","url":"https://x/","detail":"a","location":{"ranges":[{"start":{"line":4}}]}}]}'"#;
    expect![[r"
        warn services/motd/Dockerfile:2: volatile-above-run: `GIT_SHA` changes with every commit and re-runs line 3
          services/motd/Dockerfile:2: move `GIT_SHA` below line 3, or set it with --label
        warn services/motd/Dockerfile:4: copy-without-link: a change here or below rebuilds the copy and pulls the layers below
          services/motd/Dockerfile:4: write `COPY --link …`
        warn services/motd/Dockerfile:3: DL3015: Avoid
          fix it, or allow it above the line: # hadolint ignore=DL3015
        warn services/motd/Dockerfile:4: CopyIgnoredFile: a
          see https://x/
    "]]
    .assert_eq(&dockerfile_findings(&[("hadolint", hadolint), ("docker", docker)], 1));
}

/// Everything that commands say about the services.
fn everywhere(fixture: &Fixture) -> Vec<(&'static str, BTreeSet<String>)> {
    let names = |values: &Value, key: &str| -> BTreeSet<String> {
        let values = values.as_array().unwrap().iter();
        values.map(|value| value[key].as_str().unwrap().to_owned()).collect()
    };
    let json = |command: &[&str], code| {
        fixture.xtask(&[command, &["--format=json"]].concat()).expect(code).json()
    };
    let published = |command: &[&str]| {
        let plan = json(command, 0);
        for service in plan["services"].as_array().unwrap() {
            assert_eq!(service["action"]["do"], "build", "{plan:#}");
        }
        names(&plan["services"], "service")
    };
    let matrix = fixture.xtask(&["build", "--format=matrix"]).expect(0).json();
    let matrix = matrix["service"].as_array().unwrap().iter();
    let found = json(&["verify"], 1);
    let unpublished = found
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check"] == "published" && finding["level"] == "fail");
    let plans = json(&["prune"], 0);
    vec![
        ("build", names(&json(&["build", "--dry-run"], 0)["services"], "service")),
        ("matrix", matrix.map(|name| name.as_str().unwrap().to_owned()).collect()),
        ("push", published(&["push", "--dry-run"])),
        ("release", published(&["release", "v1.0.0", "--create-tag", "--dry-run"])),
        ("verify", names(&unpublished.cloned().collect(), "subject")),
        ("prune", plans.as_object().unwrap().keys().cloned().collect()),
    ]
}

#[test]
fn a_new_service_is_a_new_folder() {
    let registry = empty_registry();
    let fixture = adopted(&registry);
    fixture.commit("feat: take xtask");
    let three = ["api", "motd", "worker"].map(str::to_owned);
    for (command, services) in everywhere(&fixture) {
        assert_eq!(services, BTreeSet::from(three.clone()), "{command}");
    }
    fixture.service("web", "FROM debian:bookworm\nUSER 65532\nCMD [\"true\"]\n");
    let revision = fixture.commit("feat: a web service");
    assert_eq!(
        fixture.git(&["show", "--name-only", "--format="]),
        "services/web/Dockerfile",
        "nothing else was touched"
    );
    let four: BTreeSet<String> = three.into_iter().chain(["web".to_owned()]).collect();
    for (command, services) in everywhere(&fixture) {
        assert_eq!(services, four, "{command}");
    }
    let changed = ["build", "--changed-since=HEAD~1", "--format=matrix"];
    assert_eq!(fixture.xtask(&changed).expect(0).json(), json!({"service": ["web"]}));
    let release = ["release", "v1.0.0", "--create-tag", "--dry-run", "--format=json"];
    let plan = fixture.xtask(&release).expect(0).json();
    let web = plan["services"].as_array().unwrap().iter().find(|s| s["service"] == "web").unwrap();
    assert_eq!(
        web["tags"],
        json!({"exact": ["v1.0.0", revision], "floating": ["1.0", "1", "latest"]})
    );
}

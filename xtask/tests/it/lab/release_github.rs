//! `cargo xtask release` as a job or a person runs it, against a registry, an `origin` and a GitHub: the
//! git tag, the GitHub release, and each answer that GitHub may give.

use std::process::Command;

use crate::support::lab::Lab;
use crate::support::{Fixture, Ran};
use serde_json::{Value, json};

/// A repository with one service, whose `origin` is at GitHub.
struct Hosted {
    fixture: Fixture,
    lab: Lab,
    api: String,
    /// A token with write permission and its own limits.
    token: String,
}

impl Hosted {
    fn new() -> Self {
        let fixture = Fixture::unpublished();
        let lab = Lab::up(&fixture);
        let status = fixture.xtask(&["lab", "status", "--format=json"]).expect(0).json();
        let api = status["servers"]["github_api"].as_str().unwrap().to_owned();
        let (owner, name) = fixture.repository.split_once('/').unwrap();
        let known =
            lab.github("POST", "/repositories", Some(&json!({"owner": owner, "name": name})));
        fixture.git(&["remote", "add", "origin", known["git_dir"].as_str().unwrap()]);
        let token = format!("writer-of-{name}");
        // Stand-ins must not leave the lab, and this service needs none.
        fixture.service("web", "FROM scratch\nCOPY --link data /data\n");
        let text = format!(
            "[workspace]\nmembers = []\n\n[workspace.metadata.images]\nrepository = \"{}\"\n\
             registry = \"{}\"\n",
            fixture.repository,
            lab.registry()
        );
        fixture.write("Cargo.toml", &text);
        let hosted = Self { fixture, lab, api, token };
        hosted.allow(&hosted.token, "write");
        hosted.push();
        hosted
    }

    fn allow(&self, token: &str, contents: &str) {
        let permissions = json!({"contents": contents, "packages": "write"});
        let token = json!({"token": token, "login": "somebody", "permissions": permissions});
        self.lab.github("POST", "/tokens", Some(&token));
    }

    /// A new commit, at `origin` and on the dev channel.
    fn push(&self) -> String {
        self.fixture.write("services/web/data", &format!("{:?}", std::time::Instant::now()));
        let commit = self.fixture.commit("feat: other data");
        self.fixture.git(&["push", "--quiet", "origin", "HEAD"]);
        self.fixture.xtask(&["push", "--lab"]).expect(0);
        commit
    }

    fn command(&self, version: &str) -> Command {
        let mut command = self.fixture.command(&["release", version, "--promote", "--create-tag"]);
        command.env("GITHUB_API_URL", &self.api).env("GITHUB_TOKEN", &self.token);
        command
    }

    fn release(&self, version: &str) -> Ran {
        Ran::from(self.command(version).output().unwrap())
    }

    fn github(&self, tag: &str) -> Option<Value> {
        self.lab.github_release(&self.fixture.repository, tag)
    }

    /// A request to the API without xtask.
    fn api(&self, method: &str, rest: &str, body: &Value) -> Value {
        let url = format!("{}/repos/{}/releases{rest}", self.api, self.fixture.repository);
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", format!("Bearer {}", self.token));
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let mut answer = self.lab.agent.run(request.body(body).unwrap()).unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    fn tags(&self) -> Vec<String> {
        let tags = self.lab.tags(&format!("{}/web", self.fixture.repository)).into_iter();
        tags.filter(|tag| tag.starts_with('v') || tag == "latest").collect()
    }

    /// The tags that `origin` has.
    fn origin(&self) -> String {
        self.fixture.git(&["ls-remote", "--tags", "origin"])
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_job_without_git_identity_can_tag() {
    let hosted = Hosted::new();
    let fixture = &hosted.fixture;
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    for line in ["--unset user.name", "--unset user.email", "user.useConfigOnly true"] {
        fixture.git(&[&["config"], &line.split(' ').collect::<Vec<_>>()[..]].concat());
    }
    let home = tempfile::tempdir().unwrap();
    let run = |in_job: bool| {
        let mut command = hosted.command("v0.1.0");
        command.env("HOME", home.path()).env("GIT_CONFIG_GLOBAL", "/dev/null");
        if in_job {
            command.env("GITHUB_ACTIONS", "true").env("GITHUB_REF", "refs/heads/dev");
            command.env("GITHUB_EVENT_NAME", "workflow_dispatch");
        }
        Ran::from(command.output().unwrap())
    };
    let ran = run(false).expect(2);
    assert!(ran.stderr.contains("git config user.name"), "{}", ran.stderr);
    assert_eq!((hosted.tags(), hosted.origin()), (Vec::new(), String::new()));

    run(true).expect(0);
    let peeled = format!("{commit}\trefs/tags/v0.1.0^{{}}");
    assert!(hosted.origin().contains(&peeled), "{}", hosted.origin());
    assert_eq!(hosted.github("v0.1.0").unwrap()["target_commitish"], commit.as_str());
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_git_tag_reaches_origin_or_nothing() {
    let hosted = Hosted::new();
    let fixture = &hosted.fixture;
    let hook = fixture.git(&["remote", "get-url", "origin"]) + "/hooks/pre-receive";
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    Ran::from(Command::new("chmod").args(["+x", &hook]).output().unwrap()).expect(0);
    hosted.release("v0.1.0").expect(1);
    assert_eq!((hosted.tags(), fixture.git(&["tag", "--list"])), (Vec::new(), String::new()));
    std::fs::remove_file(&hook).unwrap();
    hosted.release("v0.1.0").expect(0);

    // A tag that somebody else pushed and this clone has not fetched.
    hosted.push();
    fixture.git(&["push", "--quiet", "origin", "HEAD^:refs/tags/v0.2.0"]);
    let ran = hosted.release("v0.2.0").expect(3);
    assert!(ran.stderr.contains("the git tag `v0.2.0` of `origin` names"), "{}", ran.stderr);
    assert_eq!(hosted.tags(), ["latest", "v0.1.0"]);

    // A tag that was not pushed before is pushed now, and only now.
    fixture.git(&["tag", "v0.3.0"]);
    let mut command = fixture.command(&["release", "v0.3.0", "--promote", "--no-github-release"]);
    let ran = Ran::from(command.output().unwrap()).expect(3);
    assert!(ran.stderr.contains("git push origin v0.3.0"), "{}", ran.stderr);
    hosted.release("v0.3.0").expect(0);
    assert!(hosted.origin().contains("refs/tags/v0.3.0"), "{}", hosted.origin());
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_draft_keeps_what_people_wrote() {
    let hosted = Hosted::new();
    let draft = |tag: &str| json!({"tag_name": tag, "draft": true, "body": "By hand."});
    hosted.api("POST", "", &draft("v0.1.0"));
    // The release is not on the first page.
    for number in 0..100 {
        hosted.api("POST", "", &draft(&format!("other-{number}")));
    }
    hosted.release("v0.1.0").expect(0);
    let release = hosted.github("v0.1.0").unwrap();
    let body = release["body"].as_str().unwrap();
    assert!(body.starts_with("By hand.\n\n## Images\n"), "{body}");
    let digest = hosted.lab.manifest(&format!("{}/web", hosted.fixture.repository), "v0.1.0");
    let name = format!("{}/{}/web", hosted.lab.registry(), hosted.fixture.repository);
    assert!(body.contains(&format!("`docker pull {name}:v0.1.0`")), "{body}");
    assert!(body.contains(&format!("`docker pull {name}@{}`", digest.unwrap().1)), "{body}");
    let all = hosted.api("GET", "?per_page=100&page=2", &Value::Null);
    assert_eq!(all.as_array().unwrap().len(), 1, "the draft became the release");

    // The same command again changes nothing.
    hosted.api("PATCH", &format!("/{}", release["id"]), &json!({"body": "Edited."}));
    let ran = hosted.release("v0.1.0").expect(0);
    assert!(ran.stderr.contains("the GitHub release exists already"), "{}", ran.stderr);
    assert_eq!(hosted.github("v0.1.0").unwrap()["body"], "Edited.");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_release_names_the_missing_permission() {
    let mut hosted = Hosted::new();
    let writer = hosted.token.clone();
    hosted.token = format!("reader-{writer}");
    hosted.allow(&hosted.token, "read");
    let ran = hosted.release("v0.1.0").expect(1);
    assert!(ran.stderr.contains("permissions: contents: write"), "{}", ran.stderr);
    assert_eq!((hosted.tags().len(), hosted.github("v0.1.0")), (2, None));
    hosted.token = "unknown".to_owned();
    let ran = hosted.release("v0.1.0").expect(1);
    assert!(ran.stderr.contains("gh auth login"), "{}", ran.stderr);
    hosted.token = writer;
    hosted.release("v0.1.0").expect(0);
    assert!(hosted.github("v0.1.0").is_some());
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_release_waits_for_short_limits_only() {
    let hosted = Hosted::new();
    let limit = |change: Value| hosted.lab.github("POST", "/limits", Some(&change));
    limit(json!({"token": hosted.token, "remaining": 0, "reset_in": 3000}));
    let ran = hosted.release("v0.1.0").expect(4);
    assert!(ran.stderr.contains("too many requests; try again in"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("permissions:"), "{}", ran.stderr);
    limit(json!({"token": hosted.token, "remaining": 100}));
    limit(json!({"secondary": {"requests": 1, "status": 429, "retry_after": 1}}));
    hosted.release("v0.1.0").expect(0);
    assert!(hosted.github("v0.1.0").is_some());
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_latest_release_is_the_highest_stable_one() {
    let hosted = Hosted::new();
    let latest = || hosted.api("GET", "/latest", &Value::Null)["tag_name"].clone();
    hosted.release("v1.0.0").expect(0);
    assert_eq!(latest(), "v1.0.0");
    let commit = hosted.push();
    hosted.release("v1.1.0-rc.1").expect(0);
    let candidate = hosted.github("v1.1.0-rc.1").unwrap();
    assert_eq!(candidate["prerelease"], true, "{candidate:#}");
    assert_eq!(candidate["target_commitish"], commit.as_str(), "{candidate:#}");
    assert_eq!(latest(), "v1.0.0");
    hosted.push();
    hosted.release("v0.9.1").expect(0);
    assert_eq!(latest(), "v1.0.0");

    // Notes begin after the last stable version, and are cut to GitHub's limit.
    hosted.push();
    hosted.release("v1.1.0").expect(0);
    assert_eq!(latest(), "v1.1.0");
    let body = hosted.github("v1.1.0").unwrap()["body"].as_str().unwrap().to_owned();
    assert_eq!(body.matches("- feat: other data\n").count(), 3, "{body}");
    let line = "A line of the changelog that is as long as others are.\n";
    let changelog = format!("# Changelog\n\n## v1.2.0\n\n{}", line.repeat(3000));
    hosted.fixture.write("CHANGELOG.md", &changelog);
    hosted.push();
    hosted.release("v1.2.0").expect(0);
    let body = hosted.github("v1.2.0").unwrap()["body"].as_str().unwrap().to_owned();
    assert!(body.contains(&format!("{line}\n… and more: `CHANGELOG.md`\n\n## Images\n")), "{body}");
}

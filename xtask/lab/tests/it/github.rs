//! The REST API: authentication, releases, limits.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::client::{Reply, ask};
use crate::program::Lab;
use crate::upstream::Upstream;

/// A lab with the repository `tzervas/autogit`, one commit in it, and the tokens `writer` and `reader`.
pub struct World {
    pub lab: Lab,
    git_dir: PathBuf,
    commit: String,
}

impl World {
    pub fn start() -> Self {
        let lab = Lab::start(&Upstream::start().address);
        for (token, level) in [("writer", "write"), ("reader", "read")] {
            let permissions = json!({ "contents": level, "packages": level });
            let token = json!({ "token": token, "login": "tzervas", "permissions": permissions });
            assert_eq!(lab.lab_control("github_api", "POST", "/tokens", &token).status, 204);
        }
        let repository = json!({ "owner": "tzervas", "name": "autogit" });
        let registered = lab.lab_control("github_api", "POST", "/repositories", &repository).json();
        let git_dir = PathBuf::from(registered["git_dir"].as_str().unwrap());
        let commit = commit(&git_dir);
        Self { lab, git_dir, commit }
    }

    pub fn ask(&self, token: &str, method: &str, target: &str, body: &Value) -> Reply {
        let authorization = format!("Bearer {token}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        ask(
            &self.lab.address("github_api"),
            method,
            target,
            &[("Authorization", &authorization)],
            body.as_bytes(),
        )
    }

    fn repository(&self, token: &str, method: &str, target: &str, body: &Value) -> Reply {
        self.ask(token, method, &format!("/repos/tzervas/autogit{target}"), body)
    }

    fn release(&self, body: &Value) -> Reply {
        self.repository("writer", "POST", "/releases", body)
    }
}

fn git(git_dir: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new("git").arg("--git-dir").arg(git_dir).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// An empty commit on main, made with plumbing commands alone.
fn commit(git_dir: &Path) -> String {
    let tree = git(git_dir, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let author = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    let commit = git(git_dir, &[&author[..], &["commit-tree", "-m", "first", &tree]].concat());
    git(git_dir, &["update-ref", "refs/heads/main", &commit]);
    commit
}

fn message(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["message"].as_str().unwrap().to_owned())
}

fn problem(reply: &Reply) -> (u16, Value) {
    (reply.status, reply.json()["errors"][0].clone())
}

#[test]
fn only_known_tokens_are_answered() {
    let world = World::start();
    let anonymous = ask(&world.lab.address("github_api"), "GET", "/users/tzervas", &[], b"");
    assert_eq!(message(&anonymous), (401, "Requires authentication".into()));
    assert_eq!(
        message(&world.ask("forged", "GET", "/users/tzervas", &Value::Null)),
        (401, "Bad credentials".into())
    );
    assert_eq!(
        world.lab.lab_control("github_api", "DELETE", "/tokens/reader", &Value::Null).status,
        204
    );
    assert_eq!(world.ask("reader", "GET", "/users/tzervas", &Value::Null).status, 401);
}

#[test]
fn a_published_release_is_found_by_its_tag() {
    let world = World::start();
    let created = world.release(
        &json!({ "tag_name": "v1.0.0", "name": "One", "body": "notes", "prerelease": true }),
    );
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location"), created.json()["url"].as_str());
    assert_eq!(git(&world.git_dir, &["rev-parse", "refs/tags/v1.0.0"]), world.commit);
    let found = world.repository("reader", "GET", "/releases/tags/v1.0.0", &Value::Null).json();
    assert_eq!(found, created.json());
    assert_eq!((&found["prerelease"], &found["target_commitish"]), (&json!(true), &json!("main")));
    assert_eq!(world.repository("reader", "GET", "/releases/latest", &Value::Null).status, 404);
}

#[test]
fn a_draft_has_no_tag() {
    let world = World::start();
    let draft = world.release(&json!({ "tag_name": "v1.0.0", "draft": true })).json();
    assert_eq!(git(&world.git_dir, &["tag"]), "");
    assert_eq!(
        world.repository("writer", "GET", "/releases/tags/v1.0.0", &Value::Null).status,
        404
    );
    let listed = |token| {
        world.repository(token, "GET", "/releases", &Value::Null).json().as_array().unwrap().len()
    };
    assert_eq!((listed("writer"), listed("reader")), (1, 0));
    // A second draft of the same tag is no conflict, but publishing it is.
    assert_eq!(world.release(&json!({ "tag_name": "v1.0.0", "draft": true })).status, 201);
    let publish = |id: &Value| {
        world.repository(
            "writer",
            "PATCH",
            &format!("/releases/{id}"),
            &json!({ "draft": false, "body": "now" }),
        )
    };
    let published = publish(&draft["id"]);
    assert_eq!(
        world.repository("reader", "GET", "/releases/latest", &Value::Null).json()["id"],
        draft["id"]
    );
    assert_eq!((published.status, &published.json()["body"]), (200, &json!("now")));
    assert_eq!(git(&world.git_dir, &["rev-parse", "v1.0.0"]), world.commit);
    let second = &world.repository("writer", "GET", "/releases", &Value::Null).json()[0]["id"];
    assert_eq!(publish(second).status, 422);
}

#[test]
fn a_release_is_refused_with_githubs_reasons() {
    let world = World::start();
    let error = |field: &str, code: &str| {
        (422, json!({ "resource": "Release", "code": code, "field": field }))
    };
    assert_eq!(problem(&world.release(&json!({}))), error("tag_name", "missing_field"));
    assert_eq!(problem(&world.release(&json!({ "tag_name": "v 1" }))), error("tag_name", "custom"));
    let nowhere = json!({ "tag_name": "v1", "target_commitish": "nowhere" });
    assert_eq!(problem(&world.release(&nowhere)), error("target_commitish", "invalid"));
    assert_eq!(world.release(&json!({ "tag_name": "v1" })).status, 201);
    assert_eq!(
        problem(&world.release(&json!({ "tag_name": "v1" }))),
        error("tag_name", "already_exists")
    );
    let long = "x".repeat(125_001);
    assert_eq!(world.release(&json!({ "tag_name": "v2", "body": long })).status, 422);
    let refused = world.repository("reader", "POST", "/releases", &json!({ "tag_name": "v3" }));
    assert_eq!(message(&refused), (403, "Resource not accessible by integration".into()));
}

#[test]
fn releases_are_listed_newest_first() {
    let world = World::start();
    for (tag, latest) in [("v1.0.0", "true"), ("v1.1.0", "true"), ("v1.0.1", "false")] {
        assert_eq!(world.release(&json!({ "tag_name": tag, "make_latest": latest })).status, 201);
    }
    let page = world.repository("reader", "GET", "/releases?per_page=2", &Value::Null);
    let tags: Vec<_> =
        page.json().as_array().unwrap().iter().map(|release| release["tag_name"].clone()).collect();
    assert_eq!(tags, ["v1.0.1", "v1.1.0"]);
    let next = format!(
        "<{}/repos/tzervas/autogit/releases?per_page=2&page=2>; rel=\"next\"",
        world.lab.address("github_api")
    );
    assert!(page.header("link").unwrap().starts_with(&next));
    let latest = world.repository("reader", "GET", "/releases/latest", &Value::Null).json();
    assert_eq!(latest["tag_name"], "v1.1.0");
}

#[test]
fn releases_survive_a_restart() {
    let mut world = World::start();
    let created = world.release(&json!({ "tag_name": "v1" })).json();
    world.lab = world.lab.restart();
    assert_eq!(
        world.repository("reader", "GET", "/releases/tags/v1", &Value::Null).json(),
        created
    );
}

#[test]
fn requests_are_counted_for_each_token() {
    let world = World::start();
    world.ask("reader", "GET", "/users/tzervas", &Value::Null);
    let second = world.ask("reader", "GET", "/users/tzervas", &Value::Null);
    assert_eq!(
        (second.header("x-ratelimit-used"), second.header("x-ratelimit-remaining")),
        (Some("2"), Some("998"))
    );
    let other = world.ask("writer", "GET", "/users/tzervas", &Value::Null);
    assert_eq!(other.header("x-ratelimit-used"), Some("1"));
}

#[test]
fn both_limits_can_be_provoked() {
    let world = World::start();
    let get = || world.ask("reader", "GET", "/users/tzervas", &Value::Null);
    let provoke = |body: Value| {
        assert_eq!(world.lab.lab_control("github_api", "POST", "/limits", &body).status, 204);
    };
    provoke(json!({ "secondary": { "requests": 1, "status": 403, "retry_after": 2 } }));
    let secondary = get();
    assert_eq!((secondary.status, secondary.header("retry-after")), (403, Some("2")));
    assert!(message(&secondary).1.starts_with("You have exceeded a secondary rate limit"));
    assert_eq!(get().status, 200);
    provoke(json!({ "token": "reader", "remaining": 1, "reset_in": 3600 }));
    assert_eq!(get().status, 200);
    let primary = get();
    assert_eq!((primary.status, primary.header("x-ratelimit-remaining")), (403, Some("0")));
    assert!(primary.header("x-ratelimit-reset").unwrap().parse::<u64>().unwrap() > 1_700_000_000);
}

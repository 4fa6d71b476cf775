//! Container packages in the REST API, by GHCR's rules.

use serde_json::{Value, json};

use crate::client::Reply;
use crate::github::World;

const VERSIONS: &str = "/users/tzervas/packages/container/autogit%2Fgit-server/versions";
const REPOSITORY: &str = "tzervas/autogit/git-server";

impl World {
    fn push(&self, reference: &str, manifest: &str) -> String {
        let reply = self.lab.front(
            "PUT",
            &format!("/v2/{REPOSITORY}/manifests/{reference}"),
            manifest.as_bytes(),
        );
        reply.header("docker-content-digest").unwrap().to_owned()
    }

    fn versions(&self, query: &str) -> Vec<Value> {
        let reply = self.ask("reader", "GET", &format!("{VERSIONS}{query}"), &Value::Null);
        reply.json().as_array().unwrap().clone()
    }

    fn id_of(&self, digest: &str) -> u64 {
        self.versions("").iter().find(|version| version["name"] == digest).unwrap()["id"]
            .as_u64()
            .unwrap()
    }

    fn delete(&self, token: &str, digest: &str) -> Reply {
        self.ask(token, "DELETE", &format!("{VERSIONS}/{}", self.id_of(digest)), &Value::Null)
    }

    fn without_pauses(self) -> Self {
        self.lab.lab_control(
            "github_api",
            "POST",
            "/limits",
            &json!({ "delete_interval_milliseconds": 0 }),
        );
        self
    }

    fn amend(&self, change: &Value) -> Reply {
        self.lab.lab_control("github_api", "POST", "/versions", &json!([change]))
    }
}

fn message(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["message"].as_str().unwrap().to_owned())
}

#[test]
fn versions_are_digests_with_their_tags_newest_first() {
    let world = World::start();
    let first = world.push("dev", "{}");
    let second = world.push("dev", "{ }");
    world.push("dev-1", "{ }");
    let versions = world.versions("");
    let seen: Vec<_> =
        versions.iter().map(|v| (&v["name"], &v["metadata"]["container"]["tags"])).collect();
    assert_eq!(seen, [(&json!(second), &json!(["dev", "dev-1"])), (&json!(first), &json!([]))]);
    assert!(versions[0]["id"].as_u64().unwrap() > u64::from(u32::MAX));
    assert_eq!(versions[0]["created_at"], versions[0]["updated_at"]);
    let one = format!("{VERSIONS}/{}", versions[0]["id"]);
    assert_eq!(world.ask("reader", "GET", &one, &Value::Null).json(), versions[0]);
}

#[test]
fn package_names_are_encoded_and_owners_have_kinds() {
    let world = World::start();
    world.push("dev", "{}");
    let status = |target: &str| world.ask("reader", "GET", target, &Value::Null).status;
    assert_eq!(status("/users/tzervas/packages/container/autogit%2Fgit-server/versions"), 200);
    assert_eq!(status("/users/tzervas/packages/container/autogit/git-server/versions"), 404);
    assert_eq!(status("/orgs/tzervas/packages/container/autogit%2Fgit-server/versions"), 404);
    let organization = json!({ "owner": "tzervas", "name": "x", "owner_type": "Organization" });
    world.lab.lab_control("github_api", "POST", "/repositories", &organization);
    assert_eq!(status("/orgs/tzervas/packages/container/autogit%2Fgit-server/versions"), 200);
    assert_eq!(status("/users/tzervas/packages/container/autogit%2Fgit-server/versions"), 404);
}

#[test]
fn a_push_between_two_pages_shifts_them() {
    let world = World::start();
    for number in 0..150 {
        world.push(&format!("sha256:{number}"), "{}");
    }
    let first =
        world.ask("reader", "GET", &format!("{VERSIONS}?per_page=1000&page=1"), &Value::Null);
    assert_eq!(first.json().as_array().unwrap().len(), 100);
    assert!(first.header("link").unwrap().contains("page=2>; rel=\"next\""));
    world.push("sha256:late", "{}");
    let second = world.versions("?per_page=100&page=2");
    assert_eq!((second.len(), &second[0]), (51, &first.json()[99]));
}

#[test]
fn a_deletion_needs_permission() {
    let world = World::start().without_pauses();
    world.push("keep", "{ }");
    let digest = world.push("dev", "{}");
    assert_eq!(
        message(&world.delete("reader", &digest)),
        (403, "Resource not accessible by integration".into())
    );
    assert_eq!(world.delete("writer", &digest).status, 204);
    let gone =
        world.ask("writer", "DELETE", &format!("{VERSIONS}/18446744073709551615"), &Value::Null);
    assert_eq!(gone.status, 404);
}

#[test]
fn the_last_tagged_version_cannot_be_deleted() {
    let world = World::start().without_pauses();
    let tagged = world.push("dev", "{}");
    let refused = |digest: &str, part: &str| {
        let (status, message) = message(&world.delete("writer", digest));
        assert!(status == 400 && message.contains(part), "{status} {message}");
    };
    refused(&tagged, "the last version of a package");
    let untagged = world.push("sha256:untagged", "{ }");
    refused(&tagged, "the last tagged version");
    assert_eq!(world.delete("writer", &untagged).status, 204);
}

#[test]
fn deletions_in_quick_succession_are_refused() {
    let world = World::start();
    // Longer than GitHub's second, so a slow machine does not keep the distance by accident.
    let interval = json!({ "delete_interval_milliseconds": 600_000 });
    world.lab.lab_control("github_api", "POST", "/limits", &interval);
    world.push("keep", "{  }");
    let (one, two) = (world.push("sha256:1", "{}"), world.push("sha256:2", "{}"));
    assert_eq!(world.delete("writer", &one).status, 204);
    let refused = world.delete("writer", &two);
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(refused.status == 403 && (1..=600).contains(&seconds), "{refused:?}");
    assert_eq!(world.versions("").len(), 2);
}

#[test]
fn a_deleted_version_comes_back_as_it_was() {
    let world = World::start();
    world.push("keep", "{ }");
    let digest = world.push("dev", "{}");
    let before = world.versions("");
    let id = world.id_of(&digest);
    assert_eq!(world.delete("writer", &digest).status, 204);
    assert_eq!(world.versions("").len(), 1);
    let deleted = world.versions("?state=deleted");
    assert_eq!(
        (&deleted[0]["id"], &deleted[0]["metadata"]["container"]["tags"]),
        (&json!(id), &json!(["dev"]))
    );
    let restore = || world.ask("writer", "POST", &format!("{VERSIONS}/{id}/restore"), &Value::Null);
    assert_eq!(restore().status, 204);
    assert_eq!(world.versions(""), before);
    assert_eq!(restore().status, 404);
}

#[test]
fn age_can_be_given_to_a_version() {
    let world = World::start();
    let old = world.push("old", "{}");
    world.push("new", "{ }");
    let amended = world.amend(
        &json!({ "repository": REPOSITORY, "digest": old, "created_at": "2020-02-29T12:00:00Z" }),
    );
    assert_eq!(amended.status, 204);
    let versions = world.versions("");
    assert_eq!(
        (&versions[1]["name"], &versions[1]["created_at"]),
        (&json!(old), &json!("2020-02-29T12:00:00Z"))
    );
    // Moving a tag to it does not make it newer.
    world.push("moved", "{}");
    assert_eq!(world.versions("")[1]["updated_at"], "2020-02-29T12:00:00Z");
    let unknown = json!({ "repository": REPOSITORY, "digest": "sha256:unknown", "created_at": "2020-02-29T12:00:00Z" });
    assert_eq!(world.amend(&unknown).status, 404);
}

#[test]
fn made_up_versions_behave_like_pushed_ones() {
    let world = World::start().without_pauses();
    world.push("dev", "{}");
    let digest = format!("sha256:{:064x}", 7);
    let made_up = json!([{
        "repository": REPOSITORY, "digest": digest, "media_type": "application/x", "manifest": "{ }",
        "tags": ["old"], "created_at": "2020-02-29T12:00:00Z",
    }]);
    let reply = world.lab.lab_control("github_api", "POST", "/made-up", &made_up);
    assert_eq!(reply.status, 204);
    let listed = &world.versions("")[1];
    assert_eq!(
        (&listed["name"], &listed["created_at"], &listed["metadata"]["container"]["tags"]),
        (&json!(digest), &json!("2020-02-29T12:00:00Z"), &json!(["old"]))
    );
    let read = |method: &str, reference: &str| {
        world.lab.front(method, &format!("/v2/{REPOSITORY}/manifests/{reference}"), b"")
    };
    for reference in ["old", &digest] {
        let reply = read("GET", reference);
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"{ }"[..]));
        assert_eq!(reply.header("docker-content-digest"), Some(&*digest));
        let reply = read("HEAD", reference);
        assert_eq!((reply.header("content-length"), reply.body.len()), (Some("3"), 0));
    }
    assert_eq!(world.delete("writer", &digest).status, 204);
    assert_ne!(read("GET", &digest).body, b"{ }");
    let wrong = json!([{ "repository": REPOSITORY, "digest": digest }]);
    assert_eq!(world.lab.lab_control("github_api", "POST", "/made-up", &wrong).status, 400);
}

#[test]
fn a_kill_loses_no_version() {
    let mut world = World::start();
    for number in 0..20 {
        world.push(&format!("dev-{number}"), &" ".repeat(number));
    }
    let before = world.versions("");
    assert_eq!(before.len(), 20);
    assert!(!world.lab.stop("-KILL").success());
    world.lab = world.lab.start_again();
    assert_eq!(world.versions(""), before);
}

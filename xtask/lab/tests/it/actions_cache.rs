//! The Actions cache service as BuildKit's client uses it.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, Reply, ask, ask_url};
use crate::program::{Lab, token};
use crate::upstream::Upstream;

struct Cache {
    lab: Lab,
    /// The path prefix that results from a base URL with a trailing slash.
    prefix: &'static str,
}

impl Cache {
    fn start() -> Self {
        Self { lab: Lab::start(&Upstream::start().address), prefix: "" }
    }

    fn call(&self, token: &str, name: &str, body: &Value) -> Reply {
        let target =
            format!("{}/twirp/github.actions.results.api.v1.CacheService/{name}", self.prefix);
        let authorization = format!("Bearer {token}");
        let headers =
            [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        ask(
            &self.lab.address("actions_cache"),
            "POST",
            &target,
            &headers,
            body.to_string().as_bytes(),
        )
    }

    fn create(&self, token: &str, key: &str) -> Reply {
        self.call(token, "CreateCacheEntry", &json!({ "key": key, "version": "v" }))
    }

    fn save(&self, token: &str, key: &str, content: &[u8]) {
        let url = self.create(token, key).json()["signed_upload_url"].as_str().unwrap().to_owned();
        assert_eq!(ask_url(&url, "PUT", &[("x-ms-blob-type", "BlockBlob")], content).status, 201);
        let finalized = self.finalize(token, key, content.len());
        assert_eq!(finalized.json()["ok"], true);
        assert!(finalized.json()["entry_id"].is_string());
    }

    fn finalize(&self, token: &str, key: &str, size: usize) -> Reply {
        self.call(
            token,
            "FinalizeCacheEntryUpload",
            &json!({ "key": key, "size_bytes": size, "version": "v" }),
        )
    }

    fn look_up(&self, token: &str, key: &str) -> Value {
        let body = json!({ "key": key, "restore_keys": [key], "version": "v" });
        self.call(token, "GetCacheEntryDownloadURL", &body).json()
    }
}

fn writer() -> String {
    token(&["--scope", "refs/heads/dev"])
}

#[test]
fn an_entry_is_read_whole_and_by_range() {
    let cache = Cache { prefix: "/", ..Cache::start() };
    cache.save(&writer(), "buildkit-blob-1", b"0123456789");
    let found = cache.look_up(&writer(), "buildkit-blob-1");
    assert_eq!((&found["ok"], &found["matched_key"]), (&json!(true), &json!("buildkit-blob-1")));
    let url = found["signed_download_url"].as_str().unwrap();
    let whole = ask_url(url, "GET", &[], b"");
    assert_eq!((whole.status, whole.body.as_slice()), (200, b"0123456789".as_slice()));
    for header in ["x-ms-range", "Range"] {
        let part = ask_url(url, "GET", &[(header, "bytes=7-")], b"");
        assert_eq!((part.status, part.body.as_slice()), (206, b"789".as_slice()));
        assert_eq!(part.header("content-range"), Some("bytes 7-9/10"));
    }
    assert_eq!(ask_url(url, "GET", &[("Range", "bytes=10-")], b"").status, 416);
}

#[test]
fn blocks_are_joined_in_listed_order() {
    let cache = Cache::start();
    let url = cache.create(&writer(), "k").json()["signed_upload_url"].as_str().unwrap().to_owned();
    for (id, content) in [("YQ==", "world"), ("Yg==", "hello ")] {
        let block = format!("{url}&comp=block&blockid={}", id.replace('=', "%3D"));
        let put = ask_url(&block, "PUT", &[], content.as_bytes());
        assert_eq!(put.status, 201);
        assert!(put.header("x-ms-request-id").is_some());
    }
    // The blob does not exist before the list.
    assert_eq!(cache.finalize(&writer(), "k", 11).status, 400);
    let list = |ids: &str| {
        let xml = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{ids}</BlockList>");
        ask_url(&format!("{url}&comp=blocklist"), "PUT", &[], xml.as_bytes())
    };
    let unknown = list("<Latest>Yw==</Latest>");
    assert_eq!(
        (unknown.status, unknown.header("x-ms-error-code")),
        (400, Some("InvalidBlockList"))
    );
    assert!(unknown.header("x-ms-request-id").is_some());
    assert_eq!(list("<Latest>Yg==</Latest><Latest>YQ==</Latest>").status, 201);
    assert_eq!(cache.finalize(&writer(), "k", 11).status, 200);
    let url = cache.look_up(&writer(), "k")["signed_download_url"].as_str().unwrap().to_owned();
    assert_eq!(ask_url(&url, "GET", &[], b"").body, b"hello world");
}

#[test]
fn a_prefix_finds_what_was_finalised_last() {
    let cache = Cache::start();
    for number in 8..=10 {
        cache.save(&writer(), &format!("index-git-server-1-ab#{number}"), b"x");
    }
    assert_eq!(
        cache.look_up(&writer(), "index-git-server-1-ab#")["matched_key"],
        "index-git-server-1-ab#10"
    );
    assert_eq!(
        cache.look_up(&writer(), "index-git-server-1-ab#9")["matched_key"],
        "index-git-server-1-ab#9"
    );
    assert_eq!(cache.look_up(&writer(), "index-runner"), json!({ "ok": false }));
}

#[test]
fn a_key_is_taken_once_in_each_scope() {
    let cache = Cache::start();
    cache.save(&writer(), "k", b"x");
    let again = cache.create(&writer(), "k");
    assert_eq!((again.status, &again.json()["code"]), (409, &json!("already_exists")));
    assert!(
        again.json().get("message").is_none(),
        "the client takes `message` for another service's error"
    );
    assert_eq!(cache.create(&token(&["--scope", "refs/heads/main"]), "k").json()["ok"], true);
}

#[test]
fn scopes_are_honoured() {
    let cache = Cache::start();
    cache.save(&token(&["--scope", "refs/heads/main"]), "k", b"x");
    let pull_request =
        token(&["--scope", "refs/pull/1/merge", "--scope", "refs/heads/main", "--permission", "1"]);
    assert_eq!(cache.look_up(&pull_request, "k")["ok"], true);
    assert_eq!(cache.look_up(&token(&["--scope", "refs/heads/other"]), "k")["ok"], false);
    let write_only = token(&["--scope", "refs/heads/main", "--permission", "2"]);
    assert_eq!(cache.look_up(&write_only, "k")["ok"], false);
    // The pull request writes to its own scope, which the main branch does not see.
    cache.save(&pull_request, "only-here", b"x");
    assert_eq!(cache.look_up(&token(&["--scope", "refs/heads/main"]), "only-here")["ok"], false);
}

#[test]
fn a_read_only_token_cannot_reserve_an_entry() {
    let cache = Cache::start();
    let refused = cache.create(&token(&["--scope", "refs/heads/main", "--permission", "1"]), "k");
    let message = "cache write denied: token has no writable scopes";
    assert_eq!((refused.status, refused.json()), (200, json!({ "ok": false, "message": message })));
}

#[test]
fn an_expired_or_malformed_token_is_no_token() {
    let cache = Cache::start();
    for token in [
        token(&["--scope", "refs/heads/main", "--expires-in", "0"]),
        "nonsense".to_owned(),
        String::new(),
    ] {
        let refused = cache.create(&token, "k");
        assert_eq!((refused.status, &refused.json()["code"]), (401, &json!("unauthenticated")));
    }
}

#[test]
fn a_wrong_size_or_signature_is_refused() {
    let cache = Cache::start();
    let url = cache.create(&writer(), "k").json()["signed_upload_url"].as_str().unwrap().to_owned();
    assert_eq!(ask_url(&url, "PUT", &[], b"four").status, 201);
    assert_eq!(cache.finalize(&writer(), "k", 5).json()["code"], "invalid_argument");
    assert_eq!(cache.look_up(&writer(), "k")["ok"], false);
    let forged = format!("{}0000", url.get(..url.len() - 4).unwrap());
    let refused = ask_url(&forged, "PUT", &[], b"x");
    assert_eq!(
        (refused.status, refused.header("x-ms-error-code")),
        (403, Some("AuthenticationFailed"))
    );
    // The signature for writing does not permit reading.
    assert_eq!(ask_url(&url, "GET", &[], b"").status, 403);
    assert_eq!(cache.finalize(&writer(), "k", 4).status, 200);
    assert_eq!(ask_url(&url, "PUT", &[], b"late").status, 409);
}

#[test]
fn entries_survive_a_restart_and_can_be_emptied() {
    let mut cache = Cache::start();
    cache.save(&writer(), "k", b"content");
    let url = cache.look_up(&writer(), "k")["signed_download_url"].as_str().unwrap().to_owned();
    cache.lab = cache.lab.restart();
    assert_eq!(ask_url(&url, "GET", &[], b"").body, b"content");
    let entries = cache.lab.lab_control("actions_cache", "GET", "/entries", &Value::Null).json();
    assert_eq!((&entries[0]["key"], &entries[0]["size"]), (&json!("k"), &json!(7)));
    assert_eq!(
        cache.lab.lab_control("actions_cache", "DELETE", "/entries", &Value::Null).status,
        204
    );
    assert_eq!(cache.look_up(&writer(), "k")["ok"], false);
    assert_eq!(ask_url(&url, "GET", &[], b"").status, 403);
}

#[test]
fn faults_come_in_the_form_of_each_part() {
    let cache = Cache::start();
    cache.save(&writer(), "k", b"content");
    let url = cache.look_up(&writer(), "k")["signed_download_url"].as_str().unwrap().to_owned();
    let rules = json!([
        { "match": { "path": "GetCacheEntry" }, "action": { "kind": "hang" } },
        { "match": { "path": "/blobs/" }, "action": { "kind": "status", "code": 500 } },
        { "match": { "path": "/twirp/" }, "action": { "kind": "status", "code": 429, "retry_after": 1 } },
    ]);
    assert_eq!(cache.lab.lab_control("actions_cache", "POST", "/faults", &rules).status, 204);
    let limited = cache.create(&writer(), "other");
    assert_eq!((limited.status, &limited.json()["code"]), (429, &json!("resource_exhausted")));
    let broken = ask_url(&url, "GET", &[], b"");
    assert_eq!(broken.status, 500);
    assert!(broken.header("x-ms-request-id").is_some());
    let mut client = Client::connect(&cache.lab.address("actions_cache"));
    client.set_timeout(Duration::from_millis(200));
    client
        .send(
            "POST",
            "/twirp/github.actions.results.api.v1.CacheService/GetCacheEntryDownloadURL",
            &[],
            b"",
        )
        .unwrap();
    assert_eq!(client.receive("POST").unwrap_err().kind(), ErrorKind::WouldBlock);
    let counters = cache.lab.lab_control("actions_cache", "GET", "/counters", &Value::Null).json();
    let kinds: Vec<_> =
        counters["by"].as_array().unwrap().iter().map(|group| &group["kind"]).collect();
    assert_eq!(kinds, ["download", "create", "finalize", "look_up", "upload"]);
}

//! Every fault, from the client's point of view.

use std::io::{ErrorKind, Result};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::program::Lab;
use crate::upstream::Upstream;

const BLOB: &str = "/v2/o/r/s/blobs/x";

struct World {
    lab: Lab,
    upstream: Upstream,
}

impl World {
    fn with(action: &Value) -> Self {
        let upstream = Upstream::start();
        let lab = Lab::start(&upstream.address);
        let rule = json!({ "match": { "path": BLOB, "count": 1 }, "action": action });
        assert_eq!(lab.control("POST", "/faults", &rule).status, 204);
        Self { lab, upstream }
    }

    fn get(&self) -> Result<Reply> {
        Client::connect(&self.lab.address("proxy")).ask("GET", BLOB, &[], b"")
    }

    /// The last exchange in the log.
    fn last(&self) -> Value {
        let listed = self.lab.control("GET", "/requests", &Value::Null).json();
        listed.as_array().unwrap().last().unwrap().clone()
    }

    fn error(&self) -> ErrorKind {
        self.get().unwrap_err().kind()
    }

    /// The rule hit once; afterwards everything works as before.
    fn passes_again(&self) {
        assert_eq!(self.get().unwrap().body.len(), 300_000);
        assert_eq!(self.lab.control("GET", "/faults", &Value::Null).json()[0]["fired"], 1);
    }
}

#[test]
fn a_drop_closes_in_order_without_effect() {
    let world = World::with(&json!({ "kind": "drop" }));
    assert_eq!(world.error(), ErrorKind::UnexpectedEof);
    assert!(world.upstream.heads().is_empty());
    assert_eq!((&world.last()["fault"], &world.last()["status"]), (&json!("drop"), &Value::Null));
    world.passes_again();
}

#[test]
fn a_reset_is_a_reset() {
    let world = World::with(&json!({ "kind": "reset" }));
    assert_eq!(world.error(), ErrorKind::ConnectionReset);
    assert!(world.upstream.heads().is_empty());
    world.passes_again();
}

#[test]
fn a_lost_answer_leaves_the_effect_behind() {
    let world = World::with(&json!({ "kind": "lose_answer" }));
    assert_eq!(world.error(), ErrorKind::UnexpectedEof);
    assert_eq!(world.upstream.heads().len(), 1);
    assert_eq!(world.last()["response_bytes"], 0);
    world.passes_again();
}

#[test]
fn a_hang_blocks_only_its_connection() {
    let world = World::with(&json!({ "kind": "hang" }));
    let mut client = Client::connect(&world.lab.address("proxy"));
    client.set_timeout(Duration::from_millis(200));
    client.send("GET", BLOB, &[], b"").unwrap();
    assert_eq!(client.receive("GET").unwrap_err().kind(), ErrorKind::WouldBlock);
    world.passes_again();
}

#[test]
fn an_injected_status_looks_like_a_registrys() {
    let world = World::with(&json!({ "kind": "status", "code": 429, "retry_after": 7 }));
    let mut client = Client::connect(&world.lab.address("proxy"));
    let reply = client.ask("GET", BLOB, &[], b"").unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")));
    assert_eq!(reply.json()["errors"][0]["code"], "TOOMANYREQUESTS");
    // The connection still works.
    assert_eq!(client.ask("GET", BLOB, &[], b"").unwrap().status, 200);
    assert_eq!(world.upstream.heads().len(), 1);
}

#[test]
fn injected_denials_have_registry_codes() {
    for (action, status, code) in [
        (json!({ "kind": "denied" }), 403, "DENIED"),
        (json!({ "kind": "status", "code": 401 }), 401, "UNAUTHORIZED"),
    ] {
        let reply = World::with(&action).get().unwrap();
        assert_eq!((reply.status, &reply.json()["errors"][0]["code"]), (status, &json!(code)));
        assert_eq!(reply.header("www-authenticate").is_some(), status == 401);
    }
}

#[test]
fn a_truncated_body_promises_the_whole() {
    let world = World::with(&json!({ "kind": "truncate", "after": 1234 }));
    assert_eq!(world.error(), ErrorKind::UnexpectedEof);
    let last = world.last();
    assert_eq!((&last["status"], &last["response_body_bytes"]), (&json!(200), &json!(1234)));
    world.passes_again();
}

#[test]
fn slow_and_delayed_bodies_arrive_whole() {
    for action in [
        json!({ "kind": "slow", "bytes_per_second": 3_000_000 }),
        json!({ "kind": "delay", "milliseconds": 20 }),
    ] {
        let world = World::with(&action);
        assert_eq!(world.get().unwrap().body.len(), 300_000);
        assert_eq!(world.last()["fault"], action["kind"]);
    }
}

#[test]
fn a_fault_chooses_by_method_path_and_number() {
    let upstream = Upstream::start();
    let lab = Lab::start(&upstream.address);
    let rules = json!([
        { "match": { "method": "PUT", "path": "*/manifests/dev", "nth": 2 }, "action": { "kind": "status", "code": 500 } },
        { "match": { "path": "/blobs/uploads/" }, "action": { "kind": "status", "code": 503 } },
    ]);
    assert_eq!(lab.control("POST", "/faults", &rules).status, 204);
    let dev = "/v2/o/r/s/manifests/dev";
    let statuses = || {
        [
            ("PUT", dev),
            ("GET", dev),
            ("PUT", dev),
            ("PUT", dev),
            ("POST", "/v2/o/r/s/blobs/uploads/"),
        ]
        .map(|(method, target)| lab.front(method, target, b"").status)
    };
    assert_eq!(statuses(), [201, 200, 500, 500, 503]);
    lab.control("POST", "/reset", &Value::Null);
    assert_eq!(statuses(), [201, 200, 500, 500, 503]);
    lab.control("DELETE", "/faults", &Value::Null);
    assert_eq!(statuses(), [201, 200, 201, 201, 202]);
}

#[test]
fn an_injected_error_takes_a_large_upload_first() {
    let upstream = Upstream::start();
    let lab = Lab::start(&upstream.address);
    lab.control("POST", "/faults", &json!({ "action": { "kind": "status", "code": 500 } }));
    let mut client = Client::connect(&lab.address("proxy"));
    let reply = client.ask("PUT", "/v2/o/r/s/blobs/uploads/1", &[], &vec![0; 200_000]).unwrap();
    assert_eq!(reply.status, 500);
    assert_eq!(client.ask("GET", "/v2/", &[], b"").unwrap().status, 500);
}

//! The registry front as a proxy: which requests pass through it, and how it counts them.

use serde_json::{Value, json};

use crate::client::{Client, ask};
use crate::program::Lab;
use crate::upstream::{BLOB, Upstream};

#[test]
fn every_response_framing_arrives_whole() {
    let lab = Lab::start(&Upstream::start().address);
    let mut client = Client::connect(&lab.address("proxy"));
    for reference in ["length", "chunked", "close", "length"] {
        let reply = client.ask("GET", &format!("/v2/o/r/s/blobs/{reference}"), &[], b"").unwrap();
        assert_eq!((reply.status, reply.body == BLOB), (200, true), "{reference}");
    }
    let head = client.ask("HEAD", "/v2/o/r/s/blobs/x", &[], b"").unwrap();
    assert_eq!(head.header("content-length"), Some("300000"));
}

#[test]
fn a_truncated_registry_answer_stays_truncated() {
    let lab = Lab::start(&Upstream::start().address);
    assert!(
        Client::connect(&lab.address("proxy"))
            .ask("GET", "/v2/o/r/s/blobs/broken", &[], b"")
            .is_err()
    );
    assert_eq!(lab.front("GET", "/v2/o/r/s/blobs/x", b"").status, 200);
}

#[test]
fn bytes_are_counted_exactly_in_both_directions() {
    let lab = Lab::start(&Upstream::start().address);
    let mut client = Client::connect(&lab.address("proxy"));
    let request = b"GET /v2/o/r/s/blobs/x HTTP/1.1\r\nHost: lab\r\n\r\n";
    client.send_raw(request).unwrap();
    client.receive("GET").unwrap();
    client.ask("PUT", "/v2/o/r/s/manifests/dev", &[], &[b'm'; 1000]).unwrap();
    let chunked = b"PATCH /v2/o/r/s/blobs/uploads/1 HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send_raw(&[chunked.as_slice(), b"5\r\nabcde\r\n0\r\n\r\n"].concat()).unwrap();
    client.receive("PATCH").unwrap();

    let counters = lab.control("GET", "/counters", &Value::Null).json();
    assert_eq!(counters["requests"], 3);
    assert_eq!(counters["request_body_bytes"], 1005);
    let group = |method: &str| {
        counters["by"].as_array().unwrap().iter().find(|group| group["method"] == method).unwrap()
    };
    let response_head = "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n".len();
    assert_eq!(group("GET")["kind"], "blob");
    assert_eq!(group("GET")["request_bytes"], request.len());
    assert_eq!(group("GET")["response_body_bytes"], 300_000);
    assert_eq!(group("GET")["response_bytes"], 300_000 + response_head);
    assert_eq!(
        (&group("PUT")["kind"], &group("PUT")["request_body_bytes"]),
        (&json!("manifest"), &json!(1000))
    );
    assert_eq!(group("PATCH")["kind"], "upload");
    assert_eq!(group("PATCH")["request_bytes"], chunked.len() + "5\r\nabcde\r\n0\r\n\r\n".len());
}

#[test]
fn many_connections_at_once_lose_no_count() {
    let lab = Lab::start(&Upstream::start().address);
    let address = lab.address("proxy");
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let mut client = Client::connect(&address);
                for _ in 0..5 {
                    assert!(
                        client.ask("GET", "/v2/o/r/s/blobs/chunked", &[], b"").unwrap().body
                            == BLOB
                    );
                }
            });
        }
    });
    let counters = lab.control("GET", "/counters", &Value::Null).json();
    assert_eq!(
        (&counters["requests"], &counters["response_body_bytes"]),
        (&json!(160), &json!(160 * 300_000))
    );
}

#[test]
fn requests_are_listed_in_order_until_a_reset() {
    let lab = Lab::start(&Upstream::start().address);
    lab.front("HEAD", "/v2/o/r/s/manifests/dev", b"");
    lab.front("PUT", "/v2/o/r/s/manifests/dev", b"{}");
    let listed = lab.control("GET", "/requests", &Value::Null).json();
    let seen: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (&r["number"], &r["method"], &r["status"]))
        .collect();
    assert_eq!(
        seen,
        [(&json!(1), &json!("HEAD"), &json!(200)), (&json!(2), &json!("PUT"), &json!(201))]
    );
    assert_eq!(listed[1]["path"], "/v2/o/r/s/manifests/dev");
    assert_eq!(lab.control("POST", "/reset", &Value::Null).status, 204);
    assert_eq!(lab.control("GET", "/requests", &Value::Null).json(), json!([]));
    assert_eq!(lab.control("GET", "/counters", &Value::Null).json()["requests"], 0);
}

#[test]
fn a_location_of_the_registry_becomes_the_fronts() {
    let lab = Lab::start(&Upstream::start().address);
    let reply = lab.front("POST", "/v2/o/r/s/blobs/uploads/", b"");
    let expected = format!("http://{}/v2/o/r/s/blobs/uploads/1?state=2", lab.address("proxy"));
    assert_eq!(reply.header("location"), Some(expected.as_str()));
}

#[test]
fn expect_continue_and_chunked_uploads_work() {
    let upstream = Upstream::start();
    let lab = Lab::start(&upstream.address);
    let mut client = Client::connect(&lab.address("proxy"));
    client
        .send_raw(b"PUT /v2/o/r/s/blobs/uploads/1 HTTP/1.1\r\nHost: lab\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .unwrap();
    assert_eq!(client.receive("HEAD").unwrap().status, 100);
    client.send_raw(b"body").unwrap();
    assert_eq!(client.receive("PUT").unwrap().status, 201);
    let head = upstream.heads().pop().unwrap();
    assert!(!head.to_lowercase().contains("expect"), "{head}");
    client
        .send_raw(b"PUT /v2/o/r/s/blobs/uploads/1 HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .unwrap();
    let expected = format!("sha256:{:064x}", 3);
    assert_eq!(
        client.receive("PUT").unwrap().header("docker-content-digest"),
        Some(expected.as_str())
    );
}

#[test]
fn a_silent_registry_is_a_502() {
    let lab = Lab::start("127.0.0.1:1");
    let reply = lab.front("GET", "/v2/", b"");
    assert_eq!(reply.status, 502);
    assert!(String::from_utf8(reply.body).unwrap().contains("`127.0.0.1:1` does not answer"));
}

/// Basic credentials of `ci:` and a password, and the token they yield for a scope.
fn issued(lab: &Lab, basic: Option<&str>, scope: &str) -> crate::client::Reply {
    let headers: Vec<_> = basic.iter().map(|basic| ("Authorization", *basic)).collect();
    ask(&lab.address("proxy"), "GET", &format!("/token?service=lab&scope={scope}"), &headers, b"")
}

#[test]
fn authentication_challenges_issues_and_refuses_as_ghcr_does() {
    let upstream = Upstream::start();
    let lab = Lab::start(&upstream.address);
    for (token, level) in [("w", "write"), ("r", "read")] {
        let token = json!({ "token": token, "login": "ci", "permissions": { "packages": level } });
        lab.lab_control("github_api", "POST", "/tokens", &token);
    }
    lab.control("PUT", "/settings", &json!({ "authentication": true }));
    let front = lab.address("proxy");

    let challenge = lab.front("PUT", "/v2/o/r/s/manifests/dev", b"{}");
    let expected = format!(
        "Bearer realm=\"http://{front}/token\",service=\"{front}\",scope=\"repository:o/r/s:pull,push\""
    );
    assert_eq!(
        (challenge.status, challenge.header("www-authenticate")),
        (401, Some(expected.as_str()))
    );

    let scope = "repository:o/r/s:pull,push";
    let (write, read, wrong) = ("Basic Y2k6dw==", "Basic Y2k6cg==", "Basic Y2k6eA==");
    assert_eq!(issued(&lab, None, scope).status, 401);
    assert_eq!(issued(&lab, Some(wrong), scope).status, 403);
    let bearer = |basic| {
        format!("Bearer {}", issued(&lab, Some(basic), scope).json()["token"].as_str().unwrap())
    };
    let (writer, reader) = (bearer(write), bearer(read));
    let push = |bearer: &str, repository: &str| {
        let target = format!("/v2/{repository}/manifests/dev");
        ask(&front, "PUT", &target, &[("Authorization", bearer)], b"{}")
    };
    assert_eq!(push(&writer, "o/r/s").status, 201);
    let authorized =
        upstream.heads().iter().any(|head| head.to_lowercase().contains("authorization"));
    assert!(!authorized, "the front passed its token on");
    let denied = push(&reader, "o/r/s");
    assert_eq!((denied.status, &denied.json()["errors"][0]["code"]), (403, &json!("DENIED")));
    // For a scope that was not requested, another token would help.
    assert_eq!(push(&writer, "o/other").status, 401);
    assert_eq!(
        ask(&front, "GET", "/v2/o/r/s/manifests/dev", &[("Authorization", &reader)], b"").status,
        200
    );

    let unknown = push("Bearer unknown", "o/r/s");
    assert!(unknown.header("www-authenticate").unwrap().ends_with(",error=\"invalid_token\""));
}

//! `cargo xtask verify --lab` on packages that BuildKit published: its requests, and its unknown findings.

use crate::support::lab::Lab;
use crate::support::labs::hold_the_warm_one;
use crate::support::verified::{LIMITS, Package, findings, published, verify};
use crate::support::{Fixture, Ran};
use serde_json::{Value, json};

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn verify_accepts_an_image_tagged_again_later() {
    let (fixture, _lab) = published();
    for text in ["nothing of the service", "nothing again"] {
        fixture.write("README.md", text);
        fixture.commit(text);
        fixture.xtask(&["push", "--lab"]).expect(0);
        assert_eq!(findings(&fixture, &[]), [] as [&str; 0], "{text}");
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn verify_reports_unreadable_things_as_unknown() {
    let (fixture, lab) = published();
    let all = |ran: Ran| ran.json().as_array().unwrap().len();
    let whole = all(verify(&fixture, &[]).expect(0));
    let dev = format!("{}/web/manifests/dev", fixture.repository);
    for (fault, why) in [
        (json!({"kind": "status", "code": 500}), "error 500"),
        (json!({"kind": "status", "code": 429}), "too many requests"),
        (json!({"kind": "denied"}), "denied"),
        (json!({"kind": "hang"}), "no answer within"),
    ] {
        lab.fault(&json!({"match": {"path": dev, "method": "HEAD"}, "action": fault}));
        let reported = findings(&fixture, &[]);
        let ran = verify(&fixture, &[]).expect(4);
        lab.no_faults();
        let unknown =
            reported.iter().find(|line| line.starts_with("unknown web:dev tags: ")).unwrap();
        assert!(unknown.contains(why), "{reported:#?}");
        assert!(all(ran) > whole / 2, "{fault}: the findings about all else are gone");
    }
}

/// The services of this repository, as they are.
fn our_services(fixture: &Fixture) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let config = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let of_services = config.split("[workspace.metadata.images.services.").skip(1);
    let of_services = of_services.map(|text| format!("[workspace.metadata.images.services.{text}"));
    fixture.configure(&of_services.collect::<String>());
    for path in xtask::outside::files::below(&root.join("services")).unwrap() {
        let inside = path.strip_prefix(root).unwrap().to_str().unwrap();
        if !inside.split('/').any(|part| part == "target") {
            fixture.write(inside, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn verifying_both_services_takes_80_requests_at_most() {
    hold_the_warm_one();
    let fixture = Fixture::unpublished();
    our_services(&fixture);
    fixture.commit("feat: both");
    let lab = Lab::up(&fixture);
    fixture.xtask(&["push", "--lab"]).expect(0);
    fixture.xtask(&["release", "v0.1.0", "--lab", "--create-tag", "--no-github-release"]).expect(0);
    lab.reset();
    let ran = fixture.xtask(&["verify", "--lab"]).expect(0);
    let requests = lab.requests();
    let method = |wanted: &'static str| {
        let of = requests.iter().filter(move |request| request["method"] == wanted);
        of.filter_map(|request| request["path"].as_str())
    };
    // verify reads the list again without credentials, to see what is public.
    let bodies = method("GET").filter(|path| !path.ends_with("/tags/list?n=1000"));
    for (what, paths) in [("GET", bodies.collect::<Vec<_>>()), ("HEAD", method("HEAD").collect())] {
        let mut seen = std::collections::BTreeSet::new();
        let twice: Vec<_> = paths.iter().filter(|path| !seen.insert(**path)).collect();
        assert!(twice.is_empty(), "{what} twice: {twice:?}");
    }
    // How many there were and how long it took is the command's to say; time is no matter of a test.
    let counted = ran.stderr.lines().find(|line| line.contains(" requests in ")).unwrap();
    println!("{} requests at the registry; {counted}", requests.len());
    assert!(requests.len() <= 80, "{} requests", requests.len());
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn smoke_tests_start_the_published_digest() {
    let (fixture, lab) = published();
    lab.empty_engine();
    let smoked = |expected: &str| {
        let found = verify(&fixture, &["--smoke"]).json();
        let one = found.as_array().unwrap().iter().find(|one| one["check"] == "smoke").unwrap();
        let shown =
            format!("{}: {}", one["level"].as_str().unwrap(), one["detail"].as_str().unwrap());
        assert!(shown.starts_with(expected), "{shown}");
        shown
    };
    smoked("fail: it exited with 0 before it was healthy");
    let service = |stop: &str, command: &str| {
        let health = "HEALTHCHECK --interval=1s CMD [\"true\"]";
        fixture.configure(
            "[workspace.metadata.images.services.web.smoke-test]\nstop-timeout-seconds = 2\n",
        );
        fixture.service(
            "web",
            &format!("FROM debian:bookworm\nUSER 1000:1000\n{stop}\n{health}\nCMD {command}\n"),
        );
        fixture.commit("fix: it stays");
        fixture.xtask(&["push", "--lab"]).expect(0);
    };
    // It must end at SIGTERM, even if its image names a different stop signal.
    service(
        "STOPSIGNAL SIGUSR1",
        r#"["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]"#,
    );
    let passed = smoked("pass: healthy after");
    assert!(passed.ends_with("answers, runs as 1000, stops"), "{passed}");
    // The first program of a container gets no signal that it does not handle. Its stop signal would kill it.
    service("STOPSIGNAL SIGKILL", r#"["sleep", "60"]"#);
    smoked("fail: it did not stop within 2 s of SIGTERM");
    // The engine cannot pull the image, which says nothing about the image.
    lab.empty_engine();
    let manifest = format!("{}/web/manifests/sha256", fixture.repository);
    lab.fault(
        &json!({"match": {"path": manifest, "method": "HEAD"}, "action": {"kind": "denied"}}),
    );
    smoked("unknown: cannot pull the image");
    lab.no_faults();
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn verify_counts_untagged_versions_on_github() {
    let (fixture, lab) = published();
    let repository = format!("{}/web", fixture.repository);
    let package = Package::new(&lab, &repository, &["dev"]);
    let (_, kind, bytes) = &package.objects[&package.tags["dev"]];
    let mut index: Value = serde_json::from_slice(bytes).unwrap();
    index["annotations"]["left"] = "behind".into();
    let digest = package.put("manifests", kind, None, index.to_string().as_bytes());
    // A young version may belong to a running push.
    assert_eq!(findings(&fixture, &[]), [] as [&str; 0]);
    lab.age_all(&repository, [digest.as_str()].into_iter(), "2025-01-01T00:00:00Z");
    let reported = findings(&fixture, &[]);
    let counted = "warn web untagged: untagged versions to delete: 1";
    assert_eq!(reported, [counted]);
}

#[cfg(unix)]
#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn verify_believes_cosign_and_gh_about_signatures() {
    use std::os::unix::fs::PermissionsExt;
    let (fixture, lab) = published();
    let signed = |by: &str| fixture.configure(&format!("{LIMITS}signed = \"{by}\"\n"));
    let programs = tempfile::tempdir().unwrap();
    let calls = programs.path().join("calls");
    let signature = |program: &str, code: i32| {
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> {}\necho 'no matching signatures' >&2\nexit {code}\n",
            calls.display()
        );
        let path = programs.path().join(program);
        xtask::outside::files::write_atomically(&path, script.as_bytes()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = fixture.command(&["verify", "--lab", "--format=json"]);
        let before = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{before}", programs.path().display()));
        let found = Ran::from(command.output().unwrap()).json();
        let one = found.as_array().unwrap().iter().find(|one| one["check"] == "signature").unwrap();
        format!("{}: {}", one["level"].as_str().unwrap(), one["detail"].as_str().unwrap())
    };
    let (_, digest) = lab.manifest(&format!("{}/web", fixture.repository), "dev").unwrap();
    let image = format!("{}/{}/web@{digest}", lab.registry(), fixture.repository);
    signed("cosign");
    assert_eq!(signature("cosign", 0), "pass: verified by cosign");
    let refused = "rejects it: no matching signatures";
    assert_eq!(signature("cosign", 1), format!("fail: cosign {refused}"));
    signed("github");
    assert_eq!(signature("gh", 0), "pass: verified by gh");
    assert_eq!(signature("gh", 1), format!("fail: gh {refused}"));
    let calls = std::fs::read_to_string(&calls).unwrap();
    let identity = format!(
        "verify --certificate-oidc-issuer=https://token.actions.githubusercontent.com \
         --certificate-identity-regexp=(?i)^https://github\\.com/{}/ {image}",
        fixture.repository
    );
    let attested = format!("attestation verify oci://{image} --repo {}", fixture.repository);
    for expected in [&identity, &attested] {
        assert!(calls.lines().any(|line| line == expected), "{expected}\n{calls}");
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn label_control_sequences_never_reach_the_terminal() {
    let (fixture, lab) = published();
    let repository = format!("{}/web", fixture.repository);
    let package = Package::new(&lab, &repository, &["dev"]);
    package.changed(&["dev"], |value| {
        value["config"]["Labels"]["org.opencontainers.image.revision"] = "\u{1b}[2J\u{7}x".into();
    });
    let shown = fixture.xtask(&["verify", "--lab"]);
    assert!(shown.stdout.contains("revision labels disagree"), "{}", shown.stdout);
    let control = shown.stdout.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "{:?}", shown.stdout);
}

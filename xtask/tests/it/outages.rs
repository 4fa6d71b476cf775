//! A registry that does not recover ends every command that needs it with exit code 4.

use crate::support::scripted_registry::{self, Answer, ScriptedRegistry};
use crate::support::{Fixture, Ran};

/// A repository whose registry gives this answer to every request.
fn fixture(answer: &Answer) -> (Fixture, ScriptedRegistry) {
    let registry = scripted_registry::start();
    registry.always("", "", answer.clone());
    let fixture = Fixture::new();
    let address = registry.address();
    fixture.write(
        "Cargo.toml",
        &format!(
            "[workspace]\nmembers = []\n\n[workspace.metadata.images]\nrepository = \"o/r\"\n\
             registry = \"{address}\"\nplatforms = [\"linux/amd64\"]\n"
        ),
    );
    fixture.service("web", "FROM scratch\nCOPY Dockerfile /\n");
    fixture.commit("feat: a service");
    (fixture, registry)
}

/// Commands that run into an outage end with 4.
fn check(commands: &[&[&str]]) {
    let outages = [
        Answer::status(503),
        // Longer than any command waits.
        Answer::status(429).header("Retry-After", "900"),
        Answer::broken(),
    ];
    let run = |arguments: &[&str], outage: &Answer| {
        let (fixture, registry) = fixture(outage);
        let github = format!("http://{}", registry.address());
        let mut command = fixture.command(arguments);
        let command = command.env("GITHUB_API_URL", github).env("GH_TOKEN", "a-token");
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.code, Some(4), "{arguments:?} {outage:?}\n{}{}", ran.stdout, ran.stderr);
        assert!(!registry.log().is_empty(), "{arguments:?} asks nothing");
    };
    std::thread::scope(|scope| {
        for (arguments, outage) in commands.iter().flat_map(|c| outages.iter().map(move |o| (c, o)))
        {
            scope.spawn(move || run(arguments, outage));
        }
    });
}

#[test]
fn an_outage_ends_a_push_with_4() {
    check(&[&["push"], &["push", "--dry-run"]]);
}

#[test]
fn an_outage_ends_a_release_with_4() {
    check(&[
        &["release", "v1.0.0", "--create-tag"],
        &["release", "v1.0.0", "--create-tag", "--promote"],
        &["release", "v1.0.0", "--dry-run"],
    ]);
}

#[test]
fn an_outage_ends_a_prune_with_4() {
    for backend in ["--backend=registry", "--backend=github"] {
        check(&[
            &["prune", backend],
            &["prune", backend, "--apply"],
            &["prune", backend, "explain", "web:dev"],
        ]);
    }
}

#[test]
fn an_outage_ends_verify_and_cache_with_4() {
    check(&[&["verify"], &["cache", "status"], &["cache", "invalidate"]]);
}

/// A repository whose commit is published, and a registry that has the image.
fn published() -> (Fixture, ScriptedRegistry) {
    let (fixture, registry) = fixture(&Answer::status(404));
    registry.forget_hooks();
    let revision = fixture.git(&["rev-parse", "HEAD"]);
    let labels = [("org.opencontainers.image.revision", revision.as_str())];
    let digest = registry.add_image("o/r/web", &labels);
    registry.set_tag("o/r/web", &format!("dev-{revision}"), &digest);
    registry.set_tag("o/r/web", "dev", &digest);
    (fixture, registry)
}

#[test]
fn a_github_outage_ends_a_release_with_4() {
    let (fixture, registry) = published();
    let github = scripted_registry::start();
    github.always("", "", Answer::status(503));
    let mut command = fixture.command(&["release", "v1.0.0", "--create-tag", "--promote"]);
    let url = format!("http://{}", github.address());
    let ran = Ran::from(command.env("GITHUB_API_URL", url).env("GH_TOKEN", "x").output().unwrap());
    let ran = ran.expect(4);
    assert!(ran.stderr.contains("cannot ask GitHub"), "{}", ran.stderr);
    // The images are published all the same, and reported.
    assert!(ran.stdout.contains("promoted"), "{}", ran.stdout);
    assert!(registry.tag("o/r/web", "v1.0.0").is_some());
}

#[test]
fn a_failed_deletion_ends_a_prune_with_4() {
    let (fixture, registry) = published();
    // A signature of an image that is gone.
    let signature = registry.add_image("o/r/web", &[("made", "before")]);
    let tag = format!("sha256-{}.sig", "0".repeat(64));
    registry.set_tag("o/r/web", &tag, &signature);
    registry.always("DELETE", signature.as_str(), Answer::status(503));
    let ran = fixture.xtask(&["prune", "--backend=registry", "--apply"]).expect(4);
    assert!(ran.stderr.contains("server error 503"), "{}", ran.stderr);
    assert_eq!(registry.tag("o/r/web", &tag), Some(signature));
}

//! The lines of the real workflow files, run in the lab for each event that starts them, under the
//! environment that GitHub gives. The tests check what ends up in the registry, in the Actions cache and
//! at the stand-in for GitHub.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::Fixture;
use crate::support::events::{Event, TOKEN};
use crate::support::jobs::WorkflowRun;
use crate::support::lab::Lab;
use crate::support::lab_jobs::run;

/// A server that answers on a port and stops on request.
const SERVER: &str = r#"RUN printf '%s\n' '#!/usr/bin/perl' 'use IO::Socket::INET; $SIG{TERM} = sub { exit 0 };' 'my $s = IO::Socket::INET->new(LocalPort => 8000, Listen => 5);' 'while (my $c = $s->accept) { print $c "HTTP/1.0 200 OK\r\n\r\nwell\n"; close $c }' > /server && chmod +x /server
CMD ["/server"]
"#;

const CONTRACT: &str = "\
[workspace.metadata.images.services.web.smoke-test]
port = 8000
body = 'well'
timeout-seconds = 5
";

/// The files of this repository below `.github`.
fn github_files(fixture: &Fixture) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for path in xtask::outside::files::below(&root.join(".github")).unwrap() {
        let inside = path.strip_prefix(root).unwrap();
        fixture.write(inside.to_str().unwrap(), &std::fs::read_to_string(&path).unwrap());
    }
}

fn change(fixture: &Fixture, service: &str) -> String {
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    fixture.service(service, &format!("FROM debian:bookworm\nRUN echo {seed} > /seed\n{SERVER}"));
    fixture.commit("feat: another image")
}

/// A repository on its branch dev, with two services and the real workflows; nothing is published.
fn repository() -> (Fixture, Lab) {
    let fixture = Fixture::unpublished();
    fixture.configure(CONTRACT);
    github_files(&fixture);
    change(&fixture, "api");
    change(&fixture, "web");
    let lab = Lab::up(&fixture);
    lab.clear_cache();
    (fixture, lab)
}

fn image(fixture: &Fixture, service: &str) -> String {
    format!("{}/{service}", fixture.repository)
}

fn pull_request(fixture: &Fixture, lab: &Lab) -> WorkflowRun {
    run(fixture, lab, "docker-build.yml", &Event::pull_request(fixture))
}

fn dev(fixture: &Fixture, lab: &Lab, event: &Event) -> WorkflowRun {
    run(fixture, lab, "docker-dev-build.yml", event)
}

/// A push to dev that publishes both services.
fn pushed(fixture: &Fixture, lab: &Lab) -> WorkflowRun {
    let published = ["affected: 0", "push (api): 0", "push (web): 0"];
    dev(fixture, lab, &Event::push_to_dev()).expect(&published)
}

fn release(fixture: &Fixture, lab: &Lab, event: &Event) -> WorkflowRun {
    run(fixture, lab, "release.yml", event)
}

/// The tags of a service, with `SHA` in place of the commit.
fn tags(lab: &Lab, fixture: &Fixture, service: &str, commit: &str) -> Vec<String> {
    let tags = lab.tags(&image(fixture, service));
    tags.iter().map(|tag| tag.replace(commit, "SHA")).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The rows of a page's tables of images.
fn rows(page: &str) -> Vec<&str> {
    let is_of_service = |line: &&str| line.starts_with("| api |") || line.starts_with("| web |");
    let tables = page.split("## Images\n").skip(1);
    tables
        .filter_map(|table| table.split("\n#").next())
        .flat_map(str::lines)
        .filter(is_of_service)
        .collect()
}

/// The cache scopes that contain something of a service.
fn scopes(lab: &Lab, service: &str) -> BTreeSet<String> {
    let entries = lab.cache_entries().into_iter();
    let index = format!("index-{service}-");
    entries.filter(|(_, key)| key.starts_with(&index)).map(|(scope, _)| scope).collect()
}

fn pull_request_of_web() -> (Fixture, Lab, String) {
    let (fixture, lab) = repository();
    fixture.git(&["checkout", "--quiet", "-b", "feature/x"]);
    let commit = change(&fixture, "web");
    (fixture, lab, commit)
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_pull_request_builds_and_leaves_no_tag() {
    let (fixture, lab, commit) = pull_request_of_web();
    let ran = pull_request(&fixture, &lab).expect(&["affected: 0", "build (web): 0"]);
    assert!(ran.stderr().contains("web: healthy after"), "{}", ran.stderr());
    assert_eq!(tags(&lab, &fixture, "web", &commit), [] as [&str; 0]);
    assert_eq!(scopes(&lab, "web"), BTreeSet::from(["refs/pull/1/merge".to_owned()]));
    assert_eq!(scopes(&lab, "api"), BTreeSet::new());

    // A change of no service builds nothing.
    fixture.git(&["checkout", "--quiet", "-B", "feature/y", "dev"]);
    fixture.write("README.md", "another");
    fixture.commit("docs: nothing of a service");
    pull_request(&fixture, &lab).expect(&["affected: 0", "build: skipped"]);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_fork_is_built_and_writes_nothing() {
    let (fixture, lab, commit) = pull_request_of_web();
    let event = Event::pull_request_from_fork(&fixture);
    let ran = run(&fixture, &lab, "docker-build.yml", &event);
    let ran = ran.expect(&["affected: 0", "build (web): 0"]);
    assert!(!format!("{}{}{}", ran.stdout(), ran.stderr(), ran.summary()).contains(TOKEN));
    assert_eq!(lab.cache_entries(), []);

    // A fork can change the workflow, and still cannot push.
    let path = ".github/workflows/docker-build.yml";
    let text = std::fs::read_to_string(fixture.root().join(path)).unwrap();
    let pushes = text.replace("build \"$SERVICE\" --channel pr --test", "push \"$SERVICE\"");
    assert_ne!(pushes, text);
    fixture.write(path, &pushes);
    fixture.commit("feat: push from a pull request");
    let event = Event::pull_request_from_fork(&fixture);
    let ran = run(&fixture, &lab, "docker-build.yml", &event);
    let ran = ran.expect(&["affected: 0", "build (web): 3"]);
    assert!(ran.stderr().contains("a pull request never publishes"), "{}", ran.stderr());
    assert_eq!(tags(&lab, &fixture, "web", &commit), [] as [&str; 0]);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn one_failed_service_leaves_the_others() {
    let (fixture, lab, _) = pull_request_of_web();
    fixture.service("api", "FROM debian:bookworm\nRUN exit 7\n");
    let commit = fixture.commit("feat: a mistake");
    pull_request(&fixture, &lab).expect(&["affected: 0", "build (api): 1", "build (web): 0"]);
    assert_eq!(tags(&lab, &fixture, "api", &commit), [] as [&str; 0]);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_push_to_dev_publishes_images_and_cache() {
    let (fixture, lab) = repository();
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    let ran = pushed(&fixture, &lab);
    for service in ["api", "web"] {
        assert_eq!(tags(&lab, &fixture, service, &commit), ["cache", "dev", "dev-SHA"]);
        assert_eq!(scopes(&lab, service), BTreeSet::from(["refs/heads/dev".to_owned()]));
        assert!(lab.github_release(&fixture.repository, "v1.2.3").is_none());
    }
    let page = ran.summary();
    assert_eq!(rows(&page).len(), 2, "{page}");
    for row in rows(&page) {
        assert!(row.contains("| built |") && row.contains(&format!("`dev-{commit}`")), "{row}");
    }
    // An unchanged image only gets a tag.
    fixture.write("README.md", "another");
    let next = fixture.commit("docs: nothing of a service");
    let before = lab.manifest(&image(&fixture, "web"), "dev").unwrap().1;
    let page = pushed(&fixture, &lab).summary();
    assert!(rows(&page).iter().all(|row| row.contains("| unchanged |")), "{page}");
    let exact = lab.manifest(&image(&fixture, "web"), &format!("dev-{next}")).unwrap().1;
    assert_eq!(exact, before);
}

const OF_A_RELEASE: [&str; 5] = ["1", "1.2", "SHA", "latest", "v1.2.3"];

fn has_all(tags: &[String]) -> bool {
    OF_A_RELEASE.iter().all(|tag| tags.iter().any(|there| there == tag))
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_release_tag_publishes_the_version() {
    let (fixture, lab) = repository();
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    fixture.git(&["tag", "v1.2.3"]);
    let ran = release(&fixture, &lab, &Event::push_of_tag("v1.2.3"));
    let ran = ran.expect(&["by-hand: skipped", "tagged: 0"]);
    for service in ["api", "web"] {
        let tags = tags(&lab, &fixture, service, &commit);
        assert!(has_all(&tags), "{tags:?}");
        assert_eq!(scopes(&lab, service), BTreeSet::from(["refs/tags/v1.2.3".to_owned()]));
    }
    let page = ran.summary();
    assert!(rows(&page).iter().all(|row| row.contains("`latest`")), "{page}");
    assert_eq!(rows(&page).len(), 2, "{page}");
    let release = lab.github_release(&fixture.repository, "v1.2.3").unwrap();
    assert_eq!(release["draft"], Value::Bool(false), "{release:#}");
    assert!(release["body"].as_str().unwrap().contains("docker pull"), "{release:#}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_release_by_hand_promotes_the_tested_image() {
    let (fixture, lab) = repository();
    let commit = fixture.git(&["rev-parse", "HEAD"]);
    pushed(&fixture, &lab);
    let dev = lab.manifest(&image(&fixture, "web"), "dev").unwrap().1;
    let before = tags(&lab, &fixture, "web", &commit);

    let by_hand = |inputs: &[(&str, &str)], code: i32| {
        let ran = release(&fixture, &lab, &Event::by_hand("dev", inputs));
        ran.expect(&[&format!("by-hand: {code}"), "tagged: skipped"])
    };
    let promoted = [("version", "v1.2.3"), ("promote", "true")];
    let shown = by_hand(&[&promoted[..], &[("dry-run", "true")]].concat(), 0);
    assert!(shown.stdout().contains("# tag latest moves ("), "{}", shown.stdout());
    assert_eq!(tags(&lab, &fixture, "web", &commit), before);
    assert_eq!(lab.github_release(&fixture.repository, "v1.2.3"), None);
    assert_eq!(fixture.git(&["tag", "--list"]), "");

    let ran = by_hand(&promoted, 0);
    assert!(ran.stdout().contains("promoted"), "{}", ran.stdout());
    let page = ran.summary();
    assert!(rows(&page).iter().all(|row| row.contains("| promoted |")), "{page}");
    assert!(has_all(&tags(&lab, &fixture, "web", &commit)));
    assert_eq!(lab.manifest(&image(&fixture, "web"), "v1.2.3").unwrap().1, dev);
    assert_eq!(fixture.git(&["tag", "--list"]), "v1.2.3");
    assert!(lab.github_release(&fixture.repository, "v1.2.3").is_some());

    // A commit that was never on dev has nothing to promote; without `--promote` it is built.
    change(&fixture, "web");
    let next = ("version", "v1.2.4");
    let refused = by_hand(&[next, ("promote", "true")], 3);
    assert!(refused.stderr().contains("to promote"), "{}", refused.stderr());
    let ran = by_hand(&[next], 0);
    assert!(!ran.stdout().contains("promoted"), "{}", ran.stdout());
    assert_ne!(lab.manifest(&image(&fixture, "web"), "v1.2.4").unwrap().1, dev);
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_weekly_prune_deletes_only_when_allowed() {
    let (fixture, lab) = repository();
    fixture.configure(&format!(
        "[workspace.metadata.images.retention]\nkeep-last = 1\nmax-share = 1.0\n{CONTRACT}"
    ));
    let first = fixture.commit("feat: keep little");
    pushed(&fixture, &lab);
    let second = change(&fixture, "web");
    pushed(&fixture, &lab);
    change(&fixture, "web");
    pushed(&fixture, &lab);
    let before = lab.tags(&image(&fixture, "web"));
    let ran = run(&fixture, &lab, "prune.yml", &Event::weekly(false));
    let ran = ran.expect(&["apply: skipped", "plan: 0"]);
    // Two images, each an index with its image and its attestation.
    assert!(ran.stdout().contains("web: 6 of "), "{}", ran.stdout());
    assert_eq!(lab.tags(&image(&fixture, "web")), before);
    let cached = lab.cache_entries();

    let ran = run(&fixture, &lab, "prune.yml", &Event::weekly(true));
    ran.expect(&["apply: 0", "plan: skipped"]);
    let mut after = before;
    for old in [first, second] {
        assert!(after.remove(&format!("dev-{old}")), "{after:?}");
    }
    assert_eq!(lab.tags(&image(&fixture, "web")), after);
    assert_eq!(lab.cache_entries(), cached);
    lab.whole(&image(&fixture, "web"), "dev");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn the_dev_workflow_by_hand_rebuilds_on_dev() {
    let (fixture, lab) = repository();
    pushed(&fixture, &lab);
    lab.clear_cache();
    fixture.write("README.md", "another");
    let commit = fixture.commit("docs: nothing of a service");
    let elsewhere = dev(&fixture, &lab, &Event::by_hand("feature/x", &[]));
    elsewhere.expect(&["affected: skipped", "push: skipped"]);
    assert!(!tags(&lab, &fixture, "web", &commit).contains(&"dev-SHA".to_owned()));
    let ran = dev(&fixture, &lab, &Event::by_hand("dev", &[]));
    let page = ran.expect(&["affected: 0", "push (api): 0", "push (web): 0"]).summary();
    assert!(rows(&page).iter().all(|row| row.contains("| built |")), "{page}");
    assert!(tags(&lab, &fixture, "web", &commit).contains(&"dev-SHA".to_owned()));
    assert_eq!(scopes(&lab, "web"), BTreeSet::from(["refs/heads/dev".to_owned()]));
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_new_service_needs_only_a_folder() {
    let (fixture, lab) = repository();
    pushed(&fixture, &lab);
    fixture.git(&["checkout", "--quiet", "-b", "feature/new"]);
    let commit = change(&fixture, "new");
    pull_request(&fixture, &lab).expect(&["affected: 0", "build (new): 0"]);

    fixture.git(&["checkout", "--quiet", "dev"]);
    fixture.git(&["merge", "--quiet", "--ff-only", "feature/new"]);
    let ran = dev(&fixture, &lab, &Event::push_to_dev());
    ran.expect(&["affected: 0", "push (api): 0", "push (new): 0", "push (web): 0"]);
    fixture.git(&["tag", "v1.2.3"]);
    let ran = release(&fixture, &lab, &Event::push_of_tag("v1.2.3"));
    ran.expect(&["by-hand: skipped", "tagged: 0"]);
    let tags = tags(&lab, &fixture, "new", &commit);
    assert!(has_all(&tags) && tags.contains(&"dev-SHA".to_owned()), "{tags:?}");
    let verified = fixture.xtask(&["verify", "--lab", "--format=json", "new"]).expect(0).json();
    let closures = verified.as_array().unwrap().iter().filter(|one| one["check"] == "closure");
    let closures: Vec<_> = closures.map(|one| json!([one["subject"], one["level"]])).collect();
    let expected = ["new:v1.2.3", "new:dev", "new:cache"].map(|subject| json!([subject, "pass"]));
    assert_eq!(closures, expected, "{verified:#}");
    let pruned = run(&fixture, &lab, "prune.yml", &Event::weekly(false));
    let pruned = pruned.expect(&["apply: skipped", "plan: 0"]).stdout();
    assert!(pruned.contains("\nnew: 0 of "), "{pruned}");
}

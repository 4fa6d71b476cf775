//! Two runs of the real `push` or `release` at the same time, against a scripted registry: the second one runs
//! from start to end before one request of the first one, for each request that decides something.

use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use crate::support::Ran;
use crate::support::project::Project;

/// A request by its number, counted from 1, its method and the end of its path; `EXACT` is the exact tag.
type Moment = (usize, &'static str, &'static str);

/// How two runs have ended.
struct Ended {
    first: Ran,
    second: Ran,
    text: String,
}

/// Runs `first`, and all of `second` before one of its requests.
fn race(project: &Project, at: Moment, exact: &str, mut first: Command, second: Command) -> Ended {
    let (n, method, end) = at;
    let (second, ended) = (Mutex::new(second), Arc::new(Mutex::new(None)));
    let ran = Arc::clone(&ended);
    project.registry.before(n, method, &end.replace("EXACT", exact), move |_| {
        let output = second.lock().unwrap().output().unwrap();
        *ran.lock().unwrap() = Some(Ran::from(output));
        None
    });
    let first = Ran::from(first.output().unwrap());
    let second = ended.lock().unwrap().take();
    let second = second.unwrap_or_else(|| unreachable!("no request {at:?}: {first:#?}"));
    let text = format!("before {at:?}\n{}\n{}", first.stderr, second.stderr);
    Ended { first, second, text }
}

/// The requests of a `push` that builds.
const OF_PUSH: [Moment; 9] = [
    (1, "GET", "/tags/list"),
    (1, "GET", "/manifests/dev"),
    (1, "HEAD", "/manifests/EXACT"),
    (1, "POST", "/build"),
    (1, "GET", "/manifests/EXACT"),
    (1, "HEAD", "/manifests/dev"),
    (1, "PUT", "/manifests/dev"),
    (2, "HEAD", "/manifests/dev"),
    (2, "GET", "/tags/list"),
];

/// Two commits on top of a published one. Both change the service.
fn two_commits() -> (Project, String, String) {
    let project = Project::new();
    let base = project.head();
    project.publish(&base, &["dev", &format!("dev-{base}")]);
    let (older, newer) = (project.change("older"), project.change("newer"));
    (project, older, newer)
}

#[test]
fn a_newer_push_inside_an_older_wins() {
    for at in OF_PUSH {
        let (project, older, newer) = two_commits();
        let first = project.command_in(&project.checkout(&older), &["push"]);
        let second = project.command(&["push"]);
        let ended = race(&project, at, &format!("dev-{older}"), first, second);
        assert_eq!(project.tag("dev"), project.tag(&format!("dev-{newer}")), "{}", ended.text);
        assert_eq!((ended.first.code, ended.second.code), (Some(3), Some(0)), "{}", ended.text);
    }
}

#[test]
fn an_older_push_inside_a_newer_loses() {
    for at in OF_PUSH {
        let (project, older, newer) = two_commits();
        let first = project.command(&["push"]);
        let second = project.command_in(&project.checkout(&older), &["push"]);
        let ended = race(&project, at, &format!("dev-{newer}"), first, second);
        assert_eq!(project.tag("dev"), project.tag(&format!("dev-{newer}")), "{}", ended.text);
        assert_eq!(ended.first.code, Some(0), "{}", ended.text);
        assert!(matches!(ended.second.code, Some(0 | 3)), "{}", ended.text);
    }
}

#[test]
fn two_pushes_of_a_commit_publish_one_image() {
    for at in OF_PUSH.into_iter().chain([(2, "HEAD", "/manifests/EXACT")]) {
        let (project, _, newer) = two_commits();
        let exact = format!("dev-{newer}");
        let (first, second) = (project.command(&["push"]), project.command(&["push"]));
        let ended = race(&project, at, &exact, first, second);
        assert_eq!(project.tag("dev"), project.tag(&exact), "{}", ended.text);
        assert_eq!((ended.first.code, ended.second.code), (Some(0), Some(0)), "{}", ended.text);
    }
}

const RELEASE: [&str; 4] = ["release", "v1.2.3", "--create-tag", "--no-github-release"];
const FLOATING: [&str; 3] = ["1.2", "1", "latest"];

/// A commit that is tagged and to be released.
fn tagged() -> Project {
    let project = Project::new();
    project.fixture.git(&["tag", "v1.2.3"]);
    project
}

#[track_caller]
fn check_release(project: &Project, text: &str) {
    let exact = project.tag("v1.2.3");
    assert!(exact.is_some(), "{text}");
    for tag in FLOATING {
        assert_eq!(project.tag(tag), exact, "{tag} {text}");
    }
    // It belongs to the first of two images.
    assert!(project.tag(&project.head()).is_some(), "{text}");
}

#[test]
fn two_runs_of_a_release_publish_one_image() {
    for at in [
        (1, "GET", "/tags/list"),
        (1, "HEAD", "/manifests/v1.2.3"),
        (1, "POST", "/build"),
        (1, "GET", "/manifests/v1.2.3"),
        (2, "GET", "/tags/list"),
        (1, "PUT", "/manifests/1"),
        (1, "PUT", "/manifests/latest"),
        (3, "GET", "/tags/list"),
    ] {
        let project = tagged();
        let (first, second) = (project.command(&RELEASE), project.command(&RELEASE));
        let ended = race(&project, at, "", first, second);
        check_release(&project, &ended.text);
        assert_eq!((ended.first.code, ended.second.code), (Some(0), Some(0)), "{}", ended.text);
    }
}

/// Two runs of `line`: the second has read that no image exists; then the first publishes, up to its request
/// `end`; then the build of the second pushes over the exact tag, and the first goes on.
fn push_over_the_exact_tag(project: &Project, line: &[&str], end: &str) {
    let (mut first, mut second) = (project.command(line), project.command(line));
    first.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ((reached, is_reached), (over, is_over)) = (channel(), channel::<()>());
    let (first, is_reached, is_over) =
        (Mutex::new(first), Mutex::new(is_reached), Mutex::new(is_over));
    project.registry.before(1, "HEAD", end, move |_| {
        reached.send(()).unwrap();
        // An error says that the other side is gone, which is when the second run has ended.
        let _ = is_over.lock().unwrap().recv();
        None
    });
    let running = Arc::new(Mutex::new(None));
    let begun = Arc::clone(&running);
    project.registry.before(1, "POST", "/build", move |_| {
        *begun.lock().unwrap() = Some(first.lock().unwrap().spawn().unwrap());
        is_reached.lock().unwrap().recv().unwrap();
        None
    });
    Ran::from(second.output().unwrap()).expect(0);
    drop(over);
    let child = running.lock().unwrap().take().unwrap();
    Ran::from(child.wait_with_output().unwrap()).expect(0);
}

#[test]
fn dev_follows_an_overwritten_exact_tag() {
    let (project, _, newer) = two_commits();
    push_over_the_exact_tag(&project, &["push"], "/manifests/dev");
    assert_eq!(project.tag("dev"), project.tag(&format!("dev-{newer}")));
}

#[test]
fn floating_tags_follow_an_overwritten_exact_tag() {
    let project = tagged();
    push_over_the_exact_tag(&project, &RELEASE, &format!("/manifests/{}", project.head()));
    check_release(&project, "");
}

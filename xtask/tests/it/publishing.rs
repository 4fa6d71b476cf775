//! The real `push` and `release` against a scripted registry, without an engine: which requests they send, what
//! they refuse, and what they leave when they are killed or a request fails.

use std::process::Stdio;
use std::sync::{Arc, OnceLock};

use xtask::model::reference::Digest;
use xtask::outside::registry::digest::sha256;

use crate::support::processes::signal;
use crate::support::project::Project;
use crate::support::scripted_registry::Answer;

/// A published commit, and one on top of it that changes no service.
fn unchanged() -> (Project, String) {
    let project = Project::new();
    let older = project.head();
    project.publish(&older, &["dev", &format!("dev-{older}")]);
    let ours = project.commit("docs: notes");
    (project, ours)
}

/// A commit whose image was pushed as `dev-<sha>` and tested.
fn tested() -> (Project, Digest) {
    let project = Project::new();
    let ours = project.head();
    let digest = project.publish(&ours, &["dev", &format!("dev-{ours}")]);
    (project, digest)
}

const PROMOTE: [&str; 5] =
    ["release", "v1.2.3", "--promote", "--create-tag", "--no-github-release"];
const FLOATING: [&str; 3] = ["1.2", "1", "latest"];

/// The requests of the service `web`, without their common start; digests and commits are shortened.
fn requests(project: &Project) -> Vec<String> {
    let ours = project.head();
    let short = |line: &String| {
        let line = line.replace("/v2/o/r/web/", "").replace(&ours, "SHA");
        line.split_once("sha256:").map_or(line.clone(), |(start, _)| format!("{start}DIGEST"))
    };
    project.registry.log().iter().map(short).collect()
}

#[test]
fn an_unchanged_push_sends_these_requests() {
    let (project, ours) = unchanged();
    let ran = project.xtask(&["push"]).expect(0);
    let dev = project.tag("dev");
    assert_eq!(project.tag(&format!("dev-{ours}")), dev, "{}", ran.stdout);
    let expected = [
        "GET tags/list?n=1000",
        "GET manifests/dev",
        "GET blobs/DIGEST",
        "HEAD manifests/dev-SHA",
        "PUT manifests/dev-SHA",
        "HEAD manifests/dev",
    ];
    assert_eq!(requests(&project), expected);
}

#[test]
fn a_finished_push_writes_nothing() {
    let (project, _) = tested();
    project.xtask(&["push"]).expect(0);
    assert_eq!(project.writes(), [""; 0]);
    assert!(project.registry.log().len() <= 10, "{:#?}", requests(&project));
}

#[test]
fn a_changed_service_is_built_and_pushed() {
    let (project, _) = unchanged();
    let ours = project.change("other");
    project.xtask(&["push"]).expect(0);
    assert_eq!(project.tag(&format!("dev-{ours}")), project.tag("dev"));
    // The build writes its exact tag.
    assert_eq!(project.writes(), ["dev"]);
    assert_eq!(project.registry.requests("POST", "/build").len(), 2, "the image and the cache");
}

#[test]
fn exact_tag_set_since_the_plan_is_refused() {
    let (project, ours) = unchanged();
    let exact = format!("dev-{ours}");
    let theirs = project.registry.add_image("o/r/web", &[("of", "another run")]);
    let (tag, digest) = (exact.clone(), theirs.clone());
    project.registry.before(1, "HEAD", &format!("/manifests/{exact}"), move |registry| {
        registry.set_tag("o/r/web", &tag, &digest);
        None
    });
    project.xtask(&["push"]).expect(3);
    assert_eq!(project.tag(&exact), Some(theirs));
    assert_eq!(project.writes(), [""; 0]);
}

#[test]
fn a_promotion_writes_exact_tags_first() {
    let (project, digest) = tested();
    project.xtask(&PROMOTE).expect(0);
    let ours = project.head();
    assert_eq!(project.writes(), ["v1.2.3", &ours, "1.2", "1", "latest"]);
    for tag in project.writes() {
        assert_eq!(project.tag(&tag), Some(digest.clone()), "{tag}");
    }
    assert_eq!(project.registry.requests("POST", "/build"), []);
}

#[test]
fn a_promotion_run_again_writes_nothing() {
    let (project, _) = tested();
    project.xtask(&PROMOTE).expect(0);
    let before = project.writes();
    project.xtask(&PROMOTE).expect(0);
    assert_eq!(project.writes(), before);
}

/// A promotion that is refused writes no tag.
#[track_caller]
fn check_refused(project: &Project, words: &str) {
    let ran = project.xtask(&PROMOTE).expect(3);
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(project.writes(), [""; 0]);
    assert_eq!(project.fixture.git(&["tag", "--list"]), "");
}

#[test]
fn an_untested_commit_is_not_promoted() {
    let (project, _) = tested();
    let ours = project.commit("feat: not pushed");
    check_refused(&project, &format!("there is no image `dev-{ours}` to promote"));
}

#[test]
fn an_incomplete_image_is_not_promoted() {
    let (project, _) = tested();
    // What `dev` points to was complete when it was set.
    project.registry.remove_tag("o/r/web", "dev");
    project.registry.remove("o/r/web", &sha256(b"a layer").unwrap());
    check_refused(&project, "is not complete");
}

#[test]
fn an_image_of_another_history_is_not_promoted() {
    let (project, _) = tested();
    let ours = project.head();
    let aside = project.commit("feat: aside");
    project.fixture.git(&["reset", "--quiet", "--hard", &ours]);
    project.publish(&aside, &[&format!("dev-{ours}")]);
    check_refused(&project, "is not in the history of");
}

/// Sets a version's tag as another release does.
fn publish_higher(project: &Project, n: usize) -> Digest {
    let higher = project.registry.add_image("o/r/web", &[("version", "1.3.0")]);
    let theirs = higher.clone();
    project.registry.before(n, "GET", "/tags/list", move |registry| {
        registry.set_tag("o/r/web", "v1.3.0", &theirs);
        None
    });
    higher
}

#[test]
fn a_higher_version_before_the_move_keeps_latest() {
    let (project, digest) = tested();
    // The first list is the plan's.
    publish_higher(&project, 2);
    let ran = project.xtask(&[&PROMOTE[..], &["--format=json"]].concat()).expect(0);
    assert!(ran.stdout.contains("v1.3.0, a higher version"), "{}", ran.stdout);
    assert_eq!(
        [project.tag("1.2"), project.tag("1"), project.tag("latest")],
        [Some(digest), None, None]
    );
}

#[test]
fn a_higher_version_after_the_move_gets_latest() {
    let (project, digest) = tested();
    let higher = Some(publish_higher(&project, 3));
    let ran = project.xtask(&[&PROMOTE[..], &["--format=json"]].concat()).expect(0);
    assert!(ran.stdout.contains("v1.3.0, a higher version"), "{}", ran.stdout);
    let tags = FLOATING.map(|tag| project.tag(tag));
    assert_eq!(tags, [Some(digest), higher.clone(), higher]);
}

#[test]
fn a_failed_move_still_yields_to_higher_versions() {
    let (project, digest) = tested();
    let higher = Some(publish_higher(&project, 3));
    project.registry.always("PUT", "/manifests/latest", Answer::broken());
    project.xtask(&PROMOTE).expect(4);
    assert_eq!(FLOATING.map(|tag| project.tag(tag)), [Some(digest), higher, None]);
}

#[test]
fn a_service_without_the_higher_version_keeps_latest() {
    let project = Project::with_services(&["web", "worker"]);
    let ours = project.head();
    let exact = format!("dev-{ours}");
    let [_, worker] =
        ["web", "worker"].map(|name| project.publish_service(name, &ours, &["dev", &exact]));
    // Each version list reads both services.
    let higher = Some(publish_higher(&project, 5));
    project.xtask(&PROMOTE).expect(0);
    assert_eq!([project.tag("1"), project.tag("latest")], [higher.clone(), higher]);
    assert_eq!(project.registry.tag("o/r/worker", "latest"), Some(worker));
}

#[test]
fn a_lost_connection_at_a_tag_is_unfinished() {
    let (project, digest) = tested();
    project.registry.always("PUT", "/manifests/1", Answer::broken());
    project.xtask(&PROMOTE).expect(4);
    assert_eq!(FLOATING.map(|tag| project.tag(tag)), [Some(digest.clone()), None, None]);
    project.registry.forget_hooks();
    project.xtask(&PROMOTE).expect(0);
    assert_eq!(FLOATING.map(|tag| project.tag(tag)), [(); 3].map(|()| Some(digest.clone())));
}

/// Kills a run before its n-th write; false if it sends fewer.
fn kill_before_write(project: &Project, n: usize, arguments: &[&str]) -> bool {
    let pid = Arc::new(OnceLock::<u32>::new());
    let to_kill = Arc::clone(&pid);
    project.registry.before(n, "PUT", "", move |_| {
        signal("KILL", &to_kill.wait().to_string());
        Some(Answer::broken())
    });
    let mut command = project.command(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    pid.set(child.id()).unwrap();
    let ended = child.wait().unwrap();
    project.registry.forget_hooks();
    ended.code().is_none()
}

#[test]
fn a_killed_promotion_is_finished_by_the_next() {
    for n in 1.. {
        let (project, digest) = tested();
        if !kill_before_write(&project, n, &PROMOTE) {
            break;
        }
        // The n-th write did not happen; exact tags come first.
        let set = FLOATING.iter().filter(|tag| project.tag(tag).is_some()).count();
        assert_eq!(set, n.saturating_sub(3), "{:?}", project.writes());
        project.xtask(&PROMOTE).expect(0);
        for tag in ["v1.2.3", &project.head()].iter().chain(&FLOATING) {
            assert_eq!(project.tag(tag).as_ref(), Some(&digest), "{n} {tag}");
        }
    }
}

#[test]
fn a_push_killed_before_dev_is_finished() {
    let (project, _) = unchanged();
    let before = project.tag("dev");
    let ours = project.change("other");
    assert!(kill_before_write(&project, 1, &["push"]));
    assert_eq!(project.tag("dev"), before);
    let exact = project.tag(&format!("dev-{ours}"));
    assert!(exact.is_some());
    project.xtask(&["push"]).expect(0);
    assert_eq!(project.tag("dev"), exact);
    assert_eq!(project.tag(&format!("dev-{ours}")), exact);
}

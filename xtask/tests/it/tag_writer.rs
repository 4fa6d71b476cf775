//! The tag writer against a scripted registry: when it sets, moves and refuses a tag, and which images are
//! complete.

use std::time::Instant;

use serde_json::json;
use xtask::model::failure::Exit;
use xtask::model::manifest::media_type::{OCI_INDEX, OCI_MANIFEST};
use xtask::model::publication::TagResult;
use xtask::model::reference::{Digest, Tag};
use xtask::outside::display::{Display, Kind};
use xtask::outside::process::Runner;
use xtask::outside::registry::digest::sha256;
use xtask::outside::registry::{Client, CredentialSource, StoredManifest};
use xtask::plan::publish::{Extent, Moves, PublishOptions, Request, Requires, Tags};
use xtask::publish::TagWriter;
use xtask::report::error::rendered;

use crate::support::project::Project;
use crate::support::scripted_registry::{Answer, ScriptedRegistry};

mod races;

/// A commit to publish, on top of a commit that is published under `dev`.
struct World {
    project: Project,
    older: String,
    ours: String,
    request: Request,
    client: Client,
    runner: Runner,
    display: Display,
}

impl World {
    fn new() -> Self {
        let project = Project::new();
        let older = project.head();
        project.publish(&older, &["dev", &format!("dev-{older}")]);
        let ours = project.commit("feat: ours");
        let tag = |text: &str| Tag::new(text).unwrap();
        let request = Request {
            revision: ours.clone(),
            tags: Tags { exact: vec![tag(&format!("dev-{ours}"))], floating: vec![tag("dev")] },
            like: Some(tag("dev")),
            options: PublishOptions::default(),
        };
        let runner = Runner::new(project.fixture.root(), false);
        let client = Client::new(CredentialSource::Anonymous);
        Self { project, older, ours, request, client, runner, display: Display::new(Kind::Quiet) }
    }

    fn writer(&self) -> TagWriter<'_> {
        let Self { client, runner, request, display, .. } = self;
        TagWriter { client, runner, request, display }
    }

    /// Our image, under its exact tag.
    fn image(&self) -> StoredManifest {
        let digest = self.project.publish(&self.ours, &[&format!("dev-{}", self.ours)]);
        self.stored(&digest)
    }

    fn stored(&self, digest: &Digest) -> StoredManifest {
        self.writer().stored(&self.project.reference("dev"), digest).unwrap()
    }

    /// A commit on top of ours that another run publishes later.
    fn newer(&self) -> String {
        let newer = self.project.commit("feat: newer");
        self.project.fixture.git(&["checkout", "--quiet", &self.ours]);
        newer
    }

    fn set_exact(&self, tag: &str, image: &StoredManifest) -> anyhow::Result<TagResult> {
        self.writer().set_exact(&self.project.reference(tag), image)
    }

    /// Moves `dev` as `push` does, after a plan that saw the tags `seen`.
    fn move_dev(&self, image: &StoredManifest, seen: &[&str]) -> anyhow::Result<TagResult> {
        let seen: Vec<Tag> = seen.iter().map(|tag| Tag::new(*tag).unwrap()).collect();
        let dev = self.project.reference("dev");
        self.writer().move_tag(&dev, image, &Requires::NewestCommit, &seen)
    }

    /// Runs `change` before the n-th such request for `dev`.
    fn before(
        &self,
        n: usize,
        method: &'static str,
        change: impl Fn(&ScriptedRegistry) + Send + Sync + 'static,
    ) {
        self.project.registry.before(n, method, "/manifests/dev", move |registry| {
            change(registry);
            None
        });
    }
}

const WEB: &str = "o/r/web";

#[track_caller]
fn check_ends<T: std::fmt::Debug>(result: anyhow::Result<T>, exit: Exit, words: &str) {
    let (ended, text) = rendered(&result.unwrap_err());
    assert!(text.contains(words), "{text}");
    assert_eq!(ended, exit, "{text}");
}

#[test]
fn a_new_exact_tag_is_set() {
    let world = World::new();
    let image = world.image();
    let set = world.set_exact("v1.0.0", &image).unwrap();
    assert_eq!((set.set, &*set.reason), (true, "new tag"));
    assert_eq!(world.project.tag("v1.0.0"), Some(image.digest));
}

#[test]
fn an_exact_tag_already_set_is_kept() {
    let world = World::new();
    let image = world.image();
    let kept = world.set_exact(&format!("dev-{}", world.ours), &image).unwrap();
    assert_eq!((kept.set, &*kept.reason), (false, "already set"));
    assert_eq!(world.project.writes(), [""; 0]);
}

#[test]
fn an_exact_tag_never_changes() {
    let world = World::new();
    let older = format!("dev-{}", world.older);
    check_ends(world.set_exact(&older, &world.image()), Exit::Refused, "never changes");
    assert_eq!(world.project.writes(), [""; 0]);
}

#[test]
fn a_dirty_tree_may_change_its_tag() {
    let mut world = World::new();
    world.request.options.dirty = true;
    let image = world.image();
    let dirty = format!("dev-{}-dirty", world.ours);
    world.project.registry.set_tag(WEB, &dirty, &world.project.tag("dev").unwrap());
    assert!(world.set_exact(&dirty, &image).unwrap().set);
    assert_eq!(world.project.tag(&dirty), Some(image.digest));
}

#[test]
fn a_commit_keeps_its_first_version() {
    let mut world = World::new();
    world.request.options.moves = Moves::ByVersion;
    let before = world.project.publish(&world.older, &[&world.ours]);
    let kept = world.set_exact(&world.ours.clone(), &world.image()).unwrap();
    assert!(!kept.set && kept.reason.contains("first version"), "{kept:?}");
    assert_eq!(world.project.tag(&world.ours), Some(before));
}

#[test]
fn dev_moves_from_an_ancestor() {
    let world = World::new();
    let image = world.image();
    let moved = world.move_dev(&image, &[]).unwrap();
    assert!(moved.set && moved.reason.ends_with("an ancestor"), "{moved:?}");
    assert_eq!(world.project.tag("dev"), Some(image.digest));
}

#[test]
fn dev_that_points_to_the_image_stays() {
    let world = World::new();
    let image = world.image();
    world.project.registry.set_tag(WEB, "dev", &image.digest);
    let before = world.project.registry.log().len();
    let kept = world.move_dev(&image, &[]).unwrap();
    assert_eq!((kept.set, &*kept.reason), (false, "already set"));
    assert_eq!(world.project.registry.log()[before..], ["HEAD /v2/o/r/web/manifests/dev"]);
}

#[test]
fn dev_is_new_or_has_no_commit() {
    let world = World::new();
    world.project.registry.remove_tag(WEB, "dev");
    let image = world.image();
    assert_eq!(world.move_dev(&image, &[]).unwrap().reason, "new tag");
    let unlabelled = world.project.registry.add_image(WEB, &[]);
    world.project.registry.set_tag(WEB, "dev", &unlabelled);
    let moved = world.move_dev(&image, &[]).unwrap();
    assert!(moved.reason.contains("does not state its commit"), "{moved:?}");
}

#[test]
fn dev_never_moves_back() {
    let world = World::new();
    let image = world.image();
    let newer = world.newer();
    world.project.fixture.git(&["checkout", "--quiet", "--detach", &world.older]);
    let aside = world.project.commit("feat: aside");
    for (revision, words) in [
        (&*newer, "is newer than"),
        (&*aside, "is not an ancestor of"),
        (&*"0123456789".repeat(4), "is missing from this clone"),
    ] {
        let labels = [("org.opencontainers.image.revision", revision)];
        let there = world.project.registry.add_image(WEB, &labels);
        world.project.registry.set_tag(WEB, "dev", &there);
        check_ends(world.move_dev(&image, &[]), Exit::Refused, words);
        assert_eq!(world.project.tag("dev"), Some(there));
    }
    assert_eq!(world.project.writes(), [""; 0]);
}

#[test]
fn a_rollback_moves_dev_anywhere() {
    let mut world = World::new();
    world.request.options.moves = Moves::Anywhere;
    let image = world.image();
    let newer = world.newer();
    world.project.publish(&newer, &["dev"]);
    let dev = world.project.reference("dev");
    assert!(world.writer().move_tag(&dev, &image, &Requires::Nothing, &[]).unwrap().set);
    assert_eq!(world.project.tag("dev"), Some(image.digest));
}

/// Removes the layer that all images share.
fn remove_the_layer(registry: &ScriptedRegistry) {
    registry.remove(WEB, &sha256(b"a layer").unwrap());
}

fn an_incomplete_newer_image_never_gets_dev() {
    let world = World::new();
    let image = world.image();
    let newer = world.newer();
    let theirs = world.project.publish(&newer, &[]);
    world.before(1, "PUT", move |registry| {
        registry.set_tag(WEB, &format!("dev-{newer}"), &theirs);
        remove_the_layer(registry);
    });
    check_ends(world.move_dev(&image, &[]), Exit::Refused, "is not complete");
    assert_eq!(world.project.tag("dev"), Some(image.digest));
}

#[test]
fn a_pushed_image_may_show_up_late() {
    let world = World::new();
    let image = world.image();
    let exact = format!("dev-{}", world.ours);
    for n in [1, 2] {
        let end = format!("/manifests/{exact}");
        world.project.registry.before(n, "GET", &end, |_| Some(Answer::status(404)));
    }
    assert_eq!(world.writer().pushed(&world.project.reference(&exact)).unwrap(), image);
}

fn a_pushed_image_that_never_shows_fails() {
    let world = World::new();
    let begun = Instant::now();
    let exact = world.project.reference(&format!("dev-{}", world.ours));
    check_ends(world.writer().pushed(&exact), Exit::Failed, "not found");
    assert!(begun.elapsed().as_secs() >= 5);
}

#[test]
fn the_image_under_our_exact_tag_counts() {
    let world = World::new();
    world.image();
    let exact = format!("dev-{}", world.ours);
    let theirs = world.project.publish(&world.older, &[&exact]);
    let pushed = world.writer().pushed(&world.project.reference(&exact)).unwrap();
    assert_eq!(pushed.digest, theirs);
}

fn an_image_without_a_layer_is_incomplete() {
    let world = World::new();
    let image = world.image();
    remove_the_layer(&world.project.registry);
    let dev = world.project.reference("dev");
    let complete = |extent| world.writer().complete(&dev, &image.digest, extent);
    complete(Extent::Manifests).unwrap();
    check_ends(complete(Extent::All), Exit::Refused, "is not complete");
}

fn an_index_without_a_manifest_is_incomplete() {
    let world = World::new();
    let image = world.image();
    let absent = sha256(b"no manifest").unwrap();
    let entry =
        |digest: &Digest| json!({ "mediaType": OCI_MANIFEST, "digest": digest, "size": 11 });
    let entries = [&image.digest, &absent].map(entry);
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    let registry = &world.project.registry;
    let index = registry.add_manifest(WEB, OCI_INDEX, index.to_string().as_bytes());
    let complete =
        world.writer().complete(&world.project.reference("dev"), &index, Extent::Manifests);
    check_ends(complete, Exit::Refused, absent.as_str());
}

#[test]
fn a_layer_may_show_up_late() {
    let world = World::new();
    let image = world.image();
    let layer = sha256(b"a layer").unwrap();
    for n in [1, 2] {
        let end = format!("/blobs/{layer}");
        world.project.registry.before(n, "HEAD", &end, |_| Some(Answer::status(404)));
    }
    let dev = world.project.reference("dev");
    let closure = world.writer().complete(&dev, &image.digest, Extent::All).unwrap();
    assert_eq!(closure.missing, []);
}

/// These run side by side because each waits until the registry has had time to catch up.
#[test]
fn an_image_that_stays_incomplete_is_refused() {
    let cases = [
        an_incomplete_newer_image_never_gets_dev,
        a_pushed_image_that_never_shows_fails,
        an_image_without_a_layer_is_incomplete,
        an_index_without_a_manifest_is_incomplete,
    ];
    std::thread::scope(|scope| {
        cases.map(|case| scope.spawn(case)).map(|case| case.join().unwrap())
    });
}

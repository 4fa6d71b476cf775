//! Another run writes between a read and a write of the tag writer.

use super::*;

#[test]
fn dev_moved_to_an_ancestor_moves_again() {
    let world = World::new();
    let image = world.image();
    let there = world.project.tag("dev").unwrap();
    // The second read follows our own write.
    world.before(2, "HEAD", move |registry| registry.set_tag(WEB, "dev", &there));
    assert!(world.move_dev(&image, &[]).unwrap().set);
    assert_eq!(world.project.tag("dev"), Some(image.digest));
    assert_eq!(world.project.writes(), ["dev", "dev"]);
}

#[test]
fn dev_moved_to_a_descendant_stays() {
    let world = World::new();
    let image = world.image();
    let newer = world.project.publish(&world.newer(), &[]);
    let theirs = newer.clone();
    world.before(2, "HEAD", move |registry| registry.set_tag(WEB, "dev", &theirs));
    check_ends(world.move_dev(&image, &[]), Exit::Refused, "is newer than");
    assert_eq!(world.project.tag("dev"), Some(newer));
    assert_eq!(world.project.writes(), ["dev"]);
}

#[test]
fn dev_moved_again_and_again_is_unfinished() {
    let world = World::new();
    let image = world.image();
    let there = world.project.tag("dev").unwrap();
    world.project.registry.hook(move |registry, request| {
        // After each of our writes another run writes, too.
        let is_look = request.method == "HEAD" && request.path.ends_with("/manifests/dev");
        if is_look {
            registry.set_tag(WEB, "dev", &there);
        }
        None
    });
    check_ends(world.move_dev(&image, &[]), Exit::Unfinished, "other runs keep moving");
    assert_eq!(world.project.writes(), ["dev"; 4]);
}

#[test]
fn a_late_answer_is_no_other_run() {
    let world = World::new();
    let image = world.image();
    let there = world.project.tag("dev").unwrap();
    for n in [2, 3] {
        let stale = Answer::status(200)
            .header("Docker-Content-Digest", there.to_string())
            .header("Content-Type", OCI_MANIFEST);
        world.project.registry.before(n, "HEAD", "/manifests/dev", move |_| Some(stale.clone()));
    }
    assert!(world.move_dev(&image, &[]).unwrap().set);
    assert_eq!(world.project.writes(), ["dev"]);
}

#[test]
fn a_newer_commit_published_since_gets_dev() {
    let world = World::new();
    let image = world.image();
    let newer = world.newer();
    let theirs = world.project.publish(&newer, &[]);
    let (digest, tag) = (theirs.clone(), format!("dev-{newer}"));
    world.before(1, "PUT", move |registry| registry.set_tag(WEB, &tag, &digest));
    check_ends(world.move_dev(&image, &[]), Exit::Refused, &format!("`dev-{newer}`, a newer"));
    assert_eq!(world.project.tag("dev"), Some(theirs));
}

#[test]
fn the_newest_of_several_commits_gets_dev() {
    let world = World::new();
    let image = world.image();
    let newer = world.newer();
    world.project.fixture.git(&["checkout", "--quiet", "--detach", &newer]);
    let newest = world.newer();
    let images = [&newer, &newest]
        .map(|revision| (format!("dev-{revision}"), world.project.publish(revision, &[])));
    let theirs = images[1].1.clone();
    world.before(1, "PUT", move |registry| {
        for (tag, digest) in &images {
            registry.set_tag(WEB, tag, digest);
        }
    });
    check_ends(world.move_dev(&image, &[]), Exit::Refused, &newest);
    assert_eq!(world.project.tag("dev"), Some(theirs));
}

/// Publishes a commit that this clone does not have.
fn publish_unknown(world: &World) -> (String, Digest) {
    let revision = "0123456789".repeat(4);
    let labels = [("org.opencontainers.image.revision", &*revision)];
    (format!("dev-{revision}"), world.project.registry.add_image(WEB, &labels))
}

#[test]
fn an_unknown_commit_published_since_gets_dev() {
    let world = World::new();
    let image = world.image();
    let (tag, theirs) = publish_unknown(&world);
    let (name, digest) = (tag.clone(), theirs.clone());
    world.before(1, "PUT", move |registry| registry.set_tag(WEB, &name, &digest));
    check_ends(
        world.move_dev(&image, &[]),
        Exit::Unfinished,
        &format!("`{tag}`, a commit missing"),
    );
    assert_eq!(world.project.tag("dev"), Some(theirs));
}

#[test]
fn an_unknown_commit_of_the_plan_is_ignored() {
    let world = World::new();
    let image = world.image();
    let (tag, theirs) = publish_unknown(&world);
    world.project.registry.set_tag(WEB, &tag, &theirs);
    assert!(world.move_dev(&image, &[&tag]).unwrap().set);
    assert_eq!(world.project.tag("dev"), Some(image.digest));
}

#[test]
fn a_missing_commit_is_fetched_from_origin() {
    let mut world = World::new();
    let image = world.image();
    let clone = world.project.fixture.root().with_file_name("clone");
    let to = clone.to_str().unwrap();
    world.project.fixture.git(&["clone", "--quiet", ".", to]);
    world.runner = Runner::new(&clone, false);
    let newer = world.project.commit("feat: newer");
    let theirs = world.project.publish(&newer, &[]);
    let (tag, digest) = (format!("dev-{newer}"), theirs.clone());
    world.before(1, "PUT", move |registry| registry.set_tag(WEB, &tag, &digest));
    check_ends(world.move_dev(&image, &[]), Exit::Refused, "a newer commit than");
    assert_eq!(world.project.tag("dev"), Some(theirs));
}

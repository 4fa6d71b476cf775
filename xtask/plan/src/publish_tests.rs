//! Tests of publishing: what is built, what is only tagged, and what is refused.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use super::*;

fn digest(digit: char) -> Digest {
    Digest::new(format!("sha256:{}", digit.to_string().repeat(64))).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn inputs(tree: &str) -> Inputs {
    Inputs {
        plan: 1,
        tree: tree.to_owned(),
        arguments: BTreeMap::new(),
        target: None,
        platforms: vec![],
        bases: BTreeMap::new(),
        sbom: false,
    }
}

fn image(digit: char, revision: &str, tree: Option<&str>) -> PublishedImage {
    PublishedImage {
        digest: digest(digit),
        revision: Some(revision.to_owned()),
        created: None,
        inputs: tree.map(inputs),
        stand_in: None,
    }
}

fn state(images: &[(&str, PublishedImage)]) -> PublishedState {
    let images = images.iter().map(|(name, image)| (tag(name), image.clone())).collect();
    PublishedState { images, ..PublishedState::default() }
}

fn request(revision: &str, wishes: Wishes) -> Request {
    let tags = Tags { exact: vec![tag("dev-b"), tag("b")], floating: vec![tag("dev")] };
    Request { revision: revision.to_owned(), tags, like: Some(tag("dev")), wishes }
}

fn check_action(
    images: &[(&str, PublishedImage)],
    tree: Option<&str>,
    wishes: Wishes,
    expected: &Expect,
) {
    check_request(images, tree, &request("b", wishes), expected);
}

fn check_request(
    images: &[(&str, PublishedImage)],
    tree: Option<&str>,
    request: &Request,
    expected: &Expect,
) {
    let decided = action(&state(images), tree.map(inputs).as_ref(), request);
    expected.assert_eq(&match decided {
        Ok(Action::Build { reason, changes }) => {
            format!("build: {reason} {}", changes.join("; ")).trim_end().to_owned()
        }
        Ok(Action::Retag { digest, reason }) => format!("retag {}: {reason}", digest.short()),
        Ok(Action::Promote { digest, reason }) => format!("promote {}: {reason}", digest.short()),
        Ok(Action::Finish { digest, reason }) => format!("finish {}: {reason}", digest.short()),
        Ok(Action::Warm { digest, reason }) => format!("warm {}: {reason}", digest.short()),
        Err(failure) => format!("{:?}: {failure}", failure.exit),
    });
}

#[test]
fn a_commit_that_is_published_is_only_finished_and_a_rebuild_fills_the_cache() {
    let rebuild = Wishes { rebuild: true, ..Wishes::default() };
    let images = [("dev-b", image('1', "b", None)), ("dev", image('2', "a", Some("t")))];
    check_action(
        &images,
        Some("t"),
        Wishes::default(),
        &expect!["finish 111111111111: `dev-b` is published, and exact tags never change"],
    );
    check_action(
        &images,
        Some("t"),
        rebuild,
        &expect!["warm 111111111111: `dev-b` is published and stays; `--rebuild` fills the cache"],
    );
    // The commit did not change the service, and so its tag has the image of an older one.
    check_action(
        &[("dev-b", image('1', "a", None))],
        Some("t"),
        Wishes::default(),
        &expect!["finish 111111111111: `dev-b` is published, and exact tags never change"],
    );
}

fn release(promote: bool) -> Request {
    let tags = Tags { exact: vec![tag("v1.2.3"), tag("b")], floating: vec![tag("latest")] };
    let wishes = Wishes { rebuild: true, promote, moves: Moves::ByVersion, ..Wishes::default() };
    Request { revision: "b".to_owned(), tags, like: Some(tag("dev-b")), wishes }
}

#[test]
fn a_version_is_finished_only_if_it_is_this_commits() {
    let check = |images: &[(&str, PublishedImage)], promote, expected: &Expect| {
        check_request(images, Some("t"), &release(promote), expected);
    };
    let ours = expect!["finish 111111111111: `v1.2.3` is published, and exact tags never change"];
    check(&[("v1.2.3", image('1', "b", None))], false, &ours);
    // A promoted image of an unchanged service tells the commit that changed it last.
    let older = image('1', "a", None);
    check(&[("v1.2.3", older.clone()), ("dev-b", older.clone())], true, &ours);
    check(&[("v1.2.3", older.clone()), ("b", older.clone())], true, &ours);
    // The git tag was made anew, on another commit.
    check(
        &[("v1.2.3", older), ("dev-b", image('2', "b", None))],
        false,
        &expect!["Refused: `v1.2.3` was published from a, and this is b"],
    );
}

#[test]
fn what_is_promoted_is_the_tested_image_and_no_other() {
    let images = [("v1.2.3", image('1', "b", None)), ("dev-b", image('2', "b", None))];
    check_request(
        &images,
        None,
        &release(true),
        &expect![
            "Refused: `v1.2.3` is sha256:1111111111111111111111111111111111111111111111111111111111111111, and `dev-b`, which is to be promoted, is sha256:2222222222222222222222222222222222222222222222222222222222222222"
        ],
    );
}

#[test]
fn a_commits_own_tag_of_an_earlier_version_is_in_nobodys_way() {
    // v1.2.3-rc.1 was released from this commit.
    let candidate = [("b", image('1', "b", None)), ("dev-b", image('2', "b", None))];
    check_request(
        &candidate,
        None,
        &release(false),
        &expect!["build: a release tells its version in its labels"],
    );
    check_request(
        &candidate,
        None,
        &release(true),
        &expect!["promote 222222222222: `dev-b` is promoted"],
    );
}

#[test]
fn an_unchanged_service_is_only_tagged() {
    check_action(
        &[("dev", image('2', "a", Some("t")))],
        Some("t"),
        Wishes::default(),
        &expect!["retag 222222222222: its inputs are those of `dev`"],
    );
    check_action(
        &[("dev", image('2', "a", Some("t")))],
        Some("t"),
        Wishes { rebuild: true, ..Wishes::default() },
        &expect!["build: `--rebuild` asks for it"],
    );
}

#[test]
fn a_changed_service_is_built_and_it_is_told_what_changed() {
    check_action(
        &[("dev", image('2', "a", Some("t")))],
        Some("u"),
        Wishes::default(),
        &expect!["build: its inputs changed its folder: t → u"],
    );
    check_action(
        &[("dev", image('2', "a", None))],
        Some("u"),
        Wishes::default(),
        &expect!["build: the published image does not tell its inputs"],
    );
    check_action(
        &[("dev", image('2', "a", Some("t")))],
        None,
        Wishes::default(),
        &expect![
            "build: its inputs cannot be known: a base cannot be resolved, or the tree is dirty"
        ],
    );
    check_action(
        &[],
        Some("u"),
        Wishes::default(),
        &expect!["build: nothing is published that it could be compared with"],
    );
}

#[test]
fn only_what_was_tested_is_promoted() {
    let promote = Wishes { promote: true, ..Wishes::default() };
    check_action(
        &[("dev", image('2', "a", Some("t")))],
        Some("other"),
        promote,
        &expect!["promote 222222222222: `dev` is promoted"],
    );
    check_action(&[], Some("t"), promote, &expect!["Refused: there is no `dev` to promote"]);
}

#[test]
fn what_moves_by_version_is_not_compared() {
    let names = |moves| {
        let wishes = Wishes { moves, ..Wishes::default() };
        let request = Request { like: None, ..request("b", wishes) };
        request.compared().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(Moves::Forward), ["b", "dev", "dev-b"]);
    assert_eq!(names(Moves::ByVersion), ["b", "dev-b"]);
    let compared = release(true).compared();
    assert_eq!(compared, ["b", "dev", "dev-b", "v1.2.3"].map(tag));
}

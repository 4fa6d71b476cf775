//! Tests of what a service needs: a build, only tags, or a refusal.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use super::*;
use crate::publish::request::{PublishOptions, Tags};
use xtask_model::failure::Exit;

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

fn request(revision: &str, options: PublishOptions) -> Request {
    let tags = Tags { exact: vec![tag("dev-b"), tag("b")], floating: vec![tag("dev")] };
    Request { revision: revision.to_owned(), tags, like: Some(tag("dev")), options }
}

fn check_action(
    images: &[(&str, PublishedImage)],
    tree: Option<&str>,
    options: PublishOptions,
    expected: &Expect,
) {
    check_request(images, tree, &request("b", options), expected);
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
fn a_published_commit_is_finished_or_warmed() {
    let rebuild = PublishOptions { rebuild: true, ..PublishOptions::default() };
    let images = [("dev-b", image('1', "b", None)), ("dev", image('2', "a", Some("t")))];
    check_action(
        &images,
        Some("t"),
        PublishOptions::default(),
        &expect!["finish 111111111111: `dev-b` is published already, and exact tags never change"],
    );
    check_action(
        &images,
        Some("t"),
        rebuild,
        &expect!["warm 111111111111: `dev-b` is published already; `--rebuild` fills the cache"],
    );
    // The commit did not change the service, so its tag points to an older commit's image.
    check_action(
        &[("dev-b", image('1', "a", None))],
        Some("t"),
        PublishOptions::default(),
        &expect!["finish 111111111111: `dev-b` is published already, and exact tags never change"],
    );
}

fn release(promote: bool) -> Request {
    let tags = Tags { exact: vec![tag("v1.2.3"), tag("b")], floating: vec![tag("latest")] };
    let options = PublishOptions {
        rebuild: true,
        promote,
        moves: Moves::ByVersion,
        ..PublishOptions::default()
    };
    Request { revision: "b".to_owned(), tags, like: Some(tag("dev-b")), options }
}

#[test]
fn only_a_version_of_this_commit_is_finished() {
    let check = |images: &[(&str, PublishedImage)], promote, expected: &Expect| {
        check_request(images, Some("t"), &release(promote), expected);
    };
    let ours =
        expect!["finish 111111111111: `v1.2.3` is published already, and exact tags never change"];
    check(&[("v1.2.3", image('1', "b", None))], false, &ours);
    // A promoted image of an unchanged service states the commit that changed it last.
    let older = image('1', "a", None);
    check(&[("v1.2.3", older.clone()), ("dev-b", older.clone())], true, &ours);
    check(&[("v1.2.3", older.clone()), ("b", older.clone())], true, &ours);
    // The git tag was recreated on another commit.
    check(
        &[("v1.2.3", older), ("dev-b", image('2', "b", None))],
        false,
        &expect!["Refused: `v1.2.3` was published from a, and the commit here is b"],
    );
}

#[test]
fn only_the_tested_image_is_promoted() {
    let images = [("v1.2.3", image('1', "b", None)), ("dev-b", image('2', "b", None))];
    check_request(
        &images,
        None,
        &release(true),
        &expect![
            "Refused: `v1.2.3` already points to sha256:1111111111111111111111111111111111111111111111111111111111111111, and `dev-b`, which is to be promoted, to sha256:2222222222222222222222222222222222222222222222222222222222222222"
        ],
    );
}

#[test]
fn an_earlier_version_is_no_obstacle() {
    // v1.2.3-rc.1 was released from this commit.
    let candidate = [("b", image('1', "b", None)), ("dev-b", image('2', "b", None))];
    check_request(
        &candidate,
        None,
        &release(false),
        &expect!["build: a release states its version in its labels"],
    );
    check_request(
        &candidate,
        None,
        &release(true),
        &expect!["promote 222222222222: promotes `dev-b`"],
    );
}

#[test]
fn an_unchanged_service_is_only_tagged() {
    check_action(
        &[("dev", image('2', "a", Some("t")))],
        Some("t"),
        PublishOptions::default(),
        &expect!["retag 222222222222: its inputs are the same as those of `dev`"],
    );
    check_action(
        &[("dev", image('2', "a", Some("t")))],
        Some("t"),
        PublishOptions { rebuild: true, ..PublishOptions::default() },
        &expect!["build: `--rebuild` asks for it"],
    );
}

#[test]
fn a_changed_service_is_built_with_its_reason() {
    check_action(
        &[("dev", image('2', "a", Some("t")))],
        Some("u"),
        PublishOptions::default(),
        &expect!["build: its inputs changed the service's folder: t → u"],
    );
    check_action(
        &[("dev", image('2', "a", None))],
        Some("u"),
        PublishOptions::default(),
        &expect!["build: the published image does not state its inputs"],
    );
    check_action(
        &[("dev", image('2', "a", Some("t")))],
        None,
        PublishOptions::default(),
        &expect!["build: its inputs are unknown: a base cannot be resolved, or the tree is dirty"],
    );
    check_action(
        &[],
        Some("u"),
        PublishOptions::default(),
        &expect!["build: no published image to compare its inputs with"],
    );
}

#[test]
fn promotion_ignores_inputs_but_needs_an_image() {
    let promote = PublishOptions { promote: true, ..PublishOptions::default() };
    check_action(
        &[("dev", image('2', "a", Some("t")))],
        Some("other"),
        promote,
        &expect!["promote 222222222222: promotes `dev`"],
    );
    check_action(&[], Some("t"), promote, &expect!["Refused: there is no image `dev` to promote"]);
}

#[test]
fn tags_that_move_by_version_are_not_compared() {
    let names = |moves| {
        let options = PublishOptions { moves, ..PublishOptions::default() };
        let request = Request { like: None, ..request("b", options) };
        request.compared().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(Moves::Forward), ["b", "dev", "dev-b"]);
    assert_eq!(names(Moves::ByVersion), ["b", "dev-b"]);
    let compared = release(true).compared();
    assert_eq!(compared, ["b", "dev", "dev-b", "v1.2.3"].map(tag));
}

#[test]
fn only_images_of_the_history_are_promoted() {
    let check = |revision: Option<&str>, relation: Option<Relation>| {
        let state = PublishedState {
            images: [(
                tag("dev-b"),
                PublishedImage { revision: revision.map(str::to_owned), ..image('1', "c", None) },
            )]
            .into(),
            relations: relation.map(|relation| (tag("dev-b"), relation)).into_iter().collect(),
            ..PublishedState::default()
        };
        promotable(&"ghcr.io/o/r/web".parse().unwrap(), &state, &release(true))
            .map_err(|failure| (failure.exit, failure.message))
    };
    let refused = |text: &str| Err((Exit::Refused, format!("`ghcr.io/o/r/web` {text}")));
    assert_eq!(check(Some("b"), Some(Relation::Same)), Ok(()));
    // The service has not changed since, so `push` only tagged the image.
    assert_eq!(check(Some("a"), Some(Relation::Older)), Ok(()));
    let apart = refused("was built from x, which is not in the history of b");
    assert_eq!(check(Some("x"), Some(Relation::Apart)), apart);
    assert_eq!(check(Some("x"), Some(Relation::Newer)), apart);
    let unknown = "was built from x, which is missing from this clone, so it is unknown whether \
                   it is in the history of b";
    assert_eq!(check(Some("x"), None), refused(unknown));
    assert_eq!(check(None, None), refused("does not state its commit"));
}

#[test]
fn a_stand_in_published_since_is_refused() {
    let repository: Reference = "ghcr.io/o/r/web".parse().unwrap();
    let stand_in = Some("debian:bookworm".to_owned());
    let published = state(&[("dev-b", PublishedImage { stand_in, ..image('1', "b", None) })]);
    let request = request("b", PublishOptions::default());
    let mut facts = crate::sample::facts("", "FROM scratch\n");
    let again = |facts: &Facts| decide_again(facts, &repository, &published, &request);
    assert_eq!(again(&facts).unwrap_err().exit, Exit::Refused);
    facts.lab = Some(xtask_model::facts::LabFacts {
        engine_host: None,
        registry: "127.0.0.1:1".parse().unwrap(),
        github_api: String::new(),
        stand_ins: BTreeMap::new(),
    });
    assert!(matches!(again(&facts), Ok(Some(Action::Finish { .. }))));
}

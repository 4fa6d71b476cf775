//! Tests of publishing: what is built, what is only tagged, and which tags may move.

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
    let decided = action(&state(images), tree.map(inputs).as_ref(), &request("b", wishes));
    expected.assert_eq(&match decided {
        Ok(Action::Build { reason, changes }) => {
            format!("build: {reason} {}", changes.join("; ")).trim_end().to_owned()
        }
        Ok(Action::Retag { digest, reason }) => format!("retag {}: {reason}", digest.short()),
        Ok(Action::Promote { digest, reason }) => format!("promote {}: {reason}", digest.short()),
        Ok(Action::Finish { digest, reason }) => format!("finish {}: {reason}", digest.short()),
        Err(failure) => format!("{:?}: {failure}", failure.exit),
    });
}

#[test]
fn a_commit_that_is_published_is_only_finished() {
    let rebuild = Wishes { rebuild: true, ..Wishes::default() };
    check_action(
        &[("dev-b", image('1', "b", None)), ("dev", image('2', "a", Some("t")))],
        Some("t"),
        rebuild,
        &expect!["finish 111111111111: `dev-b` is published, and exact tags never change"],
    );
    check_action(
        &[("dev-b", image('1', "b", None)), ("b", image('2', "b", None))],
        Some("t"),
        Wishes::default(),
        &expect![[
            r"Refused: `dev-b` is sha256:1111111111111111111111111111111111111111111111111111111111111111 and `b` is sha256:2222222222222222222222222222222222222222222222222222222222222222: exact tags of one publication differ"
        ]],
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

fn check_move(relation: Relation, newer: Option<&str>, wishes: Wishes, expected: &Expect) {
    let reference: Reference = "ghcr.io/o/r/web:dev".parse().unwrap();
    let there = image('1', "theirs", None);
    let newer = newer.map(tag);
    let there = Some((&there, relation));
    let request = request("ours", wishes);
    let moved = movement(&reference, there, newer.as_ref(), Some(&digest('2')), &request);
    expected.assert_eq(&match moved {
        Ok(decided) => format!("{decided:?}"),
        Err(failure) => format!("{:?}: {failure}", failure.exit),
    });
}

#[test]
fn a_floating_tag_moves_forward_only() {
    let none = Wishes::default();
    check_move(
        Relation::Older,
        None,
        none,
        &expect![[r#"Go("it was built from theirs, an ancestor")"#]],
    );
    check_move(Relation::Same, None, none, &expect![[r#"Go("it has another image of theirs")"#]]);
    check_move(
        Relation::Newer,
        None,
        none,
        &expect!["Refused: `ghcr.io/o/r/web:dev` was built from theirs, which is newer than ours"],
    );
    check_move(
        Relation::Apart,
        None,
        none,
        &expect![
            "Refused: `ghcr.io/o/r/web:dev` was built from theirs, which is not an ancestor of ours"
        ],
    );
    check_move(
        Relation::Unknown,
        None,
        none,
        &expect![
            "Refused: `ghcr.io/o/r/web:dev` was built from theirs, which this clone does not have, so that nobody can tell whether ours is newer"
        ],
    );
}

#[test]
fn a_newer_commit_that_was_published_unchanged_is_not_overtaken() {
    // `dev` still has the image of an ancestor, which the newer commit only tagged.
    check_move(
        Relation::Older,
        Some("dev-c"),
        Wishes::default(),
        &expect![
            "Refused: `dev-c` was published meanwhile, from a newer commit than ours; `ghcr.io/o/r/web:dev` is its"
        ],
    );
}

#[test]
fn a_rollback_must_be_asked_for() {
    let rollback = Wishes { moves: Moves::Anywhere, ..Wishes::default() };
    for relation in [Relation::Newer, Relation::Apart, Relation::Unknown] {
        check_move(
            relation,
            Some("dev-c"),
            rollback,
            &expect![[r#"Go("`--allow-rollback` lets it")"#]],
        );
    }
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
fn an_exact_tag_never_changes_but_that_of_a_dirty_tree() {
    let reference: Reference = "ghcr.io/o/r/web:dev-b".parse().unwrap();
    let decided = |there: Option<char>, dirty| {
        exact(&reference, there.map(digest).as_ref(), &digest('1'), dirty)
            .map_err(|failure| failure.exit)
    };
    assert_eq!(decided(None, false), Ok(Exact::Set("set by reference")));
    assert_eq!(decided(Some('1'), false), Ok(Exact::Stays));
    assert_eq!(decided(Some('2'), false), Err(crate::model::failure::Exit::Refused));
    assert_eq!(decided(Some('2'), true), Ok(Exact::Set("the tag of a dirty tree is no commit's")));
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
}

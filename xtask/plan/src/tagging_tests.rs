//! Tests of tagging: which tags are set, which may move, and to whom they are left.

use expect_test::{Expect, expect};

use super::*;
use crate::publish::{Tags, Wishes};
use xtask_model::failure::Exit;

fn digest(digit: char) -> Digest {
    Digest::new(format!("sha256:{}", digit.to_string().repeat(64))).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn image(digit: char, revision: &str) -> PublishedImage {
    let revision = Some(revision.to_owned());
    PublishedImage { digest: digest(digit), revision, created: None, inputs: None, stand_in: None }
}

fn request(revision: &str, wishes: Wishes) -> Request {
    let tags = Tags { exact: vec![tag("v1.1.9"), tag(revision)], floating: vec![tag("dev")] };
    Request { revision: revision.to_owned(), tags, like: Some(tag("dev")), wishes }
}

fn check_move(relation: Relation, newer: Option<&str>, wishes: Wishes, expected: &Expect) {
    let reference: Reference = "ghcr.io/o/r/web:dev".parse().unwrap();
    let there = image('1', "theirs");
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
fn an_exact_tag_never_changes_but_that_of_a_dirty_tree() {
    let by_version = Wishes { moves: Moves::ByVersion, ..Wishes::default() };
    let dirty = Wishes { dirty: true, ..Wishes::default() };
    let decided = |name: &str, there: Option<char>, wishes| {
        let reference: Reference = format!("ghcr.io/o/r/web:{name}").parse().unwrap();
        let there = there.map(digest);
        exact(&reference, there.as_ref(), &digest('1'), &request("b", wishes))
            .map_err(|failure| failure.exit)
    };
    let none = Wishes::default();
    assert_eq!(decided("dev-b", None, none), Ok(Exact::Set("set by reference")));
    assert_eq!(decided("dev-b", Some('1'), none), Ok(Exact::Stays("it is there")));
    assert_eq!(decided("dev-b", Some('2'), none), Err(Exit::Refused));
    let of_dirty = Exact::Set("the tag of a dirty tree is no commit's");
    assert_eq!(decided("dev-b", Some('2'), dirty), Ok(of_dirty));
    assert_eq!(decided("v1.1.9", Some('2'), by_version), Err(Exit::Refused));
    let first = Exact::Stays("it is the first version's that was released from this commit");
    assert_eq!(decided("b", Some('2'), by_version), Ok(first));
}

#[test]
fn dev_is_left_to_what_was_published_meanwhile() {
    let (newer, old, new) = (tag("dev-n"), tag("dev-o"), tag("dev-x"));
    let seen = [old.clone()];
    let unknown = [old.clone(), new.clone()];
    assert_eq!(meanwhile(None, &[], &seen), None);
    // It was there when the move was planned, and did not forbid it.
    assert_eq!(meanwhile(None, &unknown[..1], &seen), None);
    assert_eq!(meanwhile(None, &unknown, &seen), Some(Overtaken::ByUnknown(&new)));
    assert_eq!(meanwhile(Some(&newer), &unknown, &seen), Some(Overtaken::ByNewer(&newer)));
}

#[test]
fn a_floating_tag_is_left_to_a_higher_version_of_its_line() {
    let request = request("b", Wishes { moves: Moves::ByVersion, ..Wishes::default() });
    let versions = |names: &[&str]| -> Vec<Version> {
        names.iter().map(|name| Version::parse(name).unwrap()).collect()
    };
    let check = |name: &str, published: &[&str], expected: Option<&str>| {
        let versions = versions(published);
        let found = higher(&tag(name), &request, &versions).map(ToString::to_string);
        assert_eq!(found.as_deref(), expected, "{name} {published:?}");
    };
    check("latest", &["1.1.9", "1.2.0"], Some("1.2.0"));
    check("1", &["1.1.9", "1.2.0", "2.0.0"], Some("1.2.0"));
    check("1.1", &["1.1.9", "1.2.0"], None);
    check("latest", &["1.1.8", "1.1.9", "2.0.0-rc.1"], None);
    check("latest", &[], None);
}

#[test]
fn a_signature_is_found_under_either_tag_that_cosign_takes() {
    let of = |name: &str| tag(&format!("sha256-{}{name}", "1".repeat(64)));
    let check = |tags: &[Tag], expected: Option<Signature<'_>>| {
        assert_eq!(signature(&digest('1'), tags), expected, "{tags:?}");
    };
    check(&[tag("dev"), of(""), of(".sig")], Some(Signature::There));
    check(&[of("")], Some(Signature::MaybeListed(&of(""))));
    check(&[tag("dev"), of(".att")], None);
    check(&[tag(&format!("sha256-{}.sig", "2".repeat(64)))], None);
}

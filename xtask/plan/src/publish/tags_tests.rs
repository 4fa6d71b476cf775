//! Tests of the tag rules.

use expect_test::{Expect, expect};

use super::super::request::{PublishOptions, Tags};
use super::*;
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

fn request(revision: &str, options: PublishOptions) -> Request {
    let tags = Tags { exact: vec![tag("v1.1.9"), tag(revision)], floating: vec![tag("dev")] };
    Request { revision: revision.to_owned(), tags, like: Some(tag("dev")), options }
}

fn check_move(relation: Relation, newer: Option<&str>, options: PublishOptions, expected: &Expect) {
    let reference: Reference = "ghcr.io/o/r/web:dev".parse().unwrap();
    let there = image('1', "theirs");
    let newer = newer.map(tag);
    let there = Some((&there, relation));
    let request = request("ours", options);
    let moved = movement(&reference, there, newer.as_ref(), Some(&digest('2')), &request);
    expected.assert_eq(&match moved {
        Ok(decided) => format!("{decided:?}"),
        Err(failure) => format!("{:?}: {failure}", failure.exit),
    });
}

#[test]
fn a_floating_tag_moves_forward_only() {
    let none = PublishOptions::default();
    check_move(
        Relation::Older,
        None,
        none,
        &expect![[r#"Go("replaces the image of theirs, an ancestor")"#]],
    );
    check_move(Relation::Same, None, none, &expect![[r#"Go("replaces another image of theirs")"#]]);
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
            "Refused: `ghcr.io/o/r/web:dev` was built from theirs, which is missing from this clone, so it is unknown whether ours is newer"
        ],
    );
}

#[test]
fn a_newer_published_commit_keeps_the_floating_tag() {
    // `dev` still has the image of an ancestor, which the newer commit only tagged.
    check_move(
        Relation::Older,
        Some("dev-c"),
        PublishOptions::default(),
        &expect![
            "Refused: another run has published `dev-c`, a newer commit than ours; `ghcr.io/o/r/web:dev` now points to it"
        ],
    );
}

#[test]
fn a_rollback_must_be_asked_for() {
    let rollback = PublishOptions { moves: Moves::Anywhere, ..PublishOptions::default() };
    for relation in [Relation::Newer, Relation::Apart, Relation::Unknown] {
        check_move(
            relation,
            Some("dev-c"),
            rollback,
            &expect![[r#"Go("`--allow-rollback` allows it")"#]],
        );
    }
}

#[test]
fn only_a_dirty_tree_changes_its_exact_tag() {
    let by_version = PublishOptions { moves: Moves::ByVersion, ..PublishOptions::default() };
    let dirty = PublishOptions { dirty: true, ..PublishOptions::default() };
    let decided = |name: &str, there: Option<char>, options| {
        let reference: Reference = format!("ghcr.io/o/r/web:{name}").parse().unwrap();
        let there = there.map(digest);
        exact(&reference, there.as_ref(), &digest('1'), &request("b", options))
            .map_err(|failure| failure.exit)
    };
    let none = PublishOptions::default();
    assert_eq!(decided("dev-b", None, none), Ok(Exact::Set("new tag")));
    assert_eq!(decided("dev-b", Some('1'), none), Ok(Exact::Stays("already set")));
    assert_eq!(decided("dev-b", Some('2'), none), Err(Exit::Refused));
    let of_dirty = Exact::Set("the tag of a dirty tree may change");
    assert_eq!(decided("dev-b", Some('2'), dirty), Ok(of_dirty));
    assert_eq!(decided("v1.1.9", Some('2'), by_version), Err(Exit::Refused));
    let first = Exact::Stays("belongs to the first version released from this commit");
    assert_eq!(decided("b", Some('2'), by_version), Ok(first));
}

#[test]
fn dev_moves_on_to_a_newer_publication() {
    let (newer, old, new) = (tag("dev-n"), tag("dev-o"), tag("dev-x"));
    let seen = [old.clone()];
    let unknown = [old.clone(), new.clone()];
    assert_eq!(recheck(None, &[], &seen), None);
    // It existed when the move was planned, and did not prevent it.
    assert_eq!(recheck(None, &unknown[..1], &seen), None);
    assert_eq!(recheck(None, &unknown, &seen), Some(Overtaken::ByUnknown(&new)));
    assert_eq!(recheck(Some(&newer), &unknown, &seen), Some(Overtaken::ByNewer(&newer)));
}

#[test]
fn a_higher_version_keeps_its_floating_tags() {
    let request =
        request("b", PublishOptions { moves: Moves::ByVersion, ..PublishOptions::default() });
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
fn signatures_of_both_cosign_versions_are_found() {
    let of = |name: &str| tag(&format!("sha256-{}{name}", "1".repeat(64)));
    let check = |tags: &[Tag], expected: Option<StoredSignature<'_>>| {
        assert_eq!(signature(&digest('1'), tags), expected, "{tags:?}");
    };
    check(&[tag("dev"), of(""), of(".sig")], Some(StoredSignature::There));
    check(&[of("")], Some(StoredSignature::MaybeListed(&of(""))));
    check(&[tag("dev"), of(".att")], None);
    check(&[tag(&format!("sha256-{}.sig", "2".repeat(64)))], None);
}

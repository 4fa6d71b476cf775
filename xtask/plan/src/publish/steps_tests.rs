//! Tests of the steps: which ones follow from each action, in which order, and what they require.

use expect_test::{Expect, expect};

use super::*;
use crate::publish::request::{PublishOptions, Tags};

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn digest() -> Digest {
    Digest::new(format!("sha256:{}", "1".repeat(64))).unwrap()
}

fn request(options: PublishOptions) -> Request {
    let tags = Tags { exact: vec![tag("dev-b"), tag("b")], floating: vec![tag("dev")] };
    Request { revision: "b".to_owned(), tags, like: Some(tag("dev")), options }
}

fn build() -> Action {
    Action::Build { reason: String::new(), changes: Vec::new() }
}

/// One line for each step: its name, its tag, its image and what it requires.
fn check(action: &Action, options: PublishOptions, expected: &Expect) {
    let repository: Reference = "ghcr.io/o/r/web".parse().unwrap();
    let name = |reference: &Reference| reference.tag.clone().map(|tag| tag.to_string());
    let lines = steps(action, &repository, &request(options)).into_iter().map(|step| {
        let image = |image: &Option<Digest>| image.as_ref().map_or("built", |_| "known");
        match &step {
            Step::Build { push_to, requires } => {
                let push_to = push_to.as_ref().and_then(name).unwrap_or_default();
                let unless = if *requires == Requires::Nothing { "" } else { " unless published" };
                format!("build {push_to}{unless}")
            }
            Step::CheckImage { image: digest, extent, .. } => {
                format!("check {} {extent:?}", image(digest))
            }
            Step::SetTag { tag, image: digest, requires } => {
                format!("set {} {} {requires:?}", name(tag).unwrap(), image(digest))
            }
            Step::MoveTag { tag, image: digest, requires } => {
                format!("move {} {} {requires:?}", name(tag).unwrap(), image(digest))
            }
            Step::Sign { image: digest, .. } => format!("sign {}", image(digest)),
            Step::Recheck { tags, .. } => {
                format!("recheck {}", tags.first().and_then(name).unwrap())
            }
            Step::ExportCache => "export".to_owned(),
            other => format!("{other:?}"),
        }
    });
    let text: Vec<String> = lines.collect();
    expected.assert_eq(&text.join("\n"));
}

#[test]
fn a_build_pushes_before_any_floating_tag_moves() {
    check(
        &build(),
        PublishOptions::default(),
        &expect![[r"
        build dev-b unless published
        export
        check built All
        set b built TagUnset
        move dev built NewestCommit
        recheck dev"]],
    );
}

#[test]
fn a_dirty_tree_may_replace_its_exact_tag() {
    let dirty = PublishOptions { dirty: true, ..PublishOptions::default() };
    check(
        &build(),
        dirty,
        &expect![[r"
        build dev-b
        export
        check built All
        set b built Nothing
        move dev built NewestCommit
        recheck dev"]],
    );
}

#[test]
fn an_unchanged_service_needs_no_image_check() {
    let retag = Action::Retag { digest: digest(), reason: String::new() };
    check(
        &retag,
        PublishOptions::default(),
        &expect![[r"
        set dev-b known TagUnset
        set b known TagUnset
        move dev known NewestCommit"]],
    );
}

#[test]
fn a_published_commit_is_checked_and_finished() {
    let finish = Action::Finish { digest: digest(), reason: String::new() };
    let sign = PublishOptions { sign: true, ..PublishOptions::default() };
    check(
        &finish,
        sign,
        &expect![[r"
        check known All
        set dev-b known TagUnset
        set b known TagUnset
        sign known
        move dev known NewestCommit"]],
    );
}

#[test]
fn filling_the_cache_pushes_no_image() {
    let warm = Action::Warm { digest: digest(), reason: String::new() };
    check(
        &warm,
        PublishOptions::default(),
        &expect![[r"
        build 
        export
        check known All
        set dev-b known TagUnset
        set b known TagUnset
        move dev known NewestCommit"]],
    );
}

#[test]
fn a_release_moves_floating_tags_last() {
    let by_version = PublishOptions { moves: Moves::ByVersion, ..PublishOptions::default() };
    check(
        &build(),
        by_version,
        &expect![[r"
        build dev-b unless published
        export
        check built All
        set b built TagUnset"]],
    );
}

#[test]
fn a_rollback_requires_nothing_of_the_floating_tag() {
    let rollback = PublishOptions { moves: Moves::Anywhere, ..PublishOptions::default() };
    let retag = Action::Retag { digest: digest(), reason: String::new() };
    check(
        &retag,
        rollback,
        &expect![[r"
        set dev-b known TagUnset
        set b known TagUnset
        move dev known Nothing"]],
    );
}

//! Tests of releases: versions, their tags, and the property that order does not matter.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::publish::{Moves, Request, Wishes};
use xtask_model::failure::Exit;
use xtask_model::published::{PublishedImage, PublishedState, Relation};
use xtask_model::reference::{Digest, Tag};
use xtask_model::service::ServiceName;

fn check_version(text: &str, expected: &Expect) {
    expected.assert_eq(&match version(text) {
        Ok(version) => version.to_string(),
        Err(failure) => failure.to_string(),
    });
}

#[test]
fn a_version_that_is_none_is_shown_with_its_mistake() {
    check_version("v1.2.3", &expect!["1.2.3"]);
    check_version("1.2.3-rc.1", &expect!["1.2.3-rc.1"]);
    check_version(
        "v1.2",
        &expect!["`v1.2` is not a version: it has 2 of three parts; write `v1.2.0`"],
    );
    check_version("v1", &expect!["`v1` is not a version: it has 1 of three parts; write `v1.0.0`"]);
    check_version(
        "v1.02.3",
        &expect!["`v1.02.3` is not a version: `02` has a leading zero; write `2`"],
    );
    check_version(
        "v1.2.3+x",
        &expect!["`v1.2.3+x` is not a version: `+x` is build metadata, which a tag cannot carry"],
    );
    check_version(
        "V1.2.3",
        &expect!["`V1.2.3` is not a version: `V` is upper case; did you mean `v1.2.3`?"],
    );
    check_version(
        "v1.2.3-RC1",
        &expect!["`v1.2.3-RC1` is not a version: `RC1` has upper-case letters"],
    );
    check_version("v1.2.3.4", &expect!["`v1.2.3.4` is not a version: it has 4 parts, not three"]);
    check_version(
        "latest",
        &expect![
            "`latest` is not a version: unexpected character 'l' while parsing major version number"
        ],
    );
    let long = version(&format!("v1.2.3-{}", "a".repeat(122))).unwrap_err();
    assert!(long.message.ends_with("it has 129 characters, more than 128"), "{long}");
}

#[test]
fn notes_of_a_stable_version_begin_after_the_last_stable_one() {
    let known = ["1.0.0", "1.1.0", "1.2.0-rc.1", "1.2.0-rc.2", "1.2.0"]
        .map(|text| (Version::parse(text).unwrap(), text.to_owned()));
    let known = BTreeMap::from(known);
    let previous = |version: &str| {
        let found = previous(&Version::parse(version).unwrap(), &known);
        found.map(|(version, _)| version.to_string()).unwrap_or_default()
    };
    assert_eq!(previous("1.2.0"), "1.1.0");
    assert_eq!(previous("1.2.0-rc.2"), "1.2.0-rc.1");
    assert_eq!(previous("1.2.0-rc.1"), "1.1.0");
    assert_eq!(previous("1.1.1"), "1.1.0");
    assert_eq!(previous("1.0.0"), "");
}

#[test]
fn the_github_release_is_the_latest_one_only_when_none_is_higher() {
    let latest = |version: &str, published: &str| {
        let published: Vec<_> =
            published.split_whitespace().map(|text| Version::parse(text).unwrap()).collect();
        let version = Version::parse(version).unwrap();
        let release = announcement(&version, "c", &published, String::new());
        (release.make_latest, release.prerelease)
    };
    assert_eq!(latest("1.2.0", "1.1.0 1.2.0 2.0.0-rc.1"), ("true", false));
    assert_eq!(latest("1.1.9", "1.1.9 1.2.0"), ("false", false));
    assert_eq!(latest("1.2.0-rc.1", "1.1.0"), ("false", true));
}

const DEV: &str = "dev-c";

fn image(digit: char, revision: Option<&str>) -> PublishedImage {
    PublishedImage {
        digest: Digest::new(format!("sha256:{}", digit.to_string().repeat(64))).unwrap(),
        revision: revision.map(str::to_owned),
        created: None,
        inputs: None,
        stand_in: None,
    }
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn request(promote: bool) -> Request {
    Request {
        revision: "c".to_owned(),
        tags: tags(&Version::new(1, 2, 3), "c", &[]).unwrap(),
        like: Some(tag(DEV)),
        wishes: Wishes { rebuild: true, promote, moves: Moves::ByVersion, ..Wishes::default() },
    }
}

#[test]
fn an_image_of_a_commit_outside_the_history_is_not_promoted() {
    let check = |revision: Option<&str>, relation: Option<Relation>| {
        let state = PublishedState {
            images: [(tag(DEV), image('1', revision))].into(),
            relations: relation.map(|relation| (tag(DEV), relation)).into_iter().collect(),
            ..PublishedState::default()
        };
        promotable(&"ghcr.io/o/r/web".parse().unwrap(), Some(&state), &request(true))
            .map_err(|failure| (failure.exit, failure.message))
    };
    let refused = |text: &str| Err((Exit::Refused, format!("`ghcr.io/o/r/web` {text}")));
    assert_eq!(check(Some("c"), Some(Relation::Same)), Ok(()));
    // Its service has not changed since, and the image was only tagged.
    assert_eq!(check(Some("b"), Some(Relation::Older)), Ok(()));
    let apart = refused("was built from x, which is not in the history of c");
    assert_eq!(check(Some("x"), Some(Relation::Apart)), apart);
    assert_eq!(check(Some("x"), Some(Relation::Newer)), apart);
    let unknown = "was built from x, which this clone does not have, so that nobody can tell \
                   whether it is in the history of c";
    assert_eq!(check(Some("x"), None), refused(unknown));
    assert_eq!(check(None, None), refused("does not tell its commit"));
}

/// What a dry run of v1.2.3 says of each tag of `web`.
fn check_outlook(
    images: &[(&str, char)],
    heads: &[(&str, char)],
    published: &str,
    promote: bool,
    expected: &Expect,
) {
    let web: ServiceName = "web".parse().unwrap();
    let images = images.iter().map(|(name, digit)| (tag(name), image(*digit, Some("c"))));
    let heads = heads.iter().map(|(name, digit)| (tag(name), image(*digit, None).digest));
    let versions = published.split_whitespace().map(|text| Version::parse(text).unwrap());
    let state = PublishedState { images: images.collect(), ..PublishedState::default() };
    let mut facts = crate::verify::tests::facts("");
    facts.release = Some(ReleaseFacts {
        on_branch: true,
        published: [(web.clone(), versions.collect())].into(),
        heads: [(web.clone(), heads.collect())].into(),
        ..ReleaseFacts::default()
    });
    facts.git.iter_mut().for_each(|git| git.revision = "c".to_owned());
    facts.published = [(web, state)].into();
    let asked = Asked { version: Some(Version::new(1, 2, 3)), next: None };
    let plan = plan(&facts, &asked).unwrap();
    let shown: Vec<String> = outlook(&facts, &plan, &request(promote))
        .iter()
        .flat_map(|service| &service.tags)
        .map(|tag| {
            let now = tag.now.as_ref().map_or("nothing", Digest::short);
            format!("{}: {now}; {:?}: {}", tag.tag, tag.becomes, tag.reason)
        })
        .collect();
    expected.assert_eq(&shown.join("\n"));
}

#[test]
fn a_dry_run_tells_of_every_tag_where_it_is_and_where_it_goes() {
    check_outlook(
        &[],
        &[("1.2", '2'), ("latest", '3')],
        "1.2.2 2.0.0",
        false,
        &expect![[r"
            v1.2.3: nothing; Set: to the image that is built, for good
            c: nothing; Set: to the image that is built, for good
            1.2: 222222222222; Moves: v1.2.3 is the highest stable version of its line
            1: nothing; Set: v1.2.3 is the highest stable version of its line
            latest: 333333333333; Stays: v2.0.0 is higher"]],
    );
    check_outlook(
        &[(DEV, '1')],
        &[("latest", '1')],
        "",
        true,
        &expect![[r"
            v1.2.3: nothing; Set: to 111111111111, for good
            c: nothing; Set: to 111111111111, for good
            1.2: nothing; Set: v1.2.3 is the highest stable version of its line
            1: nothing; Set: v1.2.3 is the highest stable version of its line
            latest: 111111111111; Stays: it is there"]],
    );
}

#[test]
fn a_dry_run_tells_what_would_be_refused() {
    check_outlook(
        &[],
        &[("latest", '3')],
        "",
        true,
        &expect![[r"
            v1.2.3: nothing; Refused: there is no `dev-c` to promote
            c: nothing; Refused: there is no `dev-c` to promote
            1.2: nothing; Stays: the exact tags are refused
            1: nothing; Stays: the exact tags are refused
            latest: 333333333333; Stays: the exact tags are refused"]],
    );
}

#[test]
fn the_changelog_gives_the_section_of_the_version() {
    let text = "# Changelog\n\n## [1.2.0] - 2026-01-01\n\n- new\n\n### Fixed\n\n- old\n\n## v1.1.0\n\n- first\n";
    let section = |version: &str| changelog_section(text, &Version::parse(version).unwrap());
    assert_eq!(section("1.2.0").as_deref(), Some("- new\n\n### Fixed\n\n- old"));
    assert_eq!(section("1.1.0").as_deref(), Some("- first"));
    assert_eq!(section("1.0.0"), None);
}

fn any_version() -> impl Strategy<Value = Version> {
    let pre = prop_oneof![3 => Just(""), 1 => Just("rc.1"), 1 => Just("alpha")];
    (0..3_u64, 0..3_u64, 0..3_u64, pre).prop_map(|(major, minor, patch, pre)| Version {
        pre: semver::Prerelease::new(pre).unwrap(),
        ..Version::new(major, minor, patch)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn in_any_order_each_floating_tag_ends_on_the_highest_stable_version_of_its_line(
        order in prop::collection::vec(any_version(), 1..=12)
    ) {
        let mut published: Vec<Version> = Vec::new();
        let mut tags: BTreeMap<String, Version> = BTreeMap::new();
        for version in &order {
            published.push(version.clone());
            for moved in floating(version, &published).into_iter().filter(|tag| tag.moves) {
                tags.insert(moved.tag.to_string(), version.clone());
            }
        }
        let mut expected: BTreeMap<String, Version> = BTreeMap::new();
        for version in order.iter().filter(|version| version.pre.is_empty()) {
            let (major, minor) = (version.major, version.minor);
            for tag in [format!("{major}.{minor}"), major.to_string(), "latest".to_owned()] {
                let highest = expected.entry(tag).or_insert_with(|| version.clone());
                *highest = version.clone().max(highest.clone());
            }
        }
        prop_assert_eq!(tags, expected);
    }
}

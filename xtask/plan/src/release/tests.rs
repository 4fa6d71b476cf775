//! Tests of releases: versions, their tags, and the property that order does not matter.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::release::{announcement, changelog_section, floating, previous, version};

fn check_version(text: &str, expected: &Expect) {
    expected.assert_eq(&match version(text) {
        Ok(version) => version.to_string(),
        Err(failure) => failure.to_string(),
    });
}

#[test]
fn a_wrong_version_is_shown_with_its_mistake() {
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
fn stable_notes_begin_after_the_last_stable_version() {
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
fn only_the_highest_version_is_githubs_latest() {
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
    fn floating_tags_end_on_the_highest_version(
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

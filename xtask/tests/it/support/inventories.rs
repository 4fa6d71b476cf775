//! Inventories of every shape, as small as they can be while rules still meet. A digest can only occur in
//! what was made after it, so content forms no circle; a forged tag may claim one.

use proptest::prelude::*;
use xtask::model::inventory::{Inventory, Orphans, PackageVersion, Policy, Readable};
use xtask::model::reference::Digest;

const NOW: f64 = 1_800_000_000.0;
const DAY: f64 = 86_400.0;

pub fn digest(number: usize) -> Digest {
    Digest::new(format!("sha256:{number:064x}")).unwrap()
}

fn any_tag() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..9_u32).prop_map(|n| format!("dev-{n:07x}")),
        2 => (0..9_u32).prop_map(|n| format!("abcdef{n:x}")),
        1 => Just("latest".to_owned()),
        1 => (0..3_u32, 0..3_u32).prop_map(|(major, minor)| format!("v{major}.{minor}.0")),
        2 => (0..12_usize).prop_map(|n| digest(n).as_str().replacen(':', "-", 1) + ".sig"),
        1 => Just("odd".to_owned()),
        1 => Just("1234567".to_owned()),
    ]
}

/// A time in the last three months, none, or one in the future.
fn any_time() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        8 => (0..90_u32).prop_map(|days| Some(NOW - f64::from(days) * DAY)),
        1 => Just(None),
        1 => Just(Some(NOW + 9.0)),
    ]
}

fn any_version(number: usize, count: usize) -> impl Strategy<Value = PackageVersion> {
    // The last number belongs to no version.
    let earlier = (0..=number).prop_map(move |other| if other == number { count } else { other });
    let links = prop::collection::vec(earlier.clone(), 0..3);
    (
        prop::collection::vec(any_tag(), 0..3),
        any_time(),
        prop::option::weighted(0.2, any_time()),
        links,
        prop::option::weighted(0.2, earlier),
        prop_oneof![40 => Just(Readable::Ok), 1 => Just(Readable::Missing), 1 => Just(Readable::Error)],
    )
        .prop_map(move |(tags, created, updated, links, subject, manifest)| PackageVersion {
            digest: digest(number),
            tags,
            created,
            updated: updated.flatten(),
            manifests: links.into_iter().map(digest).collect(),
            subject: subject.map(digest),
            manifest,
            id: None,
            blobs: Vec::new(),
        })
}

/// Commits of the tags above, by full hash or prefix.
fn any_commits() -> impl Strategy<Value = Vec<(String, f64)>> {
    let hash = prop_oneof![
        4 => (0..9_u32).prop_map(|n| format!("{n:07x}")),
        2 => (0..9_u32).prop_map(|n| format!("abcdef{n:x}0123")),
        1 => Just("1234567".to_owned()),
    ];
    let time = (0..90_u32).prop_map(|days| NOW - f64::from(days) * DAY);
    prop::collection::vec((hash, time), 0..4)
}

fn any_policy(count: usize) -> impl Strategy<Value = Policy> {
    (
        0..3_usize,
        prop_oneof![3 => Just(1.0), 1 => Just(0.5)],
        prop::option::weighted(0.2, 0..6_usize),
        prop::option::weighted(0.2, 0..count),
        prop::bool::weighted(0.7),
        any_commits(),
    )
        .prop_map(|(keep_last, max_fraction, max_deletions, pinned, orphans_go, commits)| {
            Policy {
                keep_last,
                max_fraction,
                max_deletions,
                in_use: pinned.map(digest).into_iter().collect(),
                orphan_referrers: if orphans_go { Orphans::Delete } else { Orphans::Keep },
                commits: commits.into_iter().collect(),
                ..Policy::default()
            }
        })
}

/// Up to eleven versions.
pub fn any_inventory() -> impl Strategy<Value = Inventory> {
    (1..12_usize).prop_flat_map(|count| {
        let versions: Vec<_> = (0..count).map(|number| any_version(number, count)).collect();
        let complete = prop::bool::weighted(0.95);
        (versions, any_policy(count), complete).prop_map(|(versions, policy, complete)| Inventory {
            now: NOW,
            policy,
            versions,
            complete,
        })
    })
}

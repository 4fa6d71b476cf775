//! What must hold for every inventory, however odd; and that each of these properties is able to fail,
//! by planners that are broken in one way each.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use xtask::model::inventory::{Inventory, Policy, Readable, Version};
use xtask::model::reference::Digest;
use xtask::plan::retention::{RetentionPlan, below, plan};

type Planner = fn(&Inventory) -> RetentionPlan;
type Property = fn(&Inventory, Planner) -> Result<(), String>;

const NOW: f64 = 1_800_000_000.0;

fn digest(number: usize) -> Digest {
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

fn any_version(number: usize, count: usize) -> impl Strategy<Value = Version> {
    let days = prop_oneof![8 => (0..90_u32).prop_map(|d| Some(NOW - f64::from(d) * 86_400.0)), 1 => Just(None), 1 => Just(Some(NOW + 9.0))];
    let links = prop::collection::vec(0..count + 1, 0..3);
    (
        prop::collection::vec(any_tag(), 0..3),
        days,
        links,
        prop::option::weighted(0.2, 0..count + 1),
        prop_oneof![40 => Just(Readable::Ok), 1 => Just(Readable::Missing), 1 => Just(Readable::Error)],
    )
        .prop_map(move |(tags, created, links, subject, manifest)| Version {
            digest: digest(number),
            tags,
            created,
            updated: None,
            manifests: links.into_iter().map(digest).collect(),
            subject: subject.map(digest),
            manifest,
            id: None,
            blobs: Vec::new(),
        })
}

/// Up to twelve versions that lead to each other in any way, circles too.
fn any_inventory() -> impl Strategy<Value = Inventory> {
    (1..12_usize).prop_flat_map(|count| {
        let versions: Vec<_> = (0..count).map(|number| any_version(number, count)).collect();
        let policy = (
            0..3_usize,
            prop_oneof![3 => Just(1.0), 1 => Just(0.5)],
            prop::option::weighted(0.2, 0..count),
        )
            .prop_map(|(keep_last, max_fraction, pinned)| Policy {
                keep_last,
                max_fraction,
                in_use: pinned.map(digest).into_iter().collect(),
                ..Policy::default()
            });
        let complete = prop::bool::weighted(0.95);
        (versions, policy, complete).prop_map(|(versions, policy, complete)| Inventory {
            now: NOW,
            policy,
            versions,
            complete,
        })
    })
}

fn deleted(plan: &RetentionPlan) -> BTreeSet<Digest> {
    plan.delete.iter().cloned().collect()
}

/// The versions by digest; one digest is one version.
fn by_digest(inventory: &Inventory) -> BTreeMap<&Digest, &Version> {
    inventory.versions.iter().map(|version| (&version.digest, version)).collect()
}

fn subjects(version: &Version) -> Vec<Digest> {
    let of_tag = |tag: &String| {
        let hex = tag.strip_prefix("sha256-")?.split('.').next()?;
        Digest::new(format!("sha256:{hex}")).ok()
    };
    version.subject.iter().cloned().chain(version.tags.iter().filter_map(of_tag)).collect()
}

/// What a survivor has must be there after `gone`.
fn nothing_lost(inventory: &Inventory, gone: &BTreeSet<Digest>) -> Result<(), String> {
    for version in inventory.versions.iter().filter(|version| !gone.contains(&version.digest)) {
        if let Some(child) = version.manifests.iter().find(|child| gone.contains(child)) {
            return Err(format!("{} lost its child {child}", version.digest));
        }
    }
    Ok(())
}

fn partition(inventory: &Inventory, planner: Planner) -> Result<(), String> {
    let plan = planner(inventory);
    let all: BTreeSet<&Digest> = inventory.versions.iter().map(|version| &version.digest).collect();
    let kept = plan.verdicts.iter().filter(|verdict| verdict.keep).count();
    if deleted(&plan).len() != plan.delete.len() {
        return Err("something goes twice".to_owned());
    }
    if plan.delete.iter().any(|digest| !all.contains(digest)) {
        return Err("something goes that is not there".to_owned());
    }
    if kept + plan.delete.len() == inventory.versions.len() {
        Ok(())
    } else {
        Err(format!("{kept} kept and {} deleted", plan.delete.len()))
    }
}

fn closure(inventory: &Inventory, planner: Planner) -> Result<(), String> {
    let gone = deleted(&planner(inventory));
    nothing_lost(inventory, &gone)?;
    let versions = by_digest(inventory);
    for version in &inventory.versions {
        for subject in subjects(version).iter().filter(|subject| versions.contains_key(subject)) {
            if gone.contains(subject) != gone.contains(&version.digest) {
                return Err(format!("{} and its subject {subject} part", version.digest));
            }
        }
    }
    Ok(())
}

/// After any prefix no survivor has lost a child; circles cannot be cut without a loss.
fn prefix_safety(inventory: &Inventory, planner: Planner) -> Result<(), String> {
    let plan = planner(inventory);
    let mut gone = BTreeSet::new();
    for digest in &plan.delete {
        gone.insert(digest.clone());
        let acyclic = |version: &&Version| {
            let mut below_it = BTreeSet::new();
            let mut open = version.manifests.clone();
            let versions = by_digest(inventory);
            while let Some(next) = open.pop() {
                if below_it.insert(next.clone()) {
                    open.extend(versions.get(&next).into_iter().flat_map(|v| v.manifests.clone()));
                }
            }
            !below_it.iter().any(|digest| {
                versions.get(digest).is_some_and(|v| {
                    v.manifests.contains(&v.digest) || below_of(&versions, digest).contains(digest)
                })
            }) && !below_it.contains(&version.digest)
        };
        for version in
            inventory.versions.iter().filter(|v| !gone.contains(&v.digest)).filter(acyclic)
        {
            if let Some(child) = version.manifests.iter().find(|child| gone.contains(child)) {
                return Err(format!("{} lost {child} too early", version.digest));
            }
        }
    }
    Ok(())
}

fn below_of(versions: &BTreeMap<&Digest, &Version>, start: &Digest) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    let mut open: Vec<Digest> =
        versions.get(start).into_iter().flat_map(|v| v.manifests.clone()).collect();
    while let Some(next) = open.pop() {
        if found.insert(next.clone()) {
            open.extend(versions.get(&next).into_iter().flat_map(|v| v.manifests.clone()));
        }
    }
    found
}

/// What is below a refused deletion is a closed set: leaving all of it alone loses nothing.
fn refusal_safety(inventory: &Inventory, planner: Planner) -> Result<(), String> {
    let plan = planner(inventory);
    for refused in &plan.delete {
        let left_alone = below(inventory, refused);
        let gone: BTreeSet<Digest> =
            deleted(&plan).into_iter().filter(|digest| !left_alone.contains(digest)).collect();
        let versions = by_digest(inventory);
        for digest in &left_alone {
            let Some(version) = versions.get(digest) else { continue };
            if version.manifests.iter().any(|child| gone.contains(child)) {
                return Err(format!("{digest} lost a child though {refused} was refused"));
            }
        }
    }
    Ok(())
}

fn order_independence(inventory: &Inventory, planner: Planner) -> Result<(), String> {
    let mut reversed = inventory.clone();
    reversed.versions.reverse();
    if planner(inventory).delete == planner(&reversed).delete {
        Ok(())
    } else {
        Err("another order of input gives another plan".to_owned())
    }
}

fn idempotence(inventory: &Inventory, planner: Planner) -> Result<(), String> {
    let gone = deleted(&planner(inventory));
    let mut after = inventory.clone();
    after.versions.retain(|version| !gone.contains(&version.digest));
    after.policy.max_fraction = 1.0;
    let again = planner(&after);
    if again.delete.is_empty() || inventory.policy.max_fraction < 1.0 {
        Ok(())
    } else {
        Err(format!("a second run deletes {:?}", again.delete))
    }
}

fn more_protection_never_deletes_more(
    inventory: &Inventory,
    planner: Planner,
) -> Result<(), String> {
    let before = planner(inventory);
    if before.refuse.is_some() {
        return Ok(());
    }
    let gone = deleted(&before);
    for version in &inventory.versions {
        let mut more = inventory.clone();
        more.policy.in_use.push(version.digest.clone());
        more.policy.keep_last += 1;
        let after = deleted(&planner(&more));
        if let Some(new) = after.difference(&gone).next() {
            return Err(format!("pinning {} deletes {new}", version.digest));
        }
    }
    Ok(())
}

fn incomplete_knowledge_never_deletes(
    inventory: &Inventory,
    planner: Planner,
) -> Result<(), String> {
    let known = inventory.complete
        && inventory.versions.iter().all(|version| version.manifest != Readable::Error);
    if known || planner(inventory).delete.is_empty() {
        Ok(())
    } else {
        Err("deletes without having seen everything".to_owned())
    }
}

const PROPERTIES: [(&str, Property); 8] = [
    ("partition", partition),
    ("closure", closure),
    ("prefix safety", prefix_safety),
    ("refusal safety", refusal_safety),
    ("independence of order", order_independence),
    ("idempotence", idempotence),
    ("more protection", more_protection_never_deletes_more),
    ("incomplete knowledge", incomplete_knowledge_never_deletes),
];

fn runner() -> TestRunner {
    TestRunner::new(Config { failure_persistence: None, ..Config::default() })
}

/// The number of inventories is that of proptest: 256, or `PROPTEST_CASES`.
#[test]
fn every_property_holds_for_every_inventory() {
    runner()
        .run(&any_inventory(), |inventory| {
            for (name, property) in PROPERTIES {
                property(&inventory, plan).map_err(|problem| {
                    TestCaseError::fail(format!("{name}: {problem}\n{inventory:#?}"))
                })?;
            }
            Ok(())
        })
        .unwrap();
}

/// Deletes what was deleted and the first version besides.
fn goes_twice(inventory: &Inventory) -> RetentionPlan {
    let mut broken = plan(inventory);
    broken.delete.extend(broken.delete.first().cloned());
    broken
}

/// Looks at tags alone, as the well-known cleaners do.
fn by_tag_alone(inventory: &Inventory) -> RetentionPlan {
    let mut broken = plan(inventory);
    broken.delete = inventory
        .versions
        .iter()
        .filter(|version| version.tags.is_empty())
        .map(|version| version.digest.clone())
        .collect();
    broken
}

fn in_reverse(inventory: &Inventory) -> RetentionPlan {
    let mut broken = plan(inventory);
    broken.delete.reverse();
    broken
}

fn in_the_order_of_input(inventory: &Inventory) -> RetentionPlan {
    let mut broken = plan(inventory);
    let gone = deleted(&broken);
    let versions = inventory.versions.iter().map(|version| version.digest.clone());
    broken.delete = versions.filter(|digest| gone.contains(digest)).collect();
    broken
}

/// Keeps one more, the last of what goes, so that the next run finds it.
fn one_at_a_time(inventory: &Inventory) -> RetentionPlan {
    let mut broken = plan(inventory);
    broken.delete.truncate(1);
    broken
}

/// Takes what is pinned for what is to go.
fn pinned_goes(inventory: &Inventory) -> RetentionPlan {
    let mut broken = plan(inventory);
    broken.delete.extend(inventory.policy.in_use.iter().cloned());
    broken
}

fn trusting(inventory: &Inventory) -> RetentionPlan {
    let mut trusted = inventory.clone();
    trusted.complete = true;
    trusted.versions.iter_mut().for_each(|version| version.manifest = Readable::Ok);
    plan(&trusted)
}

#[test]
fn every_property_is_able_to_fail() {
    let broken: [(&str, Planner, Property); 8] = [
        ("partition", goes_twice, partition),
        ("closure", by_tag_alone, closure),
        ("prefix safety", in_reverse, prefix_safety),
        ("refusal safety", by_tag_alone, refusal_safety),
        ("independence of order", in_the_order_of_input, order_independence),
        ("idempotence", one_at_a_time, idempotence),
        ("more protection", pinned_goes, more_protection_never_deletes_more),
        ("incomplete knowledge", trusting, incomplete_knowledge_never_deletes),
    ];
    for (name, planner, property) in broken {
        let found = runner().run(&any_inventory(), |inventory| {
            property(&inventory, planner).map_err(TestCaseError::fail)
        });
        assert!(name == "refusal safety" || found.is_err(), "{name} holds for a broken planner");
    }
    // What is below a refusal is found by the graph itself: here by one without its links.
    let unlinked = |inventory: &Inventory, refused: &Digest| -> BTreeSet<Digest> {
        let _ = inventory;
        BTreeSet::from([refused.clone()])
    };
    let found = runner().run(&any_inventory(), |inventory| {
        let planned = plan(&inventory);
        for refused in &planned.delete {
            let alone = unlinked(&inventory, refused);
            let gone: BTreeSet<Digest> =
                deleted(&planned).into_iter().filter(|digest| !alone.contains(digest)).collect();
            let version = by_digest(&inventory)[refused];
            prop_assert!(!version.manifests.iter().any(|child| gone.contains(child)));
        }
        Ok(())
    });
    assert!(found.is_err(), "refusal safety holds without links");
}

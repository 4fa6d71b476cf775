//! Properties of every inventory, however odd; and that each of these properties can fail, by planners that
//! are broken in one way each.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::inventories::any_inventory;
use crate::support::links::{Links, both, children, cut, statements, subjects};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use xtask::model::inventory::{Inventory, PackageVersion, Readable};
use xtask::model::reference::Digest;
use xtask::plan::retention::agenda::Agenda;
use xtask::plan::retention::{RetentionPlan, plan};

type Planner = fn(&Inventory) -> RetentionPlan;
type Property = fn(&Inventory, Planner) -> Result<(), String>;

fn deleted(plan: &RetentionPlan) -> BTreeSet<Digest> {
    plan.delete.iter().cloned().collect()
}

/// The versions by digest; one digest is one version.
fn by_digest(inventory: &Inventory) -> BTreeMap<&Digest, &PackageVersion> {
    inventory.versions.iter().map(|version| (&version.digest, version)).collect()
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
    cut(inventory, &gone, &children(inventory), &Links::new())?;
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

/// After each deletion the remaining versions have all their `links`.
fn after_each(
    inventory: &Inventory,
    planner: Planner,
    links: &Links,
    circles: &Links,
) -> Result<(), String> {
    let mut gone = BTreeSet::new();
    for digest in planner(inventory).delete {
        gone.insert(digest);
        cut(inventory, &gone, links, circles)?;
    }
    Ok(())
}

/// Wherever a run ends, no remaining index has lost a child.
fn prefix_safety(inventory: &Inventory, planner: Planner) -> Result<(), String> {
    after_each(inventory, planner, &children(inventory), &Links::new())
}

/// Wherever a run ends, no remaining image has lost a signature or an attestation.
fn statement_safety(inventory: &Inventory, planner: Planner) -> Result<(), String> {
    let statements = statements(inventory);
    after_each(inventory, planner, &statements, &both(&statements, &children(inventory)))
}

/// The deletions of a run, one of which is refused.
type Run = fn(&Inventory, &RetentionPlan, &Digest) -> BTreeSet<Digest>;

fn with_agenda(inventory: &Inventory, plan: &RetentionPlan, refused: &Digest) -> BTreeSet<Digest> {
    let mut agenda = Agenda::new(inventory, plan, None);
    let mut gone = BTreeSet::new();
    while let Some(version) = agenda.advance() {
        if version.digest == *refused {
            agenda.leave_alone(refused);
        } else {
            gone.insert(version.digest.clone());
        }
    }
    gone
}

/// Ignores the refused deletion and continues.
fn regardless(_: &Inventory, plan: &RetentionPlan, refused: &Digest) -> BTreeSet<Digest> {
    plan.delete.iter().filter(|digest| *digest != refused).cloned().collect()
}

/// Whichever deletion is refused: nothing that stays, the refused one and all below it included, has lost its
/// children or its referrers.
fn refused_in(inventory: &Inventory, planner: Planner, run: Run) -> Result<(), String> {
    let plan = planner(inventory);
    let (children, statements) = (children(inventory), statements(inventory));
    let all = both(&children, &statements);
    for refused in &plan.delete {
        let gone = run(inventory, &plan, refused);
        cut(inventory, &gone, &children, &Links::new())
            .and_then(|()| cut(inventory, &gone, &statements, &all))
            .map_err(|problem| format!("{refused} was refused: {problem}"))?;
    }
    Ok(())
}

fn refusal_safety(inventory: &Inventory, planner: Planner) -> Result<(), String> {
    refused_in(inventory, planner, with_agenda)
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
    let first = planner(inventory);
    if first.refuse.is_some() {
        return Ok(());
    }
    let gone = deleted(&first);
    let mut after = inventory.clone();
    after.versions.retain(|version| !gone.contains(&version.digest));
    after.policy.max_fraction = 1.0;
    after.policy.max_deletions = None;
    let again = planner(&after);
    if again.delete.is_empty() {
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

const PROPERTIES: [(&str, Property); 9] = [
    ("partition", partition),
    ("closure", closure),
    ("prefix safety", prefix_safety),
    ("statement safety", statement_safety),
    ("refusal safety", refusal_safety),
    ("independence of order", order_independence),
    ("idempotence", idempotence),
    ("more protection", more_protection_never_deletes_more),
    ("incomplete knowledge", incomplete_knowledge_never_deletes),
];

fn runner() -> TestRunner {
    TestRunner::new(Config { failure_persistence: None, ..Config::default() })
}

/// proptest sets the number of inventories: 256, or `PROPTEST_CASES`.
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

/// Deletes the planned versions and also the first version.
fn goes_twice(inventory: &Inventory) -> RetentionPlan {
    let mut broken = plan(inventory);
    broken.delete.extend(broken.delete.first().cloned());
    broken
}

/// Considers only tags, as the well-known cleaners do.
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

/// Deletes the first version and keeps the others for the next run.
fn one_at_a_time(inventory: &Inventory) -> RetentionPlan {
    let mut broken = plan(inventory);
    broken.delete.truncate(1);
    broken
}

/// Deletes pinned versions.
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

/// Deletes signatures and attestations before their images.
fn statements_first(inventory: &Inventory) -> RetentionPlan {
    let mut broken = plan(inventory);
    let versions = by_digest(inventory);
    broken.delete.sort_by_key(|digest| subjects(versions[digest]).is_empty());
    broken
}

#[test]
fn every_property_is_able_to_fail() {
    let broken: [(&str, Planner, Property); 9] = [
        ("partition", goes_twice, partition),
        ("closure", by_tag_alone, closure),
        ("prefix safety", in_reverse, prefix_safety),
        ("statement safety", statements_first, statement_safety),
        ("refusal safety", in_reverse, refusal_safety),
        ("independence of order", in_the_order_of_input, order_independence),
        ("idempotence", one_at_a_time, idempotence),
        ("more protection", pinned_goes, more_protection_never_deletes_more),
        ("incomplete knowledge", trusting, incomplete_knowledge_never_deletes),
    ];
    for (name, planner, property) in broken {
        assert!(
            fails(|inventory| property(inventory, planner)),
            "{name} holds for a broken planner"
        );
    }
    let regardless = |inventory: &Inventory| refused_in(inventory, plan, regardless);
    assert!(fails(regardless), "refusal safety holds for a run that takes no notice");
}

/// Whether some inventory breaks a property.
fn fails(property: impl Fn(&Inventory) -> Result<(), String>) -> bool {
    let config = Config { failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let property = |inventory: Inventory| property(&inventory).map_err(TestCaseError::fail);
    TestRunner::new(config).run(&any_inventory(), property).is_err()
}

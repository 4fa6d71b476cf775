//! The links of an inventory, found by its digests alone, independently of the plan's method.

use std::collections::{BTreeMap, BTreeSet};

use xtask::model::inventory::{Inventory, PackageVersion};
use xtask::model::reference::Digest;

/// The subjects of a version, from its manifest and its tags.
pub fn subjects(version: &PackageVersion) -> Vec<Digest> {
    let of_tag = |tag: &String| {
        let hex = tag.strip_prefix("sha256-")?.split('.').next()?;
        Digest::new(format!("sha256:{hex}")).ok()
    };
    version.subject.iter().cloned().chain(version.tags.iter().filter_map(of_tag)).collect()
}

/// The links between versions, by digest.
pub type Links = BTreeMap<Digest, BTreeSet<Digest>>;

/// From each version to the versions that it needs.
pub fn children(inventory: &Inventory) -> Links {
    let of = |v: &PackageVersion| (v.digest.clone(), v.manifests.iter().cloned().collect());
    inventory.versions.iter().map(of).collect()
}

/// From each version to the statements about it.
pub fn statements(inventory: &Inventory) -> Links {
    let mut links = Links::new();
    for version in &inventory.versions {
        for subject in subjects(version) {
            links.entry(subject).or_default().insert(version.digest.clone());
        }
    }
    links
}

/// Combines two sets of links.
pub fn both(one: &Links, other: &Links) -> Links {
    let mut links = one.clone();
    for (from, to) in other {
        links.entry(from.clone()).or_default().extend(to.clone());
    }
    links
}

/// Whether one needs another, directly or indirectly.
fn leads(links: &Links, from: &Digest, to: &Digest) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for next in links.get(at).into_iter().flatten().filter(|next| seen.insert(*next)) {
            if next == to {
                return true;
            }
            open.push(next);
        }
    }
    false
}

/// Fails on a link from a remaining version to a deleted one, except within a circle of `circles`,
/// which only a forged tag claims.
pub fn cut(
    inventory: &Inventory,
    gone: &BTreeSet<Digest>,
    links: &Links,
    circles: &Links,
) -> Result<(), String> {
    for from in inventory.versions.iter().map(|v| &v.digest).filter(|from| !gone.contains(from)) {
        let mut lost = links.get(from).into_iter().flatten().filter(|to| gone.contains(to));
        if let Some(to) = lost.find(|to| !leads(circles, to, from)) {
            return Err(format!("{from} is there and {to} gone"));
        }
    }
    Ok(())
}

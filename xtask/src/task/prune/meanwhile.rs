//! What others did while a run deletes: a tag that came to a version that is next, and a version that came
//! to need what is gone. The first stays, the second gets it back.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::model::failure::Failure;
use crate::model::inventory::{Inventory, Version};
use crate::model::pruning::{Gone, PackageReport};
use crate::model::reference::{Digest, Reference, Tag};
use crate::outside::packages::{Deletion, PACE, Packages};
use crate::outside::registry::{Client, Options, RegistryError};
use crate::outside::{clock, published};
use crate::plan::retention::below;
use crate::plan::retention::reclaim::reclaimable;

use super::super::publish::again;

/// Why a version is not what it was when it was listed: a tag has come or gone.
pub fn changed(
    client: &Client,
    packages: Option<&Packages<'_>>,
    report: &PackageReport,
    inventory: &Inventory,
    version: &Version,
) -> Result<Option<String>> {
    let come = |tag: &str| format!("`{tag}` leads to it by now");
    let moved = |tag: &str| format!("`{tag}` has moved meanwhile");
    if let (Some(packages), Some(id)) = (packages, version.id) {
        let Some(tags) = packages.tags(&report.package, id)? else { return Ok(None) };
        let new = tags.iter().find(|tag| !version.tags.contains(tag));
        let old = version.tags.iter().find(|tag| !tags.contains(tag));
        return Ok(new.map(|tag| come(tag)).or_else(|| old.map(|tag| moved(tag))));
    }
    // A tag of a commit or a version stays where it is; those that float are few.
    let floats = |tag: &String| inventory.policy.keep.contains(tag);
    let known = |tag: &String| inventory.versions.iter().any(|version| version.tags.contains(tag));
    for tag in again(|| client.tags(&report.repository))? {
        let name = tag.to_string();
        let own = version.tags.contains(&name);
        if !own && known(&name) && !floats(&name) {
            continue;
        }
        let leads_here = |there: Digest| there == version.digest;
        match head(client, &report.repository.with_tag(tag))?.map(leads_here) {
            Some(false) if own => return Ok(Some(moved(&name))),
            Some(true) if !own => return Ok(Some(come(&name))),
            _ => {}
        }
    }
    Ok(None)
}

/// What has a tag now must be whole, whoever tagged it and when. What this run took from it comes back,
/// and with it all that hangs on it.
pub fn mend(
    client: &Client,
    packages: Option<&Packages<'_>>,
    report: &mut PackageReport,
    inventory: &Inventory,
) -> Result<()> {
    let lost = lost(report, inventory)?;
    // Children come back before the index that needs them.
    for gone in report.deleted.clone().into_iter().rev() {
        let Some(tag) = lost.get(&gone.digest) else { continue };
        let cannot = |reason: &str| {
            let digest = &gone.digest;
            Failure::failed(format!(
                "`{tag}` needs {digest}, which this run deleted and cannot restore: {reason}"
            ))
            .hint("push the image again: cargo xtask push --rebuild")
        };
        match restore(client, packages, report, &gone)? {
            Deletion::Done => {}
            Deletion::NotFound => return Err(cannot("it is not there any more").into()),
            Deletion::Refused(reason) => return Err(cannot(&reason).into()),
        }
        report.restored(gone, format!("`{tag}` needs it, so it is restored"));
        report.bytes = reclaimable(inventory, report.deleted.iter().map(|gone| &gone.digest));
    }
    Ok(())
}

/// What this run deleted and a tag needs, with that tag.
fn lost(report: &PackageReport, inventory: &Inventory) -> Result<BTreeMap<Digest, Tag>> {
    let gone: BTreeSet<&Digest> = report.deleted.iter().map(|gone| &gone.digest).collect();
    let (mut lost, mut seen) = (BTreeMap::new(), BTreeSet::new());
    if gone.is_empty() {
        return Ok(lost);
    }
    // What was read before the deletions says nothing about what is there after them.
    let client = Client::new(Options::default());
    for tag in again(|| client.tags(&report.repository))? {
        let digest = head(&client, &report.repository.with_tag(tag.clone()))?;
        let Some(digest) = digest.filter(|digest| seen.insert(digest.clone())) else { continue };
        let closure = again(|| published::closure(&client, &report.repository, &digest))?;
        for missing in closure.missing.iter().filter(|missing| gone.contains(missing)) {
            let needed = below(inventory, missing).into_iter();
            let needed = needed.filter(|digest| gone.contains(digest));
            lost.extend(needed.map(|digest| (digest, tag.clone())));
        }
    }
    Ok(lost)
}

/// Where a tag leads to now.
fn head(client: &Client, reference: &Reference) -> Result<Option<Digest>> {
    again(|| match client.head_manifest(reference) {
        Ok(head) => Ok(Some(head.digest)),
        Err(RegistryError::NotFound) => Ok(None),
        Err(error) => Err(error),
    })
}

fn restore(
    client: &Client,
    packages: Option<&Packages<'_>>,
    report: &PackageReport,
    gone: &Gone,
) -> Result<Deletion> {
    let Some(packages) = packages else {
        // It was read for the plan, and its blobs are there until the registry collects its garbage.
        let reference = report.repository.at(gone.digest.clone());
        let stored = again(|| client.manifest(&reference))?;
        again(|| client.put_manifest(&reference, &stored))?;
        return Ok(Deletion::Done);
    };
    clock::sleep(PACE)?;
    packages.restore(&report.package, gone.id.context("the version has no number")?)
}

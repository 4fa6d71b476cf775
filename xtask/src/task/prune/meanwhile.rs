//! What others did while a run deletes: a tag that came to a version that is next, and a version that came
//! to need what is gone. The first stays, the second gets it back.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::model::failure::Failure;
use crate::model::inventory::{Inventory, Version};
use crate::model::manifest::{Descriptor, media_type};
use crate::model::pruning::{Gone, Missing, PackageReport};
use crate::model::reference::{Digest, Reference, Tag};
use crate::outside::packages::{Deletion, PACE, Packages};
use crate::outside::registry::{Client, RegistryError};
use crate::outside::{clock, parallel};
use crate::plan::retention::graph::Graph;
use crate::plan::retention::reclaim::reclaimable;

use crate::publish::again;

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

/// Who is asked, before the deletions and after them.
pub struct Sides<'s> {
    /// It remembers what it read for the plan.
    pub before: &'s Client,
    /// It has read nothing yet.
    pub after: &'s Client,
    pub packages: Option<&'s Packages<'s>>,
}

/// What has a tag now must be whole, whoever tagged it and when. What this run took from it comes back,
/// and with it all that hangs on it; what else is missing is noted.
pub fn mend(sides: &Sides<'_>, report: &mut PackageReport, inventory: &Inventory) -> Result<()> {
    let mut needed = BTreeMap::new();
    let gone: BTreeSet<Digest> = report.deleted.iter().map(|gone| gone.digest.clone()).collect();
    let graph = Graph::new(inventory);
    for missing in missing(sides.after, &report.repository)? {
        if !gone.contains(&missing.digest) {
            report.missing.push(missing);
            continue;
        }
        let mut below = BTreeSet::new();
        if let Some(at) = graph.find(&missing.digest) {
            graph.below(at, &mut below);
        }
        let below = below.into_iter().filter_map(|at| Some(graph.versions.get(at)?.digest.clone()));
        needed.extend(below.map(|digest| (digest, missing.tag.clone())));
    }
    // Children come back before the index that needs them.
    for gone in report.deleted.clone().into_iter().rev() {
        let Some(tag) = needed.get(&gone.digest) else { continue };
        let cannot = |reason: &str| {
            let digest = &gone.digest;
            Failure::failed(format!(
                "`{tag}` needs {digest}, which this run deleted and cannot restore: {reason}"
            ))
            .hint("push the image again: cargo xtask push --rebuild")
        };
        match restore(sides, report, &gone)? {
            Deletion::Done => {}
            Deletion::NotFound => return Err(cannot("it is not there any more").into()),
            Deletion::Refused(reason) => return Err(cannot(&reason).into()),
        }
        report.restored(gone, format!("`{tag}` needs it, so it is restored"));
        report.bytes = reclaimable(inventory, report.deleted.iter().map(|gone| &gone.digest));
    }
    Ok(())
}

/// The manifests that a tag leads to and that are not there, each with one such tag. Deletions take
/// manifests; layers stay until the registry collects its garbage, and then only what no manifest needs.
fn missing(client: &Client, repository: &Reference) -> Result<Vec<Missing>> {
    let tags = again(|| match client.tags(repository) {
        Err(RegistryError::NotFound) => Ok(Vec::new()),
        tags => tags,
    })?;
    let heads = parallel::each(&tags, |tag| head(client, &repository.with_tag(tag.clone())));
    let mut open: Vec<(Digest, Tag)> = Vec::new();
    for (tag, head) in tags.into_iter().zip(heads) {
        open.extend(head?.map(|digest| (digest, tag)));
    }
    let (mut seen, mut missing) = (BTreeSet::new(), Vec::new());
    while !open.is_empty() {
        open.retain(|(digest, _)| seen.insert(digest.clone()));
        let below = parallel::each(&open, |(digest, _)| children(client, repository, digest));
        let mut next = Vec::new();
        for ((digest, tag), below) in open.into_iter().zip(below) {
            match below? {
                Some(children) => next.extend(children.into_iter().map(|c| (c, tag.clone()))),
                None => missing.push(Missing { digest, tag }),
            }
        }
        open = next;
    }
    Ok(missing)
}

/// The manifests that one leads to; `None` where it is not there.
fn children(
    client: &Client,
    repository: &Reference,
    digest: &Digest,
) -> Result<Option<Vec<Digest>>> {
    again(|| {
        let manifest = match client.manifest(&repository.at(digest.clone())) {
            Err(RegistryError::NotFound) => return Ok(None),
            stored => stored?.parse()?,
        };
        let is_manifest =
            |child: &&Descriptor| media_type::MANIFESTS.contains(&child.media_type.as_str());
        let children = manifest.children().into_iter().filter(is_manifest);
        Ok(Some(children.map(|child| child.digest.clone()).collect()))
    })
}

/// Where a tag leads to now.
fn head(client: &Client, reference: &Reference) -> Result<Option<Digest>> {
    again(|| match client.head_manifest(reference) {
        Ok(head) => Ok(Some(head.digest)),
        Err(RegistryError::NotFound) => Ok(None),
        Err(error) => Err(error),
    })
}

fn restore(sides: &Sides<'_>, report: &PackageReport, gone: &Gone) -> Result<Deletion> {
    let Some(packages) = sides.packages else {
        // It was read for the plan, and its blobs are there until the registry collects its garbage.
        let reference = report.repository.at(gone.digest.clone());
        let stored = again(|| sides.before.manifest(&reference))?;
        again(|| sides.before.put_manifest(&reference, &stored))?;
        return Ok(Deletion::Done);
    };
    clock::sleep(PACE)?;
    packages.restore(&report.package, gone.id.context("the version has no number")?)
}

//! What other runs did while this one deletes: a tag that was set to a version that is next, and a tag that
//! needs a version that is gone. The first stays, the second is restored.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::model::failure::Failure;
use crate::model::inventory::{Inventory, PackageVersion};
use crate::model::manifest::{Descriptor, media_type};
use crate::model::pruning::{Gone, Missing, PackageReport};
use crate::model::reference::{Digest, Reference, Tag};
use crate::model::remote::if_found;
use crate::outside::github::{Change, Packages};
use crate::outside::parallel;
use crate::outside::registry::Client;
use crate::outside::retry::retry;
use crate::plan::retention::graph::Graph;
use crate::plan::retention::reclaim::reclaimable;

/// Why a version is not as it was listed: a tag was set or moved.
pub fn changed(
    client: &Client,
    packages: Option<&Packages<'_>>,
    report: &PackageReport,
    inventory: &Inventory,
    version: &PackageVersion,
) -> Result<Option<String>> {
    let set = |tag: &str| format!("`{tag}` points to it now");
    let moved = |tag: &str| format!("`{tag}` has moved since the plan was made");
    if let (Some(packages), Some(id)) = (packages, version.id) {
        let Some(tags) = packages.tags(&report.package, id)? else { return Ok(None) };
        let new = tags.iter().find(|tag| !version.tags.contains(tag));
        let old = version.tags.iter().find(|tag| !tags.contains(tag));
        return Ok(new.map(|tag| set(tag)).or_else(|| old.map(|tag| moved(tag))));
    }
    // Tags of commits and versions do not move, and only few tags float.
    let floats = |tag: &String| inventory.policy.keep.contains(tag);
    let known = |tag: &String| inventory.versions.iter().any(|version| version.tags.contains(tag));
    for tag in retry(|| client.tags(&report.repository))? {
        let name = tag.to_string();
        let own = version.tags.contains(&name);
        if !own && known(&name) && !floats(&name) {
            continue;
        }
        let points_here = |there: Digest| there == version.digest;
        let reference = report.repository.with_tag(tag);
        match retry(|| client.digest_at(&reference))?.map(points_here) {
            Some(false) if own => return Ok(Some(moved(&name))),
            Some(true) if !own => return Ok(Some(set(&name))),
            _ => {}
        }
    }
    Ok(None)
}

/// Who is asked before the deletions and after them.
pub struct Sides<'s> {
    /// It remembers the manifests that it read for the plan.
    pub before: &'s Client,
    /// It has read nothing yet.
    pub after: &'s Client,
    pub packages: Option<&'s Packages<'s>>,
}

/// Restores what this run deleted and a tag needs now, with everything that depends on it. Other missing
/// manifests are reported.
pub fn restore_needed(
    sides: &Sides<'_>,
    report: &mut PackageReport,
    inventory: &Inventory,
) -> Result<()> {
    let mut needed = BTreeMap::new();
    let gone: BTreeSet<Digest> = report.deleted.iter().map(|gone| gone.digest.clone()).collect();
    let graph = Graph::new(inventory);
    for missing in missing(sides.after, &report.repository)? {
        if !gone.contains(&missing.digest) {
            report.missing.push(missing);
            continue;
        }
        let below = graph.find(&missing.digest).map(|at| graph.below(at)).unwrap_or_default();
        let below = below.into_iter().filter_map(|at| Some(graph.versions.get(at)?.digest.clone()));
        needed.extend(below.map(|digest| (digest, missing.tag.clone())));
    }
    // Children are restored before the index that needs them.
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
            Change::Done => {}
            Change::NotFound => return Err(cannot("GitHub no longer has it").into()),
            Change::Refused(reason) => return Err(cannot(&reason).into()),
        }
        report.restored(gone, format!("restored, because `{tag}` needs it"));
        report.bytes = reclaimable(inventory, report.deleted.iter().map(|gone| &gone.digest));
    }
    Ok(())
}

/// The manifests that a tag needs and that do not exist, each with one such tag. Layers are not looked for:
/// the registry's garbage collection deletes only those that no manifest needs.
fn missing(client: &Client, repository: &Reference) -> Result<Vec<Missing>> {
    let tags = retry(|| if_found(client.tags(repository)))?.unwrap_or_default();
    let digests = parallel::each(&tags, |tag| {
        let reference = repository.with_tag(tag.clone());
        retry(|| client.digest_at(&reference))
    });
    let mut open: Vec<(Digest, Tag)> = Vec::new();
    for (tag, digest) in tags.into_iter().zip(digests) {
        open.extend(digest?.map(|digest| (digest, tag)));
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

/// The manifests that one contains; `None` if it does not exist.
fn children(
    client: &Client,
    repository: &Reference,
    digest: &Digest,
) -> Result<Option<Vec<Digest>>> {
    let stored = retry(|| if_found(client.manifest(&repository.at(digest.clone()))))?;
    let Some(stored) = stored else { return Ok(None) };
    let manifest = stored.parse()?;
    let is_manifest =
        |child: &&Descriptor| media_type::MANIFESTS.contains(&child.media_type.as_str());
    let children = manifest.children().into_iter().filter(is_manifest);
    Ok(Some(children.map(|child| child.digest.clone()).collect()))
}

fn restore(sides: &Sides<'_>, report: &PackageReport, gone: &Gone) -> Result<Change> {
    if let Some(packages) = sides.packages {
        let id = gone.id.context("the version has no number")?;
        return packages.restore(&report.package, id);
    }
    // It was read for the plan, and its blobs exist until the registry collects its garbage.
    let reference = report.repository.at(gone.digest.clone());
    let stored = retry(|| sides.before.manifest(&reference))?;
    retry(|| sides.before.put_manifest(&reference, &stored))?;
    Ok(Change::Done)
}

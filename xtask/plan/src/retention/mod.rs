//! Retention: which versions of a package are deleted, and why each other one is kept. Unknown versions are
//! kept; if that is not safe enough, the plan refuses to delete anything.

pub mod agenda;
pub mod classify;
pub mod forecast;
pub mod graph;
pub mod order;
pub mod reclaim;

use std::collections::{BTreeSet, VecDeque};

use serde::Serialize;

use xtask_model::inventory::{Inventory, Orphans, PackageVersion, Policy, Readable};
use xtask_model::reference::Digest;

use classify::{Class, commit_time};
use graph::{Graph, made};

/// The plan for one package.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetentionPlan {
    /// In the order in which they are to be deleted.
    pub delete: Vec<Digest>,
    /// Why nothing is deleted.
    pub refuse: Option<&'static str>,
    /// The same with its details.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse_detail: Option<String>,
    /// Unrecognized tags; they are kept.
    pub unclassified: Vec<String>,
    /// One for each version, in the order of the inventory.
    pub verdicts: Vec<Verdict>,
}

/// Keep or delete, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    pub digest: Digest,
    pub tags: Vec<String>,
    pub keep: bool,
    pub reason: String,
    /// The version that this one is kept for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because_of: Option<Digest>,
}

/// Why nothing is deleted; the texts are part of the output.
pub mod refusal {
    pub const INCOMPLETE: &str = "incomplete";
    pub const UNREADABLE: &str = "unreadable";
    pub const MISSING: &str = "missing at the registry";
    pub const CIRCUIT: &str = "circuit";
}

/// Why a version is kept.
#[derive(Debug, Clone)]
struct Kept {
    reason: String,
    because_of: Option<usize>,
}

/// Decides for one package.
pub fn plan(inventory: &Inventory) -> RetentionPlan {
    let graph = Graph::new(inventory);
    let unclassified = unclassified(&graph);
    if !inventory.complete {
        let detail = "the list of versions is incomplete";
        return refused(&graph, unclassified, refusal::INCOMPLETE, detail);
    }
    if let Some(version) = graph.versions.iter().find(|v| v.manifest == Readable::Error) {
        let detail = format!("the manifest {} cannot be read", version.digest);
        return refused(&graph, unclassified, refusal::UNREADABLE, &detail);
    }
    let mut kept: Vec<Option<Kept>> = roots(inventory, &graph);
    for (version, kept) in graph.versions.iter().zip(&mut kept) {
        match (version.manifest, &kept) {
            (Readable::Missing, Some(root)) => {
                let detail = format!(
                    "{} is kept ({}), but its manifest is missing: what it contains is unknown",
                    version.digest, root.reason
                );
                return refused(&graph, unclassified, refusal::MISSING, &detail);
            }
            (Readable::Missing, None) => {
                let reason = "listed, but its manifest is missing".to_owned();
                *kept = Some(Kept { reason, because_of: None });
            }
            _ => {}
        }
    }
    guard(&graph, &mut kept);
    close(&graph, &mut kept);
    let chosen: BTreeSet<usize> =
        kept.iter().enumerate().filter(|(_, kept)| kept.is_none()).map(|(at, _)| at).collect();
    if let Some(detail) = too_many(chosen.len(), graph.versions.len(), &inventory.policy) {
        return refused(&graph, unclassified, refusal::CIRCUIT, &detail);
    }
    let ordered = order::order(&graph, &chosen);
    let delete =
        ordered.into_iter().filter_map(|at| Some(graph.versions.get(at)?.digest.clone())).collect();
    let verdicts = verdicts(inventory, &graph, &kept);
    RetentionPlan { delete, refuse: None, refuse_detail: None, unclassified, verdicts }
}

impl RetentionPlan {
    /// The path that keeps or expires a version, from itself to the root that decides; empty where there
    /// is no such version.
    pub fn path(&self, digest: &Digest) -> Vec<&Verdict> {
        let of = |digest: &Digest| self.verdicts.iter().find(|verdict| verdict.digest == *digest);
        let first = of(digest);
        std::iter::successors(first, |verdict| of(verdict.because_of.as_ref()?)).collect()
    }
}

/// The versions that are kept for their own sake.
fn roots(inventory: &Inventory, graph: &Graph<'_>) -> Vec<Option<Kept>> {
    let Inventory { now, policy, .. } = inventory;
    let mut kept: Vec<Option<Kept>> = graph
        .versions
        .iter()
        .zip(&graph.classes)
        .enumerate()
        .map(|(at, (version, classes))| {
            let has_subject = graph.subjects.get(at).is_some_and(|list| !list.is_empty());
            let forged = graph.forged.contains(&at);
            let reason = root(version, classes, has_subject, policy, *now)
                .or_else(|| forged.then(|| "it claims to refer to a part of itself".to_owned()))?;
            Some(Kept { reason, because_of: None })
        })
        .collect();
    // For a rollback: the newest images of commits.
    let is_commit = |class: &Class| matches!(class, Class::Commit(_));
    let mut commits: Vec<usize> = (0..graph.versions.len())
        .filter(|at| graph.classes.get(*at).is_some_and(|classes| classes.iter().any(is_commit)))
        .collect();
    commits.sort_by(|a, b| {
        graph
            .time(*b)
            .total_cmp(&graph.time(*a))
            .then_with(|| graph.digest(*a).cmp(graph.digest(*b)))
    });
    for (rank, at) in commits.into_iter().take(policy.keep_last).enumerate() {
        if let Some(slot @ None) = kept.get_mut(at) {
            let reason = format!("number {} of the newest {}", rank + 1, policy.keep_last);
            *slot = Some(Kept { reason, because_of: None });
        }
    }
    kept
}

/// Why a version is kept for its own sake; `None` if only another version can keep it.
fn root(
    version: &PackageVersion,
    classes: &[Class],
    has_subject: bool,
    policy: &Policy,
    now: f64,
) -> Option<String> {
    for (tag, class) in version.tags.iter().zip(classes) {
        match class {
            Class::Listed => return Some(format!("`{tag}` is kept for ever")),
            Class::Version => return Some(format!("`{tag}` is a version")),
            Class::Unknown => return Some(format!("unrecognized tag, kept: `{tag}`")),
            Class::Commit(hash) => {
                let made = made(version)
                    .map(|made| commit_time(hash, policy).map_or(made, |t| t.max(made)));
                if is_young(made, now, policy.max_age_s) {
                    return Some(format!("`{tag}` is younger than {}", days(policy.max_age_s)));
                }
            }
            Class::Refers(_) => {}
        }
    }
    if policy.in_use.contains(&version.digest) {
        return Some("a file in the repository pins its digest".to_owned());
    }
    let only_refers = classes.iter().all(|class| matches!(class, Class::Refers(_)));
    let made = made(version);
    if only_refers && is_young(made, now, policy.grace_s) {
        return Some(format!("younger than the grace period of {}", days(policy.grace_s)));
    }
    let orphan = !classes.is_empty() && only_refers && !has_subject;
    let stays = policy.orphan_referrers == Orphans::Keep || is_young(made, now, policy.max_age_s);
    (orphan && stays).then(|| "it refers to an image that is not in this package".to_owned())
}

/// At most as old as the limit. A version without a time, or from the future, is young.
fn is_young(made: Option<f64>, now: f64, limit: f64) -> bool {
    made.is_none_or(|made| now - made <= limit)
}

/// Keeps what the kept versions need: children at any depth, referrers and subjects.
fn close(graph: &Graph<'_>, kept: &mut [Option<Kept>]) {
    let mut open: VecDeque<usize> =
        kept.iter().enumerate().filter(|(_, kept)| kept.is_some()).map(|(at, _)| at).collect();
    while let Some(at) = open.pop_front() {
        for (links, reason) in [
            (&graph.children, "a kept index contains it"),
            (&graph.referrers, "it refers to a kept image"),
            (&graph.subjects, "a kept version refers to it"),
        ] {
            for other in links.get(at).into_iter().flatten() {
                if let Some(slot @ None) = kept.get_mut(*other) {
                    *slot = Some(Kept { reason: reason.to_owned(), because_of: Some(at) });
                    open.push_back(*other);
                }
            }
        }
    }
}

/// A registry refuses to delete the last tagged version, and a package is never emptied. If no tag is kept
/// for ever, the newest tagged version stays, or the newest of all if none has a tag. It stays even if the
/// policy keeps other versions, so protecting one version never deletes another.
fn guard(graph: &Graph<'_>, kept: &mut [Option<Kept>]) {
    let newest = |candidates: &mut dyn Iterator<Item = usize>| {
        candidates.max_by(|a, b| {
            let by_time = graph.time(*a).total_cmp(&graph.time(*b));
            by_time.then_with(|| graph.digest(*a).cmp(graph.digest(*b)))
        })
    };
    let tagged =
        |at: &usize| graph.versions.get(*at).is_some_and(|version| !version.tags.is_empty());
    let lasting = |class: &Class| matches!(class, Class::Listed | Class::Version | Class::Unknown);
    if graph.classes.iter().flatten().any(lasting) {
        return;
    }
    let all = 0..graph.versions.len();
    let (at, reason) = match newest(&mut all.clone().filter(tagged)) {
        Some(at) => (Some(at), "the newest tagged version is always kept"),
        None => (newest(&mut all.clone()), "the newest version of a package is always kept"),
    };
    if let Some(slot @ None) = at.and_then(|at| kept.get_mut(at)) {
        *slot = Some(Kept { reason: reason.to_owned(), because_of: None });
    }
}

fn too_many(count: usize, all: usize, policy: &Policy) -> Option<String> {
    if let Some(most) = policy.max_deletions.filter(|most| count > *most) {
        return Some(format!("{count} deletions planned (allowed: {most})"));
    }
    #[expect(clippy::cast_precision_loss, reason = "versions are counted in thousands")]
    let share = count as f64 / all.max(1) as f64;
    (share > policy.max_fraction).then(|| {
        let percent = |share: f64| share * 100.0;
        format!(
            "{count} of {all} versions would be deleted, {:.0} % (allowed: {:.0} %)",
            percent(share),
            percent(policy.max_fraction)
        )
    })
}

fn unclassified(graph: &Graph<'_>) -> Vec<String> {
    let pairs = graph.versions.iter().zip(&graph.classes);
    let tags = pairs.flat_map(|(version, classes)| version.tags.iter().zip(classes));
    tags.filter(|(_, class)| **class == Class::Unknown).map(|(tag, _)| tag.clone()).collect()
}

fn refused(
    graph: &Graph<'_>,
    unclassified: Vec<String>,
    refuse: &'static str,
    detail: &str,
) -> RetentionPlan {
    let verdict = |version: &PackageVersion| Verdict {
        digest: version.digest.clone(),
        tags: version.tags.clone(),
        keep: true,
        reason: format!("nothing is deleted: {detail}"),
        because_of: None,
    };
    RetentionPlan {
        delete: Vec::new(),
        refuse: Some(refuse),
        refuse_detail: Some(detail.to_owned()),
        unclassified,
        verdicts: graph.versions.iter().map(verdict).collect(),
    }
}

fn verdicts(inventory: &Inventory, graph: &Graph<'_>, kept: &[Option<Kept>]) -> Vec<Verdict> {
    let digest = |at: usize| graph.versions.get(at).map(|version| version.digest.clone());
    let pairs = graph.versions.iter().zip(kept).enumerate();
    pairs
        .map(|(at, (version, kept))| Verdict {
            digest: version.digest.clone(),
            tags: version.tags.clone(),
            keep: kept.is_some(),
            reason: kept
                .as_ref()
                .map_or_else(|| expired(inventory, graph, at), |kept| kept.reason.clone()),
            because_of: kept.as_ref().and_then(|kept| digest(kept.because_of?)),
        })
        .collect()
}

/// Why a version is deleted.
fn expired(inventory: &Inventory, graph: &Graph<'_>, at: usize) -> String {
    let Inventory { now, policy, .. } = inventory;
    let age = days(now - graph.time(at));
    let classes = graph.classes.get(at).map_or(&[][..], Vec::as_slice);
    let is_commit = |class: &Class| matches!(class, Class::Commit(_));
    if classes.iter().any(is_commit) {
        return format!("{age} old (kept for {})", days(policy.max_age_s));
    }
    if classes.is_empty() {
        return format!("untagged and {age} old (kept for {})", days(policy.grace_s));
    }
    "the image it refers to is deleted too, or already gone".to_owned()
}

fn days(seconds: f64) -> String {
    let days = seconds / 86_400.0;
    if days < 10.0 { format!("{days:.1} d") } else { format!("{days:.0} d") }
}

//! How the versions of a package hang together, by their positions in the inventory.

use std::collections::{BTreeMap, BTreeSet};

use xtask_model::inventory::{Inventory, Version};
use xtask_model::reference::Digest;

use super::classify::{Class, classify};

/// The versions with their links; a link that leads to no version is left out.
#[derive(Debug, Clone)]
pub struct Graph<'i> {
    pub versions: &'i [Version],
    /// Where each version stands.
    at: BTreeMap<&'i Digest, usize>,
    /// The classes of the tags of each version.
    pub classes: Vec<Vec<Class>>,
    /// What an index leads to.
    pub children: Vec<Vec<usize>>,
    /// What speaks about a version: signatures, attestations.
    pub referrers: Vec<Vec<usize>>,
    /// What a version speaks about.
    pub subjects: Vec<Vec<usize>>,
}

impl<'i> Graph<'i> {
    pub fn new(inventory: &'i Inventory) -> Self {
        let versions = inventory.versions.as_slice();
        let at: BTreeMap<&Digest, usize> = versions
            .iter()
            .enumerate()
            .map(|(position, version)| (&version.digest, position))
            .collect();
        let find = |digests: &mut dyn Iterator<Item = &Digest>| -> Vec<usize> {
            let found: BTreeSet<usize> =
                digests.filter_map(|digest| at.get(digest).copied()).collect();
            found.into_iter().collect()
        };
        let classes: Vec<Vec<Class>> = versions
            .iter()
            .map(|version| {
                version.tags.iter().map(|tag| classify(tag, &inventory.policy)).collect()
            })
            .collect();
        let children = versions.iter().map(|version| find(&mut version.manifests.iter())).collect();
        let subjects: Vec<Vec<usize>> = versions
            .iter()
            .zip(&classes)
            .map(|(version, classes)| {
                let by_tag = classes.iter().filter_map(|class| match class {
                    Class::Refers(digest) => Some(digest),
                    _ => None,
                });
                find(&mut version.subject.iter().chain(by_tag))
            })
            .collect();
        let mut referrers = vec![Vec::new(); versions.len()];
        for (position, subjects) in subjects.iter().enumerate() {
            for subject in subjects {
                if let Some(list) = referrers.get_mut(*subject) {
                    list.push(position);
                }
            }
        }
        Self { versions, at, classes, children, referrers, subjects }
    }

    pub fn find(&self, digest: &Digest) -> Option<usize> {
        self.at.get(digest).copied()
    }

    /// Adds to `found` what must stay when a version stays: everything below it, and all that speaks
    /// about it.
    pub fn below(&self, position: usize, found: &mut BTreeSet<usize>) {
        let mut open = vec![position];
        while let Some(at) = open.pop() {
            if found.insert(at) {
                open.extend(self.children.get(at).into_iter().flatten());
                open.extend(self.referrers.get(at).into_iter().flatten());
            }
        }
    }

    pub fn digest(&self, position: usize) -> &str {
        self.versions.get(position).map_or("", |version| version.digest.as_str())
    }

    /// When the version was made; one that does not tell is the youngest.
    pub fn time(&self, position: usize) -> f64 {
        let version = self.versions.get(position);
        version.and_then(made).unwrap_or(f64::INFINITY)
    }
}

/// The later of both times, `None` where the first is missing.
pub fn made(version: &Version) -> Option<f64> {
    let created = version.created?;
    Some(version.updated.map_or(created, |updated| updated.max(created)))
}

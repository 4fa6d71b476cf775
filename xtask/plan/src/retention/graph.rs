//! How the versions of a package depend on each other, by their positions in the inventory.

use std::collections::{BTreeMap, BTreeSet};

use xtask_model::inventory::{Inventory, PackageVersion};
use xtask_model::reference::Digest;

use super::classify::{Class, classify};

/// The versions with their links; a link to a digest that is no version is left out.
#[derive(Debug, Clone)]
pub struct Graph<'i> {
    pub versions: &'i [PackageVersion],
    /// The position of each version.
    at: BTreeMap<&'i Digest, usize>,
    /// The classes of the tags of each version.
    pub classes: Vec<Vec<Class>>,
    /// What an index contains.
    pub children: Vec<Vec<usize>>,
    /// The signatures and attestations of a version.
    pub referrers: Vec<Vec<usize>>,
    /// What a signature or an attestation is about.
    pub subjects: Vec<Vec<usize>>,
    /// Versions that claim to be about something that depends on them. Such a claim is not believed.
    pub forged: BTreeSet<usize>,
}

impl<'i> Graph<'i> {
    pub fn new(inventory: &'i Inventory) -> Self {
        let versions = inventory.versions.as_slice();
        let positions = versions.iter().enumerate();
        let at: BTreeMap<&Digest, usize> =
            positions.map(|(position, version)| (&version.digest, position)).collect();
        let find = |digests: &mut dyn Iterator<Item = &Digest>| -> Vec<usize> {
            let found: BTreeSet<usize> = digests.filter_map(|d| at.get(d).copied()).collect();
            found.into_iter().collect()
        };
        let class = |tag: &String| classify(tag, &inventory.policy);
        let classes: Vec<Vec<Class>> =
            versions.iter().map(|version| version.tags.iter().map(class).collect()).collect();
        let children = versions.iter().map(|version| find(&mut version.manifests.iter())).collect();
        let subjects = versions.iter().zip(&classes).map(|(version, classes)| {
            let by_tag = classes.iter().filter_map(Class::subject);
            find(&mut version.subject.iter().chain(by_tag))
        });
        let subjects: Vec<Vec<usize>> = subjects.collect();
        let referrers = reversed(&subjects);
        let forged = BTreeSet::new();
        let graph = Self { versions, at, classes, children, referrers, subjects, forged };
        graph.without_forgeries()
    }

    /// Leaves out each claim of a version to be about something that depends on the version itself: only a
    /// forged tag or manifest makes it. A tag that claims it is unknown.
    fn without_forgeries(mut self) -> Self {
        let all = self.clone();
        for (position, subjects) in all.subjects.iter().enumerate().filter(|(_, s)| !s.is_empty()) {
            let below = all.below(position);
            if !subjects.iter().any(|subject| below.contains(subject)) {
                continue;
            }
            self.forged.insert(position);
            let is_forged =
                |subject: &Digest| self.at.get(subject).is_some_and(|s| below.contains(s));
            for class in self.classes.get_mut(position).into_iter().flatten() {
                if class.subject().is_some_and(is_forged) {
                    *class = Class::Unknown;
                }
            }
            if let Some(subjects) = self.subjects.get_mut(position) {
                subjects.retain(|subject| !below.contains(subject));
            }
        }
        self.referrers = reversed(&self.subjects);
        self
    }

    pub fn find(&self, digest: &Digest) -> Option<usize> {
        self.at.get(digest).copied()
    }

    /// The versions that are deleted after a version: its children and its referrers.
    pub fn after(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        let of = |list: &'_ [Vec<usize>]| list.get(position).cloned().unwrap_or_default();
        of(&self.children).into_iter().chain(of(&self.referrers))
    }

    /// What must stay when a version stays, itself included: everything that it contains, and all their
    /// referrers.
    pub fn below(&self, position: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open = vec![position];
        while let Some(at) = open.pop() {
            if found.insert(at) {
                open.extend(self.after(at));
            }
        }
        found
    }

    pub fn digest(&self, position: usize) -> &str {
        self.versions.get(position).map_or("", |version| version.digest.as_str())
    }

    /// When the version was made; one without a time is the youngest.
    pub fn time(&self, position: usize) -> f64 {
        let version = self.versions.get(position);
        version.and_then(made).unwrap_or(f64::INFINITY)
    }
}

/// The same links in the other direction.
fn reversed(links: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut reversed = vec![Vec::new(); links.len()];
    for (from, to) in links.iter().enumerate() {
        for to in to {
            if let Some(list) = reversed.get_mut(*to) {
                list.push(from);
            }
        }
    }
    reversed
}

/// The later of both times, `None` where the first is missing.
pub fn made(version: &PackageVersion) -> Option<f64> {
    let created = version.created?;
    Some(version.updated.map_or(created, |updated| updated.max(created)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> Digest {
        Digest::new(format!("sha256:{}", digit.to_string().repeat(64))).unwrap()
    }

    /// A package of versions, each with its children and the subject of its tag.
    fn inventory(versions: &[(char, &str, &str)]) -> Inventory {
        let list = |digits: &str| digits.chars().map(digest).collect::<Vec<_>>();
        let versions = versions.iter().map(|(own, children, subjects)| {
            let tag = |subject: Digest| subject.as_str().replacen(':', "-", 1) + ".sig";
            let tags: Vec<_> = list(subjects).into_iter().map(tag).collect();
            serde_json::json!({ "digest": digest(*own), "manifests": list(children), "tags": tags })
        });
        let versions: Vec<_> = versions.collect();
        serde_json::from_value(serde_json::json!({ "now": 0.0, "inventory": versions })).unwrap()
    }

    /// The positions of forged versions.
    fn check(versions: &[(char, &str, &str)], forged: &[usize]) {
        let inventory = inventory(versions);
        let graph = Graph::new(&inventory);
        assert_eq!(graph.forged.iter().copied().collect::<Vec<_>>(), forged, "{versions:?}");
        for at in &graph.forged {
            assert!(graph.classes[*at].contains(&Class::Unknown), "{versions:?}");
        }
        // Without forgeries there is no circle.
        let all = (0..versions.len()).collect();
        assert_eq!(super::super::order::order(&graph, &all).len(), versions.len());
    }

    #[test]
    fn a_tag_naming_its_own_child_is_forged() {
        check(&[('a', "b", "b"), ('b', "", "")], &[0]);
        check(&[('a', "b", "c"), ('b', "c", ""), ('c', "", "")], &[0]);
        check(&[('a', "", "a")], &[0]);
        // Together they claim a circle.
        check(&[('a', "b", "d"), ('b', "", ""), ('c', "d", "b"), ('d', "", "")], &[0, 2]);
    }

    #[test]
    fn a_signature_is_not_forged() {
        check(&[('a', "b", ""), ('b', "", ""), ('c', "", "a"), ('d', "", "b")], &[]);
        // The same signature of two images.
        check(&[('a', "", ""), ('b', "", ""), ('c', "", "ab")], &[]);
    }
}

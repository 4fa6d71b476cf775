//! The order of deletions: an index before its children, a subject before its referrers, then the oldest
//! first, ties by digest. Wherever a run ends, no image that is left has lost anything.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Graph;

/// Sorts `chosen`, positions in the graph. Versions in a circle are left out and stay; digests cannot form
/// one.
pub fn order(graph: &Graph<'_>, chosen: &BTreeSet<usize>) -> Vec<usize> {
    let mut by_age: Vec<usize> = chosen.iter().copied().collect();
    by_age.sort_by(|a, b| {
        let by_time = graph.time(*a).total_cmp(&graph.time(*b));
        by_time.then_with(|| graph.digest(*a).cmp(graph.digest(*b)))
    });
    let ranks: BTreeMap<usize, usize> =
        by_age.iter().enumerate().map(|(rank, position)| (*position, rank)).collect();
    let after = |position| graph.after(position).filter(|other| chosen.contains(other));
    let mut waits: BTreeMap<usize, usize> = BTreeMap::new();
    for other in chosen.iter().flat_map(|position| after(*position)) {
        *waits.entry(other).or_default() += 1;
    }
    let is_free = |(position, _): &(&usize, &usize)| !waits.contains_key(position);
    let mut ready: BTreeSet<usize> = ranks.iter().filter(is_free).map(|(_, rank)| *rank).collect();
    let mut ordered = Vec::with_capacity(chosen.len());
    while let Some(rank) = ready.pop_first() {
        let Some(position) = by_age.get(rank).copied() else { continue };
        ordered.push(position);
        for other in after(position) {
            let left = waits.entry(other).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                ready.extend(ranks.get(&other));
            }
        }
    }
    ordered
}

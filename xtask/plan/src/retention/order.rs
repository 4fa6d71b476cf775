//! In which order versions are deleted: parents and subjects before children and referrers, the oldest
//! first, ties by digest. After any prefix of it no surviving image has lost anything.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::graph::Graph;

/// What is next: the smallest time, then the smallest digest.
struct Next<'g> {
    time: f64,
    digest: &'g str,
    position: usize,
}

impl Ord for Next<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // A heap gives the largest; the oldest is to come first.
        other.time.total_cmp(&self.time).then_with(|| other.digest.cmp(self.digest))
    }
}

impl PartialOrd for Next<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Next<'_> {}

/// Which versions that are left must go before each other one, and which after it.
struct Links<'g> {
    graph: &'g Graph<'g>,
    left: BTreeSet<usize>,
    /// How many parents and how many subjects of a version are left.
    waits: BTreeMap<usize, usize>,
}

impl<'g> Links<'g> {
    fn new(graph: &'g Graph<'g>, chosen: &BTreeSet<usize>) -> Self {
        let mut links = Self { graph, left: chosen.clone(), waits: BTreeMap::new() };
        for other in chosen.iter().flat_map(|position| links.after(*position)).collect::<Vec<_>>() {
            *links.waits.entry(other).or_default() += 1;
        }
        links
    }

    fn of<'l>(
        &'l self,
        list: &'l [Vec<usize>],
        position: usize,
    ) -> impl Iterator<Item = usize> + 'l {
        let all = list.get(position).map_or(&[][..], Vec::as_slice).iter().copied();
        all.filter(move |other| *other != position && self.left.contains(other))
    }

    /// What an index leads to.
    fn children(&self, position: usize) -> Vec<usize> {
        self.of(&self.graph.children, position).collect()
    }

    /// All that goes after a version: what it leads to and what speaks about it.
    fn after(&self, position: usize) -> Vec<usize> {
        let children = self.of(&self.graph.children, position);
        children.chain(self.of(&self.graph.referrers, position)).collect()
    }

    fn is_free(&self, position: usize) -> bool {
        self.waits.get(&position).is_none_or(|count| *count == 0)
    }

    /// Takes a version away; returns what waits for nothing any more.
    fn remove(&mut self, position: usize) -> Vec<usize> {
        self.left.remove(&position);
        let after = self.after(position);
        for other in &after {
            self.waits.entry(*other).and_modify(|count| *count -= 1);
        }
        after.into_iter().filter(|other| self.is_free(*other)).collect()
    }

    /// Where the circles are cut in which all that is left waits for each other: one version of each
    /// circle to which nothing outside leads. An index never waits there for what speaks about it, and
    /// where even indexes lead to each other, the oldest goes first.
    fn cuts(&self) -> Vec<Next<'g>> {
        let circles = outermost(&self.left, |position| self.after(position));
        let cut = |circle: &BTreeSet<usize>| {
            let inside = |position| -> Vec<usize> {
                self.children(position).into_iter().filter(|other| circle.contains(other)).collect()
            };
            outermost(circle, inside).into_iter().flatten().map(|at| next(self.graph, at)).max()
        };
        circles.iter().filter_map(cut).collect()
    }
}

fn next<'g>(graph: &'g Graph<'_>, position: usize) -> Next<'g> {
    Next { time: graph.time(position), digest: graph.digest(position), position }
}

/// The parts of a graph to which nothing outside of them leads, and in which everything leads to
/// everything: circles, or single ones (S. R. Kosaraju's way: what a walk finishes last leads the rest).
fn outermost(all: &BTreeSet<usize>, links: impl Fn(usize) -> Vec<usize>) -> Vec<BTreeSet<usize>> {
    let mut seen = BTreeSet::new();
    let mut finished = Vec::new();
    for &start in all {
        walk(start, &links, &mut seen, &mut finished);
    }
    let mut above: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &position in all {
        for other in links(position) {
            above.entry(other).or_default().push(position);
        }
    }
    let mut reached = BTreeSet::new();
    let mut parts = Vec::new();
    for &leader in finished.iter().rev() {
        if reached.contains(&leader) {
            continue;
        }
        walk(leader, &links, &mut reached, &mut Vec::new());
        // Nothing outside leads to the leader, so that all that does is its circle.
        let mut part = BTreeSet::new();
        let up = |position| above.get(&position).cloned().unwrap_or_default();
        walk(leader, &up, &mut part, &mut Vec::new());
        parts.push(part);
    }
    parts
}

/// Goes wherever `links` lead from `start`; notes each position when all beyond it is `seen`.
fn walk(
    start: usize,
    links: &impl Fn(usize) -> Vec<usize>,
    seen: &mut BTreeSet<usize>,
    finished: &mut Vec<usize>,
) {
    if !seen.insert(start) {
        return;
    }
    let mut open = vec![(start, links(start))];
    while let Some((position, rest)) = open.last_mut() {
        match rest.pop() {
            Some(other) if seen.insert(other) => open.push((other, links(other))),
            Some(_) => {}
            None => {
                finished.push(*position);
                open.pop();
            }
        }
    }
}

/// Sorts `chosen`, positions in the graph. A tag may claim to speak about a child of its own, which is
/// a circle; then the index comes before its child. It ends on any graph.
pub fn order(graph: &Graph<'_>, chosen: &BTreeSet<usize>) -> Vec<usize> {
    let mut links = Links::new(graph, chosen);
    let free = chosen.iter().filter(|position| links.is_free(**position));
    let mut ready: BinaryHeap<Next<'_>> = free.map(|position| next(graph, *position)).collect();
    let mut ordered = Vec::with_capacity(chosen.len());
    while !links.left.is_empty() {
        let Some(Next { position, .. }) = ready.pop() else {
            ready.extend(links.cuts());
            continue;
        };
        // What a circle was cut at may become free as well.
        if links.left.contains(&position) {
            ordered.push(position);
            ready.extend(links.remove(position).into_iter().map(|other| next(graph, other)));
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_model::inventory::Inventory;

    fn digest(number: usize) -> String {
        format!("sha256:{number:064x}")
    }

    /// Circles of an index and its child, of which the index claims by its tag to speak.
    fn circles(count: usize) -> Inventory {
        let versions = (0..count).flat_map(|number| {
            let (index, child) = (digest(2 * number), digest(2 * number + 1));
            let tag = child.replacen(':', "-", 1) + ".sig";
            [
                serde_json::json!({ "digest": index, "manifests": [child], "tags": [tag] }),
                serde_json::json!({ "digest": child }),
            ]
        });
        let versions: Vec<_> = versions.collect();
        serde_json::from_value(serde_json::json!({ "now": 0.0, "inventory": versions })).unwrap()
    }

    #[test]
    fn thousands_of_circles_are_cut_at_their_indexes() {
        let inventory = circles(2000);
        let graph = Graph::new(&inventory);
        let ordered = order(&graph, &(0..4000).collect());
        let expected: Vec<usize> = (0..4000).collect();
        assert_eq!(ordered, expected);
    }

    #[test]
    fn what_speaks_about_a_circle_goes_after_it_however_old_it_is() {
        let version = |number: usize, created: f64, more: serde_json::Value| {
            let mut version = serde_json::json!({ "digest": digest(number), "created": created });
            version.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            version
        };
        let tag = digest(1).replacen(':', "-", 1);
        let versions = [
            version(0, 9.0, serde_json::json!({ "manifests": [digest(1)], "tags": [tag] })),
            version(1, 9.0, serde_json::json!({})),
            version(2, 1.0, serde_json::json!({ "subject": digest(1) })),
        ];
        let inventory: Inventory =
            serde_json::from_value(serde_json::json!({ "now": 0.0, "inventory": versions }))
                .unwrap();
        assert_eq!(order(&Graph::new(&inventory), &(0..3).collect()), [0, 1, 2]);
    }
}

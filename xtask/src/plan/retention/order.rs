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

/// The links of one version that lead to others that are to go.
type Edges<'e> = dyn Fn(&Vec<Vec<usize>>, usize) -> Vec<usize> + 'e;

/// Whether every parent that is left, however far up, is itself below `position`: then it is in a circle
/// that nothing outside leads to, and deleting it first takes nothing from outside.
fn leads_circle(
    position: usize,
    left: &BTreeSet<usize>,
    edges: &Edges<'_>,
    graph: &Graph<'_>,
) -> bool {
    let below = |start: usize| {
        let mut found = BTreeSet::new();
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            let children = edges(&graph.children, at).into_iter();
            open.extend(children.filter(|child| left.contains(child) && found.insert(*child)));
        }
        found
    };
    let mine = below(position);
    left.iter().all(|other| {
        *other == position || mine.contains(other) || !below(*other).contains(&position)
    })
}

/// Sorts `chosen`, positions in the graph. A tag may claim to speak about a child of its own, which is
/// a circle; then the index comes before its child. It ends on any graph.
pub fn order(graph: &Graph<'_>, chosen: &BTreeSet<usize>) -> Vec<usize> {
    let edges = |of: &Vec<Vec<usize>>, position: usize| -> Vec<usize> {
        let all = of.get(position).map_or(&[][..], Vec::as_slice).iter().copied();
        all.filter(|other| *other != position && chosen.contains(other)).collect()
    };
    let mut children_left: BTreeMap<usize, usize> = BTreeMap::new();
    let mut subjects_left: BTreeMap<usize, usize> = BTreeMap::new();
    for &position in chosen {
        for child in edges(&graph.children, position) {
            *children_left.entry(child).or_default() += 1;
        }
        for referrer in edges(&graph.referrers, position) {
            *subjects_left.entry(referrer).or_default() += 1;
        }
    }
    let next = |position: usize| Next {
        time: graph.time(position),
        digest: graph.digest(position),
        position,
    };
    let mut left: BTreeSet<usize> = chosen.clone();
    let mut ready: BinaryHeap<Next<'_>> = BinaryHeap::new();
    let waits = |left: &BTreeMap<usize, usize>, position: usize| {
        left.get(&position).is_some_and(|count| *count > 0)
    };
    for &position in chosen {
        if !waits(&children_left, position) && !waits(&subjects_left, position) {
            ready.push(next(position));
        }
    }
    let mut ordered = Vec::with_capacity(chosen.len());
    while !left.is_empty() {
        let position = match ready.pop() {
            Some(next) if left.contains(&next.position) => next.position,
            Some(_) => continue,
            // Only a circle is left: a subject may wait, a parent only if there is no other way.
            None => {
                let free = left.iter().copied().filter(|at| !waits(&children_left, *at)).map(next);
                let outermost =
                    left.iter().copied().filter(|at| leads_circle(*at, &left, &edges, graph));
                let any = outermost.map(next).max();
                match free.max().or(any) {
                    Some(next) => next.position,
                    None => break,
                }
            }
        };
        left.remove(&position);
        ordered.push(position);
        for (of, waiting) in
            [(&graph.children, &mut children_left), (&graph.referrers, &mut subjects_left)]
        {
            for other in edges(of, position) {
                if let Some(count) = waiting.get_mut(&other) {
                    *count -= 1;
                }
            }
        }
        for other in
            edges(&graph.children, position).into_iter().chain(edges(&graph.referrers, position))
        {
            if left.contains(&other)
                && !waits(&children_left, other)
                && !waits(&subjects_left, other)
            {
                ready.push(next(other));
            }
        }
    }
    ordered
}

//! The deletions of one run, one after the other: only what both plans agree on, and nothing that a version
//! which stays still needs.

use std::collections::{BTreeSet, VecDeque};

use xtask_model::inventory::{Inventory, PackageVersion};
use xtask_model::reference::Digest;

use super::RetentionPlan;
use super::graph::Graph;

/// The versions that are still to be deleted, in the plan's order.
#[derive(Debug, Clone)]
pub struct Agenda<'i> {
    graph: Graph<'i>,
    open: VecDeque<usize>,
    /// Needed by a version that was refused or not agreed on.
    alone: BTreeSet<usize>,
    agreed: Option<&'i BTreeSet<Digest>>,
    left_over: Vec<Digest>,
}

impl<'i> Agenda<'i> {
    /// The agenda of `plan`. Where something was `agreed` before, nothing else is deleted.
    pub fn new(
        inventory: &'i Inventory,
        plan: &RetentionPlan,
        agreed: Option<&'i BTreeSet<Digest>>,
    ) -> Self {
        let graph = Graph::new(inventory);
        let open = plan.delete.iter().filter_map(|digest| graph.find(digest)).collect();
        Self { graph, open, alone: BTreeSet::new(), agreed, left_over: Vec::new() }
    }

    /// All versions that the plan deletes.
    pub fn planned(&self) -> impl Iterator<Item = &'i PackageVersion> {
        self.open.iter().filter_map(|at| self.graph.versions.get(*at))
    }

    /// What the run deletes if the registry refuses nothing.
    fn going(&self) -> Vec<&'i PackageVersion> {
        let mut ahead = self.clone();
        std::iter::from_fn(|| ahead.advance()).collect()
    }

    /// The next version to delete.
    pub fn advance(&mut self) -> Option<&'i PackageVersion> {
        while let Some(at) = self.open.pop_front() {
            let Some(version) = self.graph.versions.get(at) else { continue };
            let is_agreed = self.agreed.is_none_or(|agreed| agreed.contains(&version.digest));
            if is_agreed && !self.alone.contains(&at) {
                return Some(version);
            }
            self.alone.extend(self.graph.below(at));
            self.left_over.push(version.digest.clone());
        }
        None
    }

    /// A version stays, and so does everything that it needs.
    pub fn leave_alone(&mut self, digest: &Digest) {
        if let Some(at) = self.graph.find(digest) {
            self.alone.extend(self.graph.below(at));
        }
    }

    /// The planned versions that were not deleted: the open ones, and `current` if the run ended there.
    pub fn left_over(self, current: Option<&Digest>) -> Vec<Digest> {
        let open =
            self.open.iter().filter_map(|at| Some(self.graph.versions.get(*at)?.digest.clone()));
        self.left_over.into_iter().chain(current.cloned()).chain(open).collect()
    }
}

impl RetentionPlan {
    /// The plan without versions that were not `agreed` on before, and without what those need.
    #[must_use]
    pub fn agreed(mut self, inventory: &Inventory, agreed: &BTreeSet<Digest>) -> Self {
        let going = Agenda::new(inventory, &self, Some(agreed)).going();
        let going: BTreeSet<&Digest> = going.into_iter().map(|version| &version.digest).collect();
        self.delete.retain(|digest| going.contains(digest));
        for verdict in &mut self.verdicts {
            if !verdict.keep && !going.contains(&verdict.digest) {
                verdict.keep = true;
                "not in the agreed plan, or needed by a version that is not"
                    .clone_into(&mut verdict.reason);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> Digest {
        Digest::new(format!("sha256:{}", digit.to_string().repeat(64))).unwrap()
    }

    /// An index `1` of the manifests `2` and `3`, and an image `4` of its own.
    fn inventory() -> Inventory {
        let version = |digit, children: &[char]| {
            serde_json::json!({
                "digest": digest(digit),
                "manifests": children.iter().map(|child| digest(*child)).collect::<Vec<_>>(),
            })
        };
        let versions =
            [version('1', &['2', '3']), version('2', &[]), version('3', &[]), version('4', &[])];
        serde_json::from_value(serde_json::json!({ "now": 0.0, "inventory": versions })).unwrap()
    }

    /// Goes through the agenda of all four while the registry refuses `refused`; `expected` is what was
    /// deleted, and what was left over.
    fn check(agreed: Option<&[char]>, refused: &[char], expected: (&str, &str)) {
        let inventory = inventory();
        let plan = RetentionPlan {
            delete: ['1', '2', '3', '4'].map(digest).to_vec(),
            refuse: None,
            refuse_detail: None,
            unclassified: Vec::new(),
            verdicts: Vec::new(),
        };
        let agreed: Option<BTreeSet<Digest>> =
            agreed.map(|agreed| agreed.iter().map(|digit| digest(*digit)).collect());
        let mut agenda = Agenda::new(&inventory, &plan, agreed.as_ref());
        let digits = |list: &[Digest]| -> String {
            list.iter().filter_map(|digest| digest.short().chars().next()).collect()
        };
        let mut deleted = Vec::new();
        while let Some(version) = agenda.advance() {
            if refused.iter().any(|digit| digest(*digit) == version.digest) {
                agenda.leave_alone(&version.digest);
            } else {
                deleted.push(version.digest.clone());
            }
        }
        assert_eq!((digits(&deleted).as_str(), digits(&agenda.left_over(None)).as_str()), expected);
    }

    #[test]
    fn everything_planned_is_deleted() {
        check(None, &[], ("1234", ""));
    }

    #[test]
    fn children_of_a_refused_index_stay() {
        check(None, &['1'], ("4", "23"));
        check(None, &['2'], ("134", ""));
    }

    #[test]
    fn only_agreed_versions_are_deleted() {
        check(Some(&['1', '2', '4']), &[], ("124", "3"));
        check(Some(&['2', '3', '4']), &[], ("4", "123"));
        check(Some(&[]), &[], ("", "1234"));
    }

    #[test]
    fn the_agreed_part_of_a_plan_is_shown() {
        let inventory = inventory();
        let verdict = |digit| super::super::Verdict {
            digest: digest(digit),
            tags: Vec::new(),
            keep: false,
            reason: "old".to_owned(),
            because_of: None,
        };
        let plan = RetentionPlan {
            delete: ['1', '2', '3', '4'].map(digest).to_vec(),
            refuse: None,
            refuse_detail: None,
            unclassified: Vec::new(),
            verdicts: ['1', '2', '3', '4'].map(verdict).to_vec(),
        };
        let plan = plan.agreed(&inventory, &['2', '4'].map(digest).into());
        assert_eq!(plan.delete, [digest('4')]);
        let kept: Vec<bool> = plan.verdicts.iter().map(|verdict| verdict.keep).collect();
        assert_eq!(kept, [true, true, true, false]);
    }

    #[test]
    fn a_stopped_run_reports_the_rest() {
        let inventory = inventory();
        let plan = super::super::plan(&inventory);
        let mut agenda = Agenda::new(
            &inventory,
            &RetentionPlan { delete: ['1', '2', '3', '4'].map(digest).to_vec(), ..plan },
            None,
        );
        let first = agenda.advance().map(|version| version.digest.clone());
        assert_eq!(agenda.left_over(first.as_ref()).len(), 4);
    }
}

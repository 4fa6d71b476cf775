//! How many requests and how much time a run needs, before it begins.

use std::time::Duration;

use xtask_model::inventory::Inventory;

use super::RetentionPlan;

/// What GitHub allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests that are left of the budget.
    pub left: u64,
    /// The least time between two deletions.
    pub pace: Duration,
}

/// The cost of one package's deletions, including the check afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    pub deletions: usize,
    /// Requests to GitHub's API, which its limits and the budget count.
    pub api: u64,
    /// Requests to the registry, about.
    pub registry: u64,
    pub at_least: Duration,
    /// How many deletions the budget allows, where it does not allow them all.
    pub this_time: Option<usize>,
}

/// The forecast of a plan: with an allowance on GitHub, without at any other registry.
pub fn forecast(
    inventory: &Inventory,
    plan: &RetentionPlan,
    allowance: Option<Allowance>,
) -> Forecast {
    let deletions = plan.delete.len();
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let kept = plan.verdicts.iter().filter(|verdict| verdict.keep);
    let (manifests, tags) =
        kept.fold((0, 0), |(all, tags), verdict| (all + 1, tags + verdict.tags.len()));
    // Afterwards: the list of tags, where each points, and whether all of that exists.
    let check = 1 + number(manifests + tags);
    let Some(Allowance { left, pace }) = allowance else {
        // Before each: the list of tags, and where its own and the floating ones point.
        let floating = |tag: &&String| inventory.policy.keep.contains(tag);
        let floating = inventory.versions.iter().flat_map(|version| &version.tags).filter(floating);
        let each = 3 + number(floating.count());
        let registry = check + each * number(deletions);
        return Forecast { deletions, api: 0, registry, at_least: Duration::ZERO, this_time: None };
    };
    // The version is read, then deleted.
    let api = 2 * number(deletions);
    let this_time = usize::try_from(left / 2).unwrap_or(usize::MAX);
    Forecast {
        deletions,
        api,
        registry: check,
        at_least: pace * u32::try_from(deletions.saturating_sub(1)).unwrap_or(u32::MAX),
        this_time: Some(this_time).filter(|most| *most < deletions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forecast_counts_requests_and_the_budget() {
        let digest = |number: usize| format!("sha256:{number:064x}");
        let versions = serde_json::json!([
            { "digest": digest(0), "tags": ["dev", "v1.0.0"], "created": 0.0, "manifests": [digest(1)] },
            { "digest": digest(1), "created": 0.0 },
            { "digest": digest(2), "created": 0.0 },
            { "digest": digest(3), "created": 0.0 },
        ]);
        let inventory: Inventory =
            serde_json::from_value(serde_json::json!({ "now": 1e9, "inventory": versions }))
                .unwrap();
        let plan = super::super::plan(&inventory);
        assert_eq!(plan.delete.len(), 2);
        let pace = Duration::from_secs(1);
        let on_github = |left| forecast(&inventory, &plan, Some(Allowance { left, pace }));
        let expected =
            Forecast { deletions: 2, api: 4, registry: 5, at_least: pace, this_time: None };
        assert_eq!(on_github(4), expected);
        assert_eq!(on_github(3).this_time, Some(1));
        // The check, and for each the list, its tag, the deletion and where `dev` points.
        let expected = Forecast { api: 0, registry: 13, at_least: Duration::ZERO, ..expected };
        assert_eq!(forecast(&inventory, &plan, None), expected);
    }
}

//! Judges past builds: was the hit rate good enough, and why did a step miss the cache?

use serde::Deserialize;

use xtask_model::facts::{Facts, ServiceFacts};
use xtask_model::inputs::Inputs;
use xtask_model::quantity::percent;
use xtask_model::record::{BuildResult, Record, TierRecord};
use xtask_model::tier::TierOutcome;

use crate::finding::{Finding, Level};

/// The hit rate of the last warm build against the required one. Only a build that repeats an earlier
/// one counts, because changed code must miss the cache. `records` are all kept builds, newest first.
pub fn hit_rate(facts: &Facts, service: &ServiceFacts, records: &[Record]) -> Finding {
    let new = |level, detail| Finding::new(service.name.as_str(), "hit rate", level, detail);
    let Some((rate, last, before)) = warm(records) else {
        return new(Level::Skip, "no build here repeated an earlier one".to_owned());
    };
    if rate >= facts.config.minimum_hit_rate {
        return new(Level::Pass, format!("{} in the last warm build", percent(rate)));
    }
    let why = missed(last, before, &[]);
    let detail = format!("{} in the last warm build; {why}", percent(rate));
    new(Level::Warn, detail).remedy("cargo xtask cache status")
}

/// The newest build with the same inputs and repository as an earlier one, with that earlier one.
fn warm(records: &[Record]) -> Option<(f64, &Record, &Record)> {
    records.iter().enumerate().find_map(|(position, last)| {
        let (now, rate) = (inputs(last)?, last.totals.hit_rate()?);
        let repeats = |before: &&Record| {
            before.result == BuildResult::Built
                && before.plan.get("repository") == last.plan.get("repository")
                && inputs(before).as_ref() == Some(&now)
        };
        let before = records.iter().skip(position + 1).find(repeats)?;
        let is_warm = last.result == BuildResult::Built && !no_cache(last);
        is_warm.then_some((rate, last, before))
    })
}

fn no_cache(record: &Record) -> bool {
    record.plan.pointer("/build/no_cache").is_some_and(|no_cache| *no_cache == true)
}

/// Which step of the last build missed the cache first, and why. `records` are the last two builds,
/// newest first, and `files` are the files that changed between them.
pub fn last_build(
    facts: &Facts,
    service: &ServiceFacts,
    records: &[Record],
    files: &[String],
) -> Finding {
    let new = |level, detail| Finding::new(service.name.as_str(), "last build", level, detail);
    let [last, before, ..] = records else {
        return new(Level::Skip, "fewer than two builds here".to_owned());
    };
    let Some(rate) = last.totals.hit_rate() else {
        return new(Level::Skip, "the last build had no step to cache".to_owned());
    };
    if no_cache(last) {
        return new(Level::Skip, "the last build ran with `--no-cache`".to_owned());
    }
    if rate >= facts.config.minimum_hit_rate {
        return new(Level::Pass, format!("{} of the steps were cached", percent(rate)));
    }
    let why = missed(last, before, files);
    let detail = format!("{} of the steps were cached; {why}", percent(rate));
    new(Level::Warn, detail).remedy("cargo xtask push --explain --dry-run")
}

/// The git trees that the last two builds were made from, if they differ: the previous, then the last.
pub fn trees(records: &[Record]) -> Option<(String, String)> {
    let [last, before, ..] = records else { return None };
    let (now, before) = (inputs(last)?.tree, inputs(before)?.tree);
    (now != before).then_some((before, now))
}

/// The first step that missed, and why.
fn missed(now: &Record, before: &Record, files: &[String]) -> String {
    let step = now.steps.iter().find(|step| !step.cached);
    let step = step.map_or("", |step| step.name.as_str());
    format!("the first miss was {step}: {}", because(now, before, step, files))
}

/// Why a step missed: it is new, a cache tier is gone, or its inputs changed.
fn because(now: &Record, before: &Record, missed: &str, files: &[String]) -> String {
    if !before.steps.iter().any(|step| step.name == missed) {
        return "the previous build did not have this step".to_owned();
    }
    let offered = |outcome| matches!(outcome, TierOutcome::Offered | TierOutcome::Covered);
    let gone = now.tiers.iter().find(|tier| {
        let was_offered =
            |earlier: &TierRecord| earlier.tier == tier.tier && offered(earlier.outcome);
        !offered(tier.outcome) && before.tiers.iter().any(was_offered)
    });
    if let Some(tier) = gone {
        return format!("the cache tier {} is no longer available: {}", tier.tier, tier.detail);
    }
    let Some((now_inputs, before_inputs)) = inputs(now).zip(inputs(before)) else {
        return "the builds did not record their inputs".to_owned();
    };
    let changes = now_inputs.changes(&before_inputs);
    if !changes.is_empty() {
        let named = named(files).map(|names| format!("changed files: {names}"));
        return named.into_iter().chain(changes).collect::<Vec<_>>().join("; ");
    }
    if now.tiers.iter().any(|tier| offered(tier.outcome)) {
        "the inputs are the same, but no cache tier had the step".to_owned()
    } else {
        "the inputs are the same, but no cache tier was available".to_owned()
    }
}

/// The first files, and the number of the others.
fn named(files: &[String]) -> Option<String> {
    const NAMED: usize = 3;
    let names: Vec<&str> = files.iter().take(NAMED).map(String::as_str).collect();
    let more = files.len().saturating_sub(NAMED);
    match (names.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(names.join(", ")),
        (false, more) => Some(format!("{} and {more} more", names.join(", "))),
    }
}

fn inputs(record: &Record) -> Option<Inputs> {
    Inputs::deserialize(record.plan.get("inputs")?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::verify::sample::facts;
    use xtask_model::tier::CacheTier;

    fn record(steps: &[(&str, bool)], inputs: &serde_json::Value) -> Record {
        let steps: Vec<_> = steps
            .iter()
            .map(|(name, cached)| json!({"name": name, "cached": cached, "seconds": 1.0, "bytes": 0}))
            .collect();
        let done = steps.len();
        let cached = steps.iter().filter(|step| step["cached"] == true).count();
        serde_json::from_value(json!({
            "schema": 1, "service": "web", "root": "/r", "channel": "dev", "revision": null, "started": 0,
            "seconds": 1.0, "result": "built", "tiers": [], "steps": steps, "bytes_pulled": 0,
            "totals": {"total": done, "done": done, "cached": cached}, "log": "l",
            "plan": {"inputs": inputs},
        }))
        .unwrap()
    }

    fn of_tree(tree: &str) -> serde_json::Value {
        json!({"plan": 1, "tree": tree, "arguments": {}, "target": null, "platforms": [], "bases": {}})
    }

    #[track_caller]
    fn check_hits(records: &[Record], expected: &str) {
        let facts = facts("");
        let found = hit_rate(&facts, facts.services.first().unwrap(), records);
        assert_eq!(format!("{:?}: {}", found.level, found.detail), expected);
    }

    #[test]
    fn only_a_repeated_build_has_a_hit_rate() {
        let full = |tree: &str| record(&[("RUN a", true), ("COPY b", true)], &of_tree(tree));
        let half = |tree: &str| record(&[("RUN a", true), ("COPY b", false)], &of_tree(tree));
        let none = "Skip: no build here repeated an earlier one";
        check_hits(&[], none);
        // The code changed.
        check_hits(&[half("u"), full("t")], none);
        check_hits(&[full("t"), half("t")], "Pass: 100 % in the last warm build");
        // The newest build repeats none, the one before it does.
        check_hits(&[half("u"), full("t"), half("t")], "Pass: 100 % in the last warm build");
        let warn = "Warn: 50 % in the last warm build; the first miss was COPY b: the inputs are the \
                    same, but no cache tier was available";
        check_hits(&[half("t"), full("t")], warn);
        let mut elsewhere = full("t");
        elsewhere.plan["repository"] = "127.0.0.1:5000/o/r/web".into();
        check_hits(&[half("t"), elsewhere], none);
        let mut uncached = half("t");
        uncached.plan["build"] = json!({"no_cache": true});
        check_hits(&[uncached, full("t")], none);
        let mut failed = full("t");
        failed.result = BuildResult::Failed;
        check_hits(&[failed, full("t")], none);
    }

    #[track_caller]
    fn check_last(records: &[Record], files: &[&str], expected: &str) {
        let facts = facts("");
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        let found = last_build(&facts, facts.services.first().unwrap(), records, &files);
        assert_eq!(format!("{:?}: {}", found.level, found.detail), expected);
    }

    #[test]
    fn a_miss_names_the_first_step_and_reason() {
        let before = record(&[("RUN a", true), ("COPY b", true)], &of_tree("t"));
        check_last(std::slice::from_ref(&before), &[], "Skip: fewer than two builds here");
        let same = "Pass: 100 % of the steps were cached";
        check_last(&[before.clone(), before.clone()], &[], same);
        let half = "Warn: 50 % of the steps were cached; the first miss was";
        let miss = |tree: &serde_json::Value| record(&[("RUN a", true), ("COPY b", false)], tree);
        let changed = [miss(&of_tree("u")), before.clone()];
        let folder = inputs(&changed[0]).unwrap().changes(&inputs(&before).unwrap()).join("; ");
        check_last(&changed, &[], &format!("{half} COPY b: {folder}"));
        let files = ["a", "b", "c", "d"];
        let named = format!("changed files: a, b, c and 1 more; {folder}");
        check_last(&changed, &files, &format!("{half} COPY b: {named}"));
        check_last(
            &[miss(&json!(null)), before.clone()],
            &[],
            &format!("{half} COPY b: the builds did not record their inputs"),
        );
        let other = record(&[("RUN a", true), ("RUN c", false)], &of_tree("u"));
        let new = "the previous build did not have this step";
        check_last(&[other, before.clone()], &[], &format!("{half} RUN c: {new}"));
        let tier = |outcome| TierRecord {
            tier: CacheTier::Cache,
            reference: None,
            outcome,
            detail: "error 500".to_owned(),
            seconds: 0.0,
        };
        let with = |record: Record, outcome| Record { tiers: vec![tier(outcome)], ..record };
        let gone = [
            with(miss(&of_tree("t")), TierOutcome::Failed),
            with(before.clone(), TierOutcome::Offered),
        ];
        let why = "the cache tier :cache is no longer available: error 500";
        check_last(&gone, &[], &format!("{half} COPY b: {why}"));
        let lost =
            [with(miss(&of_tree("t")), TierOutcome::Offered), with(before, TierOutcome::Offered)];
        let why = "the inputs are the same, but no cache tier had the step";
        check_last(&lost, &[], &format!("{half} COPY b: {why}"));
    }
}

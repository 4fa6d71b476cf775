//! Past builds, judged: was the cache as good as it should be, and why did a step miss it?

use serde::Deserialize;

use xtask_model::facts::{Facts, ServiceFacts};
use xtask_model::inputs::Inputs;
use xtask_model::quantity::percent;
use xtask_model::record::{BuildResult, Record, TierRecord};
use xtask_model::tier::TierOutcome;

use super::{Finding, Level};

/// The last warm build against the smallest acceptable hit rate. Only a build of what was built before,
/// and could have used the cache, tells how good the cache is: code that has changed must miss. `records`
/// are those of all kept builds, the newest first.
pub fn hit_rate(facts: &Facts, service: &ServiceFacts, records: &[Record]) -> Finding {
    let new = |level, detail| Finding::new(service.name.as_str(), "hit rate", level, detail);
    let Some((rate, last, before)) = warm(records) else {
        return new(Level::Skip, "no build here repeats an earlier one".to_owned());
    };
    if rate >= facts.config.minimum_hit_rate {
        return new(Level::Pass, format!("{} of the last warm build", percent(rate)));
    }
    let why = missed(last, before, &[]);
    let detail = format!("{} of the last warm build; {why}", percent(rate));
    new(Level::Warn, detail).remedy("cargo xtask cache status")
}

/// The newest build of inputs that an earlier one had too, in the same place, with that earlier one.
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
    record.plan.pointer("/build/no_cache").is_some_and(|told| *told == true)
}

/// Why the last build missed the cache, whatever it built: which step, and which input. `records` are the
/// last two, the newest first, and `files` those that differ between their folders.
pub fn last_build(
    facts: &Facts,
    service: &ServiceFacts,
    records: &[Record],
    files: &[String],
) -> Finding {
    let new = |level, detail| Finding::new(service.name.as_str(), "last build", level, detail);
    let [last, before, ..] = records else {
        return new(Level::Skip, "no second build here yet".to_owned());
    };
    let Some(rate) = last.totals.hit_rate() else {
        return new(Level::Skip, "the last build had no step to look for".to_owned());
    };
    if no_cache(last) {
        return new(Level::Skip, "the last build was told to use no cache".to_owned());
    }
    if rate >= facts.config.minimum_hit_rate {
        return new(Level::Pass, format!("{} of its steps were cached", percent(rate)));
    }
    let why = missed(last, before, files);
    let detail = format!("{} of its steps were cached; {why}", percent(rate));
    new(Level::Warn, detail).remedy("cargo xtask push --explain --dry-run")
}

/// The folder's trees of the last two builds, where they differ: before and now.
pub fn trees(records: &[Record]) -> Option<(String, String)> {
    let [last, before, ..] = records else { return None };
    let (now, before) = (inputs(last)?.tree, inputs(before)?.tree);
    (now != before).then_some((before, now))
}

/// The first step that missed, and why.
fn missed(now: &Record, before: &Record, files: &[String]) -> String {
    let step = now.steps.iter().find(|step| !step.cached);
    let step = step.map_or("", |step| step.name.as_str());
    format!("it began to miss at {step}: {}", because(now, before, step, files))
}

/// Why a step missed: it is another one, a tier that had it was not there, or what it reads has changed.
fn because(now: &Record, before: &Record, missed: &str, files: &[String]) -> String {
    if !before.steps.iter().any(|step| step.name == missed) {
        return "the build before did not have this step".to_owned();
    }
    let given = |outcome| matches!(outcome, TierOutcome::Offered | TierOutcome::Covered);
    let gone = now.tiers.iter().find(|tier| {
        let was_given = |earlier: &&TierRecord| earlier.tier == tier.tier && given(earlier.outcome);
        !given(tier.outcome) && before.tiers.iter().any(|earlier| was_given(&earlier))
    });
    if let Some(tier) = gone {
        return format!("the tier {} was there before: {}", tier.tier, tier.detail);
    }
    let Some((now_inputs, before_inputs)) = inputs(now).zip(inputs(before)) else {
        return "these builds do not tell their inputs".to_owned();
    };
    let changes = now_inputs.changes(&before_inputs);
    if !changes.is_empty() {
        let named = named(files).map(|names| format!("its files {names}"));
        return named.into_iter().chain(changes).collect::<Vec<_>>().join(", ");
    }
    if now.tiers.iter().any(|tier| given(tier.outcome)) {
        "its inputs are the same, and no tier had it".to_owned()
    } else {
        "its inputs are the same, and there was no tier to take it from".to_owned()
    }
}

/// The first of some files, and how many more there are.
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
    use crate::verify::tests::facts;
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
    fn only_a_build_that_repeats_an_earlier_one_tells_how_good_the_cache_is() {
        let full = |tree: &str| record(&[("RUN a", true), ("COPY b", true)], &of_tree(tree));
        let half = |tree: &str| record(&[("RUN a", true), ("COPY b", false)], &of_tree(tree));
        let none = "Skip: no build here repeats an earlier one";
        check_hits(&[], none);
        // The code has changed.
        check_hits(&[half("u"), full("t")], none);
        check_hits(&[full("t"), half("t")], "Pass: 100 % of the last warm build");
        // The newest one tells nothing, and the one before it does.
        check_hits(&[half("u"), full("t"), half("t")], "Pass: 100 % of the last warm build");
        let warn = "Warn: 50 % of the last warm build; it began to miss at COPY b: its inputs are the \
                    same, and there was no tier to take it from";
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
    fn a_miss_is_told_with_the_first_step_and_why() {
        let before = record(&[("RUN a", true), ("COPY b", true)], &of_tree("t"));
        check_last(std::slice::from_ref(&before), &[], "Skip: no second build here yet");
        let same = "Pass: 100 % of its steps were cached";
        check_last(&[before.clone(), before.clone()], &[], same);
        let half = "Warn: 50 % of its steps were cached; it began to miss at";
        let miss = |tree: &serde_json::Value| record(&[("RUN a", true), ("COPY b", false)], tree);
        let changed = [miss(&of_tree("u")), before.clone()];
        check_last(&changed, &[], &format!("{half} COPY b: the service's folder: t → u"));
        let files = ["a", "b", "c", "d"];
        let named = "its files a, b, c and 1 more, the service's folder: t → u";
        check_last(&changed, &files, &format!("{half} COPY b: {named}"));
        check_last(
            &[miss(&json!(null)), before.clone()],
            &[],
            &format!("{half} COPY b: these builds do not tell their inputs"),
        );
        let other = record(&[("RUN a", true), ("RUN c", false)], &of_tree("u"));
        let new = "the build before did not have this step";
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
        let why = "the tier :cache was there before: error 500";
        check_last(&gone, &[], &format!("{half} COPY b: {why}"));
        let lost =
            [with(miss(&of_tree("t")), TierOutcome::Offered), with(before, TierOutcome::Offered)];
        let why = "its inputs are the same, and no tier had it";
        check_last(&lost, &[], &format!("{half} COPY b: {why}"));
    }
}

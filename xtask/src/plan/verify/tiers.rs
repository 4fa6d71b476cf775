//! The cache: each tier can be imported, is not old, and its last warm use was a good one.

use serde::Deserialize;

use crate::model::facts::{Facts, ServiceFacts};
use crate::model::inputs::Inputs;
use crate::model::inspection::Package;
use crate::model::quantity::percent;
use crate::model::record::Record;
use crate::model::tier::{CacheTier, Seen, TierLook, TierOutcome};
use crate::plan::cache::{self, TierPlan, sources};

use super::{Finding, Level};

/// What makes `:cache` anew, whatever stands there.
const RENEW: &str = "cargo xtask cache invalidate && cargo xtask push --rebuild";

/// Days after which a cache that nobody has written looks forgotten.
const OLD: u64 = 30;

/// Judges the tiers of some services. `now` is in seconds since 1970.
pub fn tiers(facts: &Facts, services: &[&ServiceFacts], now: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in services {
        let place = facts.cache_place(&service.name);
        let looks = facts.looks(&service.name);
        let invalidated = looks.iter().any(|look| matches!(look.seen, Seen::Invalidated { .. }));
        for (look, plan) in looks.iter().zip(sources(place.as_ref(), looks)) {
            let subject = format!("{} {}", service.name, plan.tier);
            let about = aged(&look.seen, now).or_else(|| nearly_full(&look.seen));
            let level = match about {
                Some(_) => Level::Warn,
                None if plan.outcome == TierOutcome::Inert && invalidated => Level::Skip,
                None => level(&plan),
            };
            let remedy = remedy(look, looks, plan.outcome, about.is_some());
            let detail = about.unwrap_or(plan.reason);
            findings.push(Finding::new(subject, "cache", level, detail).remedy(remedy));
        }
    }
    findings
}

fn level(plan: &TierPlan) -> Level {
    match plan.outcome {
        TierOutcome::Offered | TierOutcome::Covered => Level::Pass,
        TierOutcome::NotThere | TierOutcome::Empty if plan.tier == CacheTier::Cache => Level::Warn,
        TierOutcome::NotThere | TierOutcome::Empty => Level::Skip,
        TierOutcome::Inert if plan.tier == CacheTier::Gha => Level::Skip,
        TierOutcome::Inert | TierOutcome::Denied => Level::Fail,
        TierOutcome::Failed | TierOutcome::Hung => Level::Unknown,
    }
}

fn remedy(
    look: &TierLook,
    looks: &[TierLook],
    outcome: TierOutcome,
    to_be_renewed: bool,
) -> &'static str {
    let dev = looks.iter().find(|look| look.tier == CacheTier::Dev);
    let is_published = dev.is_some_and(|dev| !matches!(dev.seen, Seen::NotThere));
    match (&look.seen, outcome) {
        _ if to_be_renewed => RENEW,
        (Seen::ImageInsteadOfCache { .. }, _) => RENEW,
        (Seen::PlainImage { .. }, _) => "cargo xtask push --rebuild",
        (_, TierOutcome::Denied) => "docker login",
        // What is published and has not changed is not built again, and so exports no cache.
        (_, TierOutcome::NotThere | TierOutcome::Empty) if is_published => {
            "cargo xtask push --rebuild"
        }
        (_, TierOutcome::NotThere | TierOutcome::Empty) => "cargo xtask push",
        _ => "cargo xtask cache status",
    }
}

fn aged(seen: &Seen, now: u64) -> Option<String> {
    let Seen::Cache { created: Some(created), .. } = seen else { return None };
    let days = now.saturating_sub(*created) / 86_400;
    (days > OLD).then(|| format!("nobody has written it for {days} days"))
}

fn nearly_full(seen: &Seen) -> Option<String> {
    let Seen::Cache { config_bytes, .. } = seen else { return None };
    cache::nearly_full(*config_bytes)
}

/// What the cache of a package leads to.
pub fn closure(service: &ServiceFacts, package: &Package) -> Option<Finding> {
    let (_, digest) = package.points.iter().find(|(tag, _)| tag.as_str() == "cache")?;
    let subject = format!("{}:cache", service.name);
    let absent = package.absent(digest);
    let Some(first) = absent.first() else {
        return Some(Finding::new(subject, "closure", Level::Pass, "all it leads to is there"));
    };
    let (count, what, short) = (absent.len(), first.what, first.digest.short());
    Some(match &first.unknown {
        None => {
            let detail = format!("{count} objects are gone, such as the {what} {short}");
            Finding::new(subject, "closure", Level::Fail, detail).remedy(RENEW)
        }
        Some(why) => {
            let detail = format!("the {what} {short} cannot be looked at: {why}");
            Finding::new(subject, "closure", Level::Unknown, detail).remedy("cargo xtask doctor")
        }
    })
}

/// The last warm build against the smallest acceptable hit rate. `newest` are the records of the last
/// two builds, the newest first.
pub fn hit_rate(facts: &Facts, service: &ServiceFacts, newest: &[Record]) -> Option<Finding> {
    let name = service.name.as_str();
    let new = |level, detail: String| Finding::new(name, "hit rate", level, detail);
    let [last, before, ..] = newest else {
        return Some(new(Level::Skip, "no second build here yet".to_owned()));
    };
    let rate = last.totals.hit_rate()?;
    if rate >= facts.config.minimum_hit_rate {
        return Some(new(Level::Pass, percent(rate)));
    }
    let missed = last.steps.iter().find(|step| !step.cached).map_or("", |step| step.name.as_str());
    let why = missed_because(last, before, missed);
    let detail =
        format!("{} of the last build; it began to miss at {missed}: {why}", percent(rate));
    Some(new(Level::Warn, detail).remedy("cargo xtask push --explain --dry-run"))
}

/// Why a step missed: it is another one, or a tier that had it was not there.
fn missed_because(now: &Record, before: &Record, missed: &str) -> String {
    if !before.steps.iter().any(|step| step.name == missed) {
        return "the build before did not have this step".to_owned();
    }
    let gone = now.tiers.iter().find(|tier| {
        let is_gone = !matches!(tier.outcome, TierOutcome::Offered | TierOutcome::Covered);
        let was_there = before.tiers.iter().any(|earlier| {
            earlier.tier == tier.tier
                && matches!(earlier.outcome, TierOutcome::Offered | TierOutcome::Covered)
        });
        is_gone && was_there
    });
    match (gone, changes(now, before)) {
        (Some(tier), _) => format!("the tier {} was there before: {}", tier.tier, tier.detail),
        (None, changes) if changes.is_empty() => "what it reads has changed".to_owned(),
        (None, changes) => changes.join(", "),
    }
}

/// Which inputs changed between two builds; empty where one of them does not tell.
fn changes(now: &Record, before: &Record) -> Vec<String> {
    let inputs = |record: &Record| Inputs::deserialize(record.plan.get("inputs")?).ok();
    let both = inputs(now).zip(inputs(before));
    both.map(|(now, before)| now.changes(&before)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::cache_records::CacheRecords;
    use crate::model::reference::Digest;
    use crate::model::service::ServiceName;
    use crate::plan::verify::tests::facts;

    const DAY: u64 = 86_400;

    fn digest() -> Digest {
        Digest::new(format!("sha256:{}", "a".repeat(64))).unwrap()
    }

    fn cache(results: u64, created: u64, config_bytes: u64) -> Seen {
        let records: Vec<_> = (0..results)
            .map(|n| json!({"digest": format!("sha256:{n}"), "layers": [{"layer": 0}]}))
            .collect();
        let bytes = json!({"layers": [], "records": records}).to_string();
        let records = CacheRecords::of_configuration(bytes.as_bytes()).unwrap();
        let (digest, created) = (digest(), Some(created));
        Seen::Cache { digest, records, config_bytes, layers_bytes: 9, created }
    }

    /// What is said of `:cache` a hundred days after the epoch, `:dev` being as it is.
    #[track_caller]
    fn check(seen: Seen, dev: Seen, expected: &str) {
        let mut facts = facts("");
        let service: ServiceName = "web".parse().unwrap();
        let look = |tier, seen| {
            let reference = facts.cache_place(&service).unwrap().reference(tier).unwrap();
            TierLook { service: service.clone(), tier, reference, seen, seconds: 0.0 }
        };
        let looks = vec![look(CacheTier::Cache, seen), look(CacheTier::Dev, dev)];
        facts.tiers = [(service, looks)].into();
        let services: Vec<_> = facts.services.iter().collect();
        let found = tiers(&facts, &services, 100 * DAY);
        let [cache, _] = &found[..] else { unreachable!("{found:#?}") };
        let remedy = cache.remedy.as_deref().filter(|_| cache.level > Level::Skip);
        let remedy = remedy.map(|text| format!(" → {text}")).unwrap_or_default();
        assert_eq!(format!("{:?}: {}{remedy}", cache.level, cache.detail), expected);
    }

    #[test]
    fn a_cache_is_good_until_it_is_old_or_nearly_full() {
        check(cache(2, 70 * DAY, 1000), Seen::NotThere, "Pass: 2 results");
        let renew = RENEW;
        check(
            cache(2, 69 * DAY, 1000),
            Seen::NotThere,
            &format!("Warn: nobody has written it for 31 days → {renew}"),
        );
        check(
            cache(2, 99 * DAY, cache::NEARLY_FULL + 1),
            Seen::NotThere,
            &format!(
                "Warn: its configuration has 819201 bytes, and BuildKit imports at most 1048576 → {renew}"
            ),
        );
    }

    #[test]
    fn what_makes_a_missing_cache_depends_on_whether_the_image_is_there() {
        let image = || Seen::PlainImage { digest: digest() };
        let missing = "Warn: nothing is published there → cargo xtask push";
        check(Seen::NotThere, Seen::NotThere, missing);
        check(Seen::NotThere, image(), &format!("{missing} --rebuild"));
        let empty = "Warn: it holds no result → cargo xtask push --rebuild";
        check(cache(0, 99 * DAY, 26), image(), empty);
        check(
            Seen::ImageInsteadOfCache { digest: digest() },
            image(),
            &format!("Fail: an image stands where the cache should be → {RENEW}"),
        );
    }

    #[test]
    fn a_tier_that_could_not_be_looked_at_is_unknown_and_never_passes() {
        let denied = Seen::Denied { message: "no read".to_owned() };
        check(denied, Seen::NotThere, "Fail: no read → docker login");
        let hung = Seen::Hung { after_seconds: 3.0 };
        let waits = "no answer within 3 s; BuildKit would wait without end";
        check(hung, Seen::NotThere, &format!("Unknown: {waits} → cargo xtask cache status"));
    }

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

    #[track_caller]
    fn check_hits(records: &[Record], expected: &str) {
        let facts = facts("");
        let found = hit_rate(&facts, facts.services.first().unwrap(), records).unwrap();
        assert_eq!(format!("{:?}: {}", found.level, found.detail), expected);
    }

    #[test]
    fn a_low_hit_rate_is_told_with_the_first_step_that_missed_and_why() {
        let inputs = |tree: &str| json!({"plan": 1, "tree": tree, "arguments": {}, "target": null, "platforms": [], "bases": {}});
        let unknown = json!(null);
        let before = record(&[("RUN a", true), ("COPY b", true)], &inputs("t"));
        check_hits(&[], "Skip: no second build here yet");
        check_hits(&[before.clone(), before.clone()], "Pass: 100 %");
        let half = "Warn: 50 % of the last build; it began to miss at";
        let now = record(&[("RUN a", true), ("COPY b", false)], &inputs("u"));
        check_hits(&[now.clone(), before.clone()], &format!("{half} COPY b: its folder: t → u"));
        let silent = record(&[("RUN a", true), ("COPY b", false)], &unknown);
        check_hits(&[silent, before.clone()], &format!("{half} COPY b: what it reads has changed"));
        let other = record(&[("RUN a", true), ("RUN c", false)], &inputs("u"));
        let new = "the build before did not have this step";
        check_hits(&[other, before], &format!("{half} RUN c: {new}"));
    }
}

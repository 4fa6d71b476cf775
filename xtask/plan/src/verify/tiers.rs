//! Judges the cache tiers: each can be imported and is recent, and `:cache` is complete.

use crate::cache::{self, TierPlan, sources};
use xtask_model::facts::{Facts, ServiceFacts};
use xtask_model::inspection::{Absent, Package, Why};
use xtask_model::reference::Tag;
use xtask_model::tier::{CacheTier, Seen, TierLook, TierOutcome};

use crate::finding::{Finding, Level};

/// Replaces `:cache`, even if the tag points to an image.
const RENEW: &str = "cargo xtask cache invalidate && cargo xtask push --rebuild";

/// A cache without an update for this many days looks forgotten.
const OLD: u64 = 30;

/// Judges the tiers of these services. `now` is in seconds since 1970.
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
            let finding = Finding::new(subject, "cache", level, about.unwrap_or(plan.reason));
            let needs_action = level > Level::Skip;
            findings.push(if needs_action { finding.remedy(remedy) } else { finding });
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
    needs_renewal: bool,
) -> &'static str {
    let dev = looks.iter().find(|look| look.tier == CacheTier::Dev);
    let is_published = dev.is_some_and(|dev| !matches!(dev.seen, Seen::NotThere));
    match (&look.seen, outcome) {
        _ if needs_renewal => RENEW,
        (Seen::ImageInsteadOfCache { .. }, _) => RENEW,
        (Seen::PlainImage { .. }, _) => "cargo xtask push --rebuild",
        (_, TierOutcome::Denied) => "docker login",
        // A plain push does not rebuild a published, unchanged service, so it exports no cache.
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
    (days > OLD).then(|| format!("not updated for {days} days"))
}

fn nearly_full(seen: &Seen) -> Option<String> {
    let Seen::Cache { config_bytes, .. } = seen else { return None };
    cache::nearly_full(*config_bytes)
}

/// Everything `:cache` refers to must exist.
pub fn closure(service: &ServiceFacts, package: &Package) -> Option<Finding> {
    let (_, digest) = package.points.iter().find(|(tag, _)| **tag == Tag::cache())?;
    let subject = format!("{}:cache", service.name);
    let absent = package.absent(digest);
    let Some(first) = absent.first() else {
        return Some(Finding::new(subject, "closure", Level::Pass, "complete"));
    };
    // A proven fault comes before an unknown one.
    let proven = |absent: &&Absent| !matches!(absent.why, Why::Unknown(_));
    let worst = absent.iter().find(proven).unwrap_or(first).text();
    let detail = match absent.len() {
        1 => worst,
        count => format!("{worst}, and {} more", count - 1),
    };
    Some(if absent.iter().any(|absent| proven(&absent)) {
        Finding::new(subject, "closure", Level::Fail, detail).remedy(RENEW)
    } else {
        Finding::new(subject, "closure", Level::Unknown, detail).remedy("cargo xtask doctor")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::verify::sample::facts;
    use xtask_model::cache_records::CacheRecords;
    use xtask_model::reference::Digest;
    use xtask_model::service::ServiceName;

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

    /// The finding about `:cache` a hundred days after the epoch, next to this `:dev`.
    #[track_caller]
    fn check(seen: Seen, dev: Seen, expected: &str) {
        let mut facts = facts("");
        let service: ServiceName = "web".parse().unwrap();
        let look = |tier, seen| {
            let reference = facts.cache_place(&service).unwrap().reference(tier);
            TierLook { service: service.clone(), tier, reference, seen, seconds: 0.0 }
        };
        let looks = vec![look(CacheTier::Cache, seen), look(CacheTier::Dev, dev)];
        facts.tiers = [(service, looks)].into();
        let services: Vec<_> = facts.services.iter().collect();
        let found = tiers(&facts, &services, 100 * DAY);
        let [cache, _] = &found[..] else { unreachable!("{found:#?}") };
        let remedy = cache.remedy.as_deref().map(|text| format!(" → {text}")).unwrap_or_default();
        assert_eq!(format!("{:?}: {}{remedy}", cache.level, cache.detail), expected);
    }

    #[test]
    fn an_old_or_full_cache_is_a_warning() {
        check(cache(2, 70 * DAY, 1000), Seen::NotThere, "Pass: 2 results");
        let renew = RENEW;
        check(
            cache(2, 69 * DAY, 1000),
            Seen::NotThere,
            &format!("Warn: not updated for 31 days → {renew}"),
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
    fn the_remedy_rebuilds_when_the_image_is_published() {
        let image = || Seen::PlainImage { digest: digest() };
        let missing = "Warn: nothing is published there → cargo xtask push";
        check(Seen::NotThere, Seen::NotThere, missing);
        check(Seen::NotThere, image(), &format!("{missing} --rebuild"));
        let empty = "Warn: it contains no result → cargo xtask push --rebuild";
        check(cache(0, 99 * DAY, 26), image(), empty);
        check(
            Seen::ImageInsteadOfCache { digest: digest() },
            image(),
            &format!("Fail: the tag points to an image, not to a cache → {RENEW}"),
        );
    }

    #[test]
    fn an_unreadable_tier_is_unknown_and_never_passes() {
        let denied = Seen::Denied { message: "no read".to_owned() };
        check(denied, Seen::NotThere, "Fail: no read → docker login");
        let hung = Seen::Hung { after_seconds: 3.0 };
        let waits = "no answer within 3 s; BuildKit would wait forever";
        check(hung, Seen::NotThere, &format!("Unknown: {waits} → cargo xtask cache status"));
    }
}

//! The cache: each tier can be imported, is not old, and its last warm use was a good one.

use crate::model::facts::{Facts, ServiceFacts};
use crate::model::inspection::Package;
use crate::model::quantity::percent;
use crate::model::record::Record;
use crate::model::tier::{CacheTier, Seen, TierOutcome};
use crate::plan::cache::{TierPlan, sources};

use super::{Finding, Level};

/// A cache configuration of this size grows past what BuildKit imports before long, in bytes: the limit
/// is 1 MiB.
pub const NEARLY_FULL: u64 = 800 << 10;

/// Days after which a cache that nobody has written looks forgotten.
const OLD: u64 = 30;

/// Judges the tiers of some services. `now` is in seconds since 1970.
pub fn tiers(facts: &Facts, services: &[&ServiceFacts], now: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in services {
        let place = facts.cache_place(&service.name);
        let looks = facts.looks(&service.name);
        for (look, plan) in looks.iter().zip(sources(place.as_ref(), looks)) {
            let subject = format!("{} {}", service.name, plan.tier);
            let about = aged(&look.seen, now).or_else(|| nearly_full(&look.seen));
            let level = match about {
                Some(_) => Level::Warn,
                None => level(&plan),
            };
            let remedy = remedy(&look.seen, plan.outcome, about.is_some());
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

fn remedy(seen: &Seen, outcome: TierOutcome, to_be_renewed: bool) -> &'static str {
    match (seen, outcome) {
        _ if to_be_renewed => "cargo xtask cache invalidate && cargo xtask push --rebuild",
        (Seen::ImageInsteadOfCache { .. } | Seen::PlainImage { .. }, _) => {
            "cargo xtask push --rebuild"
        }
        (_, TierOutcome::Denied) => "docker login",
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
    (*config_bytes > NEARLY_FULL).then(|| {
        format!("its configuration has {config_bytes} bytes, and BuildKit imports at most 1048576")
    })
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
            Finding::new(subject, "closure", Level::Fail, detail)
                .remedy("cargo xtask cache invalidate && cargo xtask push --rebuild")
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
    match gone {
        Some(tier) => format!("the tier {} was there before: {}", tier.tier, tier.detail),
        None => "what it reads has changed".to_owned(),
    }
}

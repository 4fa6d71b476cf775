//! The cache tiers of builds, in one line for each service: below a table of builds, and in a job's summary.

use xtask_model::channel::Channel;
use xtask_model::record::{ExportOutcome, ExportRecord, Record, TierRecord};
use xtask_model::tier::TierOutcome;

use super::quantity::seconds;
use super::table::Table;

/// One row for each record: the tiers it imported from, and those it exported to.
pub fn table<'r>(records: impl Iterator<Item = &'r Record>) -> Table {
    rows(records, true)
}

/// The same below a table of builds, after an empty line. A local build shows only the tiers that failed.
pub fn below<'r>(records: impl Iterator<Item = &'r Record>, width: usize) -> String {
    let table = rows(records, false);
    if table.is_empty() { String::new() } else { format!("\n{}", table.text(width)) }
}

fn rows<'r>(records: impl Iterator<Item = &'r Record>, with_local: bool) -> Table {
    let mut table = Table::new(["service", "cache from", "cache to"]);
    for record in records {
        let whole = with_local || record.channel != Channel::Local;
        let is_shown = |failed| failed || whole;
        let from: Vec<_> =
            record.tiers.iter().filter(|tier| is_shown(has_failed(tier))).map(import).collect();
        let to = record.exports.iter();
        let to: Vec<_> =
            to.filter(|to| is_shown(to.outcome == ExportOutcome::Failed)).map(export).collect();
        if !from.is_empty() || !to.is_empty() {
            table.row([record.service.to_string(), from.join("; "), to.join("; ")]);
        }
    }
    table
}

fn has_failed(tier: &TierRecord) -> bool {
    matches!(tier.outcome, TierOutcome::Denied | TierOutcome::Failed | TierOutcome::Hung)
}

fn import(tier: &TierRecord) -> String {
    entry(tier.tier.label(), &tier.outcome.to_string(), &tier.detail, tier.seconds)
}

fn export(export: &ExportRecord) -> String {
    entry(export.tier.label(), &export.outcome.to_string(), &export.detail, export.seconds)
}

fn entry(tier: &str, outcome: &str, detail: &str, time: f64) -> String {
    let detail = if detail.is_empty() { String::new() } else { format!("{detail}, ") };
    format!("{tier} {outcome} ({detail}{})", seconds(time))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn record(channel: &str, outcome: &str) -> Record {
        let tier = |tier, outcome: &str, detail| serde_json::json!({ "tier": tier, "outcome": outcome, "detail": detail, "seconds": 0.25 });
        serde_json::from_value(serde_json::json!({
            "schema": 1, "service": "web", "root": "/r", "channel": channel, "revision": null,
            "started": 0, "seconds": 1.0, "result": "built", "steps": [], "bytes_pulled": 0,
            "tiers": [tier("cache", outcome, "5 results"), tier("gha", "inert", "no token")],
            "exports": [tier("cache", "not-needed", "no step was executed")],
            "totals": { "total": 0, "done": 0, "cached": 0 }, "log": "", "plan": null,
        }))
        .unwrap()
    }

    #[test]
    fn each_service_gets_one_line_of_tiers() {
        let records = [record("dev", "offered"), record("dev", "failed")];
        expect![[r"

            service  cache from                                                        cache to
            web      :cache offered (5 results, 0.25 s); gha inert (no token, 0.25 s)  :cache not needed (no step was executed, 0.25 s)
            web      :cache failed (5 results, 0.25 s); gha inert (no token, 0.25 s)   :cache not needed (no step was executed, 0.25 s)
        "]]
        .assert_eq(&below(records.iter(), usize::MAX));
        expect![[r"

            service  cache from                          cache to
            web      :cache offered (5 results, 0.25     :cache not needed (no step was
                     s); gha inert (no token, 0.25 s)    executed, 0.25 s)
        "]]
        .assert_eq(&below(records[..1].iter(), 80));
    }

    #[test]
    fn a_local_build_shows_only_failed_tiers() {
        assert_eq!(below([record("local", "offered")].iter(), 80), "");
        expect![[r"

            service  cache from                       cache to
            web      :cache hung (5 results, 0.25 s)
        "]]
        .assert_eq(&below([record("local", "hung")].iter(), 80));
    }
}

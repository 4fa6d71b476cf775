//! What each cache tier gave to a build, and what it was given: the lines below a table of builds, and
//! a table of a job's summary.

use xtask_model::channel::Channel;
use xtask_model::record::{ExportOutcome, Record};
use xtask_model::tier::TierOutcome;

use super::one_line;
use super::quantity::seconds;
use super::table::Table;

/// One row for each tier of each record that it was taken from or exported to.
pub fn table<'r>(records: impl Iterator<Item = &'r Record>) -> Table {
    rows(records, |_, _| true)
}

/// The same below a table on a terminal, after an empty line. A developer who builds for himself is
/// told of what went wrong alone.
pub fn below<'r>(records: impl Iterator<Item = &'r Record>, width: usize) -> String {
    let table = rows(records, |record, wrong| wrong || record.channel != Channel::Local);
    if table.is_empty() { String::new() } else { format!("\n{}", table.text(width)) }
}

fn rows<'r>(
    records: impl Iterator<Item = &'r Record>,
    wanted: impl Fn(&Record, bool) -> bool,
) -> Table {
    let mut table = Table::new(["service", "cache", "outcome", ">seconds", "detail"]);
    for record in records {
        let service = record.service.to_string();
        for tier in &record.tiers {
            use TierOutcome::{Denied, Failed, Hung};
            if wanted(record, matches!(tier.outcome, Denied | Failed | Hung)) {
                let (outcome, time) = (tier.outcome.to_string(), seconds(tier.seconds));
                let (from, detail) = (format!("from {}", tier.tier), one_line(&tier.detail));
                table.row([service.clone(), from, outcome, time, detail]);
            }
        }
        for export in &record.exports {
            if wanted(record, export.outcome == ExportOutcome::Failed) {
                let (outcome, time) = (export.outcome.to_string(), seconds(export.seconds));
                let (to, detail) = (format!("to {}", export.tier), one_line(&export.detail));
                table.row([service.clone(), to, outcome, time, detail]);
            }
        }
    }
    table
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
    fn each_tier_is_told_with_its_reason() {
        let told = below([record("dev", "offered")].iter(), 80);
        expect![[r"

            service  cache        outcome     seconds  detail
            web      from :cache  offered      0.25 s  5 results
            web      from gha     inert        0.25 s  no token
            web      to :cache    not needed   0.25 s  no step was executed
        "]]
        .assert_eq(&told);
    }

    #[test]
    fn a_developer_is_told_of_what_went_wrong_alone() {
        assert_eq!(below([record("local", "offered")].iter(), 80), "");
        let told = below([record("local", "hung")].iter(), 80);
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(told.contains("from :cache  hung"), "{told}");
    }
}

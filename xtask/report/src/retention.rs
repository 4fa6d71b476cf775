//! Retention plans and their reports for people: which versions are deleted, which are kept, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use xtask_model::inventory::{Inventory, Policy, Readable};
use xtask_model::pruning::{PackageReport, Report};
use xtask_model::reference::Digest;
use xtask_plan::retention::forecast::Forecast;
use xtask_plan::retention::reclaim::reclaimable;
use xtask_plan::retention::{RetentionPlan, Verdict};

use super::quantity::{bytes, seconds};
use super::table::{Cell, Table};

/// The most rows of a job summary, which GitHub limits to a megabyte.
const ROWS: usize = 1000;

/// The plan of one package.
pub fn text(name: &str, inventory: &Inventory, plan: &RetentionPlan, width: usize) -> String {
    let head = head(name, inventory, plan);
    let rows = rows(inventory, plan);
    let table = if rows.is_empty() { String::new() } else { table(&rows).text(width) };
    format!("{head}\n{table}{}", unknown(plan))
}

/// The same as Markdown.
pub fn page(name: &str, inventory: &Inventory, plan: &RetentionPlan) -> String {
    let mut rows = rows(inventory, plan);
    let more = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    let mut text = format!("{}\n\n", head(name, inventory, plan));
    if !rows.is_empty() {
        text.push_str(&table(&rows).markdown());
    }
    if more > 0 {
        let _ = writeln!(text, "\nand {more} more");
    }
    if !plan.unclassified.is_empty() {
        let _ = write!(text, "\n{}", unknown(plan));
    }
    text
}

fn head(name: &str, inventory: &Inventory, plan: &RetentionPlan) -> String {
    let all = inventory.versions.len();
    if let Some(detail) = &plan.refuse_detail {
        return format!("{name}: none of {all} versions is deleted: {detail}");
    }
    let free = bytes(reclaimable(inventory, &plan.delete));
    format!("{name}: {} of {all} versions are deleted, {free} reclaimable", plan.delete.len())
}

/// The deletions in their order, then the versions that are kept with a tag or without a manifest.
fn rows<'p>(inventory: &Inventory, plan: &'p RetentionPlan) -> Vec<&'p Verdict> {
    if plan.refuse.is_some() {
        return Vec::new();
    }
    let verdicts: BTreeMap<&Digest, &Verdict> =
        plan.verdicts.iter().map(|verdict| (&verdict.digest, verdict)).collect();
    let deleted = plan.delete.iter().filter_map(|digest| verdicts.get(digest).copied());
    let missing = inventory.versions.iter().filter(|v| v.manifest == Readable::Missing);
    let missing: BTreeSet<&Digest> = missing.map(|version| &version.digest).collect();
    let shown = |verdict: &&Verdict| {
        verdict.keep && (!verdict.tags.is_empty() || missing.contains(&verdict.digest))
    };
    deleted.chain(plan.verdicts.iter().filter(shown)).collect()
}

fn table(rows: &[&Verdict]) -> Table {
    let mut table = Table::new(["", "digest", "tags", "reason"]);
    for verdict in rows {
        table.row([
            if verdict.keep { "" } else { "-" }.into(),
            Cell::digest(Some(&verdict.digest)),
            verdict.tags.join(" ").into(),
            verdict.reason.as_str().into(),
        ]);
    }
    table
}

fn unknown(plan: &RetentionPlan) -> String {
    if plan.unclassified.is_empty() {
        return String::new();
    }
    format!("unrecognized tags, kept: {}\n", plan.unclassified.join(" "))
}

/// What a run needs.
pub fn forecast(forecast: &Forecast) -> String {
    let Forecast { deletions, api, registry, at_least, this_time } = forecast;
    if *deletions == 0 {
        return "nothing to delete".to_owned();
    }
    let mut text = format!("{deletions} deletions need about ");
    if *api > 0 {
        let _ = write!(text, "{api} requests to GitHub and ");
    }
    let _ = write!(text, "{registry} to the registry");
    if !at_least.is_zero() {
        let _ = write!(text, ", at least {}", seconds(at_least.as_secs_f64()));
    }
    if let Some(this_time) = this_time {
        let _ = write!(text, "; the budget allows about {this_time} of them now");
    }
    text
}

/// What a run did, a row for each package.
pub fn outcome(report: &Report) -> Table {
    let mut table =
        Table::new(["package", ">kept", ">deleted", ">refused", ">left over", ">bytes", "note"]);
    for package in &report.packages {
        table.row([
            package.package.clone(),
            package.kept.len().to_string(),
            package.deleted.len().to_string(),
            package.refused.len().to_string(),
            package.left_over.len().to_string(),
            bytes(package.bytes),
            package.refuse.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// What a run did, as Markdown, with the report that undoes it: the file may be gone with the machine that
/// wrote it.
pub fn summary(report: &Report, can_undo: bool) -> serde_json::Result<String> {
    let mut text = outcome(report).markdown();
    for PackageReport { package, refused, .. } in &report.packages {
        for refused in refused {
            let _ =
                write!(text, "\n{package} {} stays: {}\n", refused.digest.short(), refused.reason);
        }
    }
    let undo = report.for_undo();
    if can_undo && !undo.packages.is_empty() {
        let _ = write!(
            text,
            "\n<details><summary>Restore the deleted versions within 30 days</summary>\n\n\
             Save this as `report.json`, then type `cargo xtask prune undo report.json`:\n\n\
             ```json\n{}\n```\n\n</details>\n",
            serde_json::to_string(&undo)?
        );
    }
    Ok(text)
}

/// Why a version is kept or deleted, from itself to the version that decides.
pub fn explained(path: &[&Verdict]) -> String {
    let mut text = String::new();
    for (depth, verdict) in path.iter().enumerate() {
        let word = if verdict.keep { "kept" } else { "deleted" };
        let tags =
            if verdict.tags.is_empty() { "untagged".to_owned() } else { verdict.tags.join(", ") };
        let (indent, digest) = ("  ".repeat(depth), verdict.digest.short());
        let _ = writeln!(text, "{indent}{digest} ({tags}): {word}: {}", verdict.reason);
    }
    text
}

/// The retention table of docs/policy.md.
pub fn policy_table(policy: &Policy) -> String {
    let mut table = Table::new(["what", "kept"]);
    let days = |seconds: f64| format!("{:.0} days", seconds / 86_400.0);
    let kept = policy.keep.iter().map(|tag| format!("`{tag}`")).collect::<Vec<_>>().join(", ");
    table.row([kept, "forever".to_owned()]);
    table.row(["semantic versions, `1` and `1.2`".to_owned(), "forever".to_owned()]);
    table.row(["`dev-<sha>`, `sha-<sha>`, `<sha>`".to_owned(), days(policy.max_age_s)]);
    table.row([
        "the newest images of commits, for a rollback".to_owned(),
        format!("{} images", policy.keep_last),
    ]);
    table.row(["untagged versions".to_owned(), format!("{:.0} hours", policy.grace_s / 3600.0)]);
    table.row([
        "digests that a file of the repository pins".to_owned(),
        "while it pins them".to_owned(),
    ]);
    table.row(["signatures and attestations".to_owned(), "as long as their image".to_owned()]);
    table.row(["unrecognized tags".to_owned(), "forever, and reported".to_owned()]);
    table.markdown()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    #[test]
    fn a_page_shows_deleted_and_kept_versions() {
        let versions = serde_json::json!([
            { "digest": digest('a'), "tags": ["dev"], "created": 0.0, "manifests": [digest('b')] },
            { "digest": digest('b'), "created": 0.0 },
            { "digest": digest('c'), "created": 0.0, "manifest": "missing" },
            { "digest": digest('d'), "created": 0.0, "blobs": [[digest('e'), 2000]] },
        ]);
        let inventory: Inventory =
            serde_json::from_value(serde_json::json!({ "now": 864_000.0, "inventory": versions }))
                .unwrap();
        let plan = xtask_plan::retention::plan(&inventory);
        expect_test::expect![[r"
            web: 1 of 4 versions are deleted, 2.00 kB reclaimable

            |  | digest | tags | reason |
            | --- | --- | --- | --- |
            | - | sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd |  | untagged and 10 d old (kept for 3.0 d) |
            |  | sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | dev | `dev` is kept for ever |
            |  | sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc |  | listed, but its manifest is missing |
        "]]
        .assert_eq(&page("web", &inventory, &plan));
    }

    #[test]
    fn a_summary_contains_the_report_for_undo() {
        let mut report = Report::new(1);
        let repository = xtask_model::reference::Reference::normalized("ghcr.io/o/r/web").unwrap();
        let mut package = PackageReport::new(repository, "r/web".to_owned());
        package.deleted.push(xtask_model::pruning::Gone {
            digest: Digest::new(digest('a')).unwrap(),
            id: Some(7),
            tags: vec!["dev-1234567".to_owned()],
        });
        report.packages.push(package);
        let text = summary(&report, true).unwrap();
        let (_, json) = text.split_once("```json\n").unwrap();
        let (json, _) = json.split_once("\n```").unwrap();
        let read: Report = serde_json::from_str(json).unwrap();
        assert_eq!(read.packages[0].deleted, report.packages[0].deleted);
        assert!(!summary(&report, false).unwrap().contains("undo"));
    }

    #[test]
    fn a_forecast_names_the_limit_of_the_budget() {
        let whole = Forecast {
            deletions: 500,
            api: 1000,
            registry: 41,
            at_least: std::time::Duration::from_secs(499),
            this_time: Some(449),
        };
        assert_eq!(
            forecast(&whole),
            "500 deletions need about 1000 requests to GitHub and 41 to the registry, at least \
             8 min 19 s; the budget allows about 449 of them now"
        );
    }
}

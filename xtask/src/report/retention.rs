//! Retention plans for people: what goes and why, what stays and why, and the policy as a page.

use std::fmt::Write;

use crate::model::inventory::{Inventory, Policy};
use crate::model::pruning::Report;
use crate::model::reference::Digest;
use crate::plan::retention::reclaim::reclaimable;
use crate::plan::retention::{RetentionPlan, Verdict};

use super::quantity::bytes;
use super::table::Table;

/// The plan of one package.
pub fn text(name: &str, inventory: &Inventory, plan: &RetentionPlan, width: usize) -> String {
    let mut text = String::new();
    let all = inventory.versions.len();
    if let Some(detail) = &plan.refuse_detail {
        let _ = writeln!(text, "{name}: nothing of {all} versions is deleted: {detail}");
        return text;
    }
    let _ = writeln!(
        text,
        "{name}: {} of {all} versions go, {} reclaimable",
        plan.delete.len(),
        bytes(reclaimable(inventory, &plan.delete))
    );
    let mut table = Table::new(["", "digest", "tags", "reason"]);
    let mut row = |mark: &str, verdict: &Verdict| {
        table.row([
            mark.to_owned(),
            verdict.digest.short().to_owned(),
            super::shortened(&verdict.tags.join(" "), 24),
            verdict.reason.clone(),
        ]);
    };
    for digest in &plan.delete {
        if let Some(verdict) = plan.verdicts.iter().find(|verdict| verdict.digest == *digest) {
            row("-", verdict);
        }
    }
    for verdict in plan.verdicts.iter().filter(|verdict| verdict.keep && !verdict.tags.is_empty()) {
        row("", verdict);
    }
    text.push_str(&table.text(width));
    if !plan.unclassified.is_empty() {
        let _ = writeln!(
            text,
            "tags that nobody knows, and that are kept: {}",
            plan.unclassified.join(" ")
        );
    }
    text
}

/// What a run did, a row for each package.
pub fn outcome(report: &Report) -> Table {
    let mut table = Table::new(["package", ">deleted", ">refused", ">left over", ">bytes"]);
    for package in &report.packages {
        table.row([
            package.package.clone(),
            package.deleted.len().to_string(),
            package.refused.len().to_string(),
            package.left_over.len().to_string(),
            bytes(package.bytes),
        ]);
    }
    table
}

/// The path that keeps or expires one version, from itself to the root that decides.
pub fn explained(plan: &RetentionPlan, digest: &Digest) -> Option<String> {
    let mut text = String::new();
    let mut next = Some(digest);
    let mut depth = 0;
    while let Some(current) = next {
        let verdict = plan.verdicts.iter().find(|verdict| verdict.digest == *current)?;
        let word = if verdict.keep { "kept" } else { "deleted" };
        let tags =
            if verdict.tags.is_empty() { "no tag".to_owned() } else { verdict.tags.join(", ") };
        let indent = "  ".repeat(depth);
        let _ = writeln!(
            text,
            "{indent}{} ({tags}): {word}: {}",
            verdict.digest.short(),
            verdict.reason
        );
        depth += 1;
        next = verdict.because_of.as_ref();
    }
    Some(text)
}

/// The retention table of docs/policy.md.
pub fn policy_table(policy: &Policy) -> String {
    let mut table = Table::new(["what", "kept"]);
    let days = |seconds: f64| format!("{:.0} days", seconds / 86_400.0);
    let kept = policy.keep.iter().map(|tag| format!("`{tag}`")).collect::<Vec<_>>().join(", ");
    table.row([kept, "for ever".to_owned()]);
    table.row(["semantic versions, and `1`, `1.2`".to_owned(), "for ever".to_owned()]);
    table.row(["`dev-<sha>`, `sha-<sha>`, `<sha>`".to_owned(), days(policy.max_age_s)]);
    table.row([
        "the newest images of commits, as a way back".to_owned(),
        format!("{} of them", policy.keep_last),
    ]);
    table.row(["what has no tag".to_owned(), format!("{:.0} hours", policy.grace_s / 3600.0)]);
    table.row([
        "what a file of the repository pins by digest".to_owned(),
        "while it does".to_owned(),
    ]);
    table.row(["signatures and attestations".to_owned(), "as long as their image".to_owned()]);
    table.row(["any other tag".to_owned(), "for ever, and reported".to_owned()]);
    table.markdown()
}

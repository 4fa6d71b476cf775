//! Findings as a person reads them: the worst first, and at the end what to type.

use std::cmp::Reverse;

use crate::plan::verify::{Finding, Level};

use super::table::Table;

/// A table of what is worth a look, and the remedies. What passed or does not apply is only counted.
pub fn text(findings: &[Finding], width: usize) -> String {
    let mut worst: Vec<&Finding> =
        findings.iter().filter(|finding| finding.level > Level::Skip).collect();
    worst.sort_by_key(|finding| Reverse(finding.level));
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let mut text = String::new();
    if !worst.is_empty() {
        let mut table = Table::new(["", "about", "check", "finding"]);
        for finding in &worst {
            table.row([
                name(finding.level).to_owned(),
                finding.subject.clone(),
                finding.check.to_owned(),
                finding.detail.clone(),
            ]);
        }
        text.push_str(&table.text(width));
        let mut remedies: Vec<&str> = Vec::new();
        for remedy in worst.iter().filter_map(|finding| finding.remedy.as_deref()) {
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        text.extend(remedies.iter().flat_map(|remedy| ["→ ", remedy, "\n"]));
        text.push('\n');
    }
    let levels = [Level::Pass, Level::Warn, Level::Fail, Level::Unknown, Level::Skip];
    let counts = levels.map(|level| format!("{} {}", count(level), name(level)));
    text.push_str(&counts.join(", "));
    text.push('\n');
    text
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Pass => "pass",
        Level::Skip => "skip",
        Level::Warn => "warn",
        Level::Unknown => "unknown",
        Level::Fail => "fail",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_each_remedy_once() {
        let finding = |level, check| {
            Finding::new("web:dev", check, level, "what was seen").remedy("cargo xtask push")
        };
        let shown = text(
            &[
                finding(Level::Pass, "size"),
                finding(Level::Warn, "base"),
                finding(Level::Fail, "closure"),
            ],
            80,
        );
        expect_test::expect![[r"
                  about    check    finding
            fail  web:dev  closure  what was seen
            warn  web:dev  base     what was seen
            → cargo xtask push

            1 pass, 1 warn, 1 fail, 0 unknown, 0 skip
        "]]
        .assert_eq(&shown);
    }
}

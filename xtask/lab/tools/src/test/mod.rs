//! `cargo xtask test`: everything CI checks, on any machine, with one command.
//!
//! Each check passes, fails, or is skipped with its reason. The checks that need no engine come first, so
//! that a mistake shows within seconds; then the lab comes up for the tests that need an engine. They empty
//! it, so they run only on the lab's own engine, and are skipped if the lab cannot have one.

mod checks;
mod ground;
mod log;
mod test_run;

use std::fmt::Write;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use xshell::Shell;

use xtask::command::Command;
use xtask::model::failure::{Exit, Failure};
use xtask::options::Format;
use xtask::outside::{interrupt, terminal};
use xtask::task::test::Test;

use test_run::{Outcome, TestRun};

/// A check, with the name that people type.
struct Check {
    name: &'static str,
    run: fn(&TestRun<'_>) -> Result<Outcome>,
}

const CHECKS: [Check; 14] = [
    Check { name: "format", run: checks::format },
    Check { name: "lint", run: checks::lint },
    Check { name: "limits", run: checks::limits },
    Check { name: "tests", run: checks::tests },
    Check { name: "services", run: checks::services },
    Check { name: "shell", run: checks::shell },
    Check { name: "dockerfiles", run: checks::dockerfiles },
    Check { name: "workflows", run: checks::workflows },
    Check { name: "compose", run: checks::compose },
    Check { name: "licences", run: checks::licences },
    Check { name: "advisories", run: checks::advisories },
    Check { name: "buildkit-checks", run: checks::buildkit_checks },
    Check { name: "images", run: checks::images },
    Check { name: "lab", run: checks::lab },
];

/// A check's result, as `--format json` prints it.
#[derive(Serialize)]
struct Row {
    check: &'static str,
    result: &'static str,
    seconds: f64,
    detail: String,
}

pub fn run(command: &Command, options: &Test) -> Result<Exit> {
    let format = command.human_or_json()?;
    command.gathers_no_facts("test")?;
    let chosen = choose(&options.checks)?;
    if command.global.dry_run {
        let names: Vec<_> = chosen.iter().map(|check| check.name).collect();
        terminal::data(&match format {
            Format::Json => format!("{}\n", serde_json::to_string_pretty(&names)?),
            _ => format!("{}\n", names.join("\n")),
        });
        return Ok(Exit::Done);
    }
    let shell = Shell::new()?;
    shell.change_dir(&command.root);
    let test_run = TestRun::new(command, shell);
    let mut rows = Vec::new();
    for check in chosen {
        command.say(&format!("· {} …", check.name));
        let row = judge(&test_run, check);
        interrupt::check()?;
        command
            .say(&format!("  {}: {} ({:.1} s) {}", row.check, row.result, row.seconds, row.detail));
        rows.push(row);
    }
    test_run.leave_lab()?;
    report(&rows, format)?;
    let failed = rows.iter().any(|row| row.result == "failed");
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn choose(names: &[String]) -> Result<Vec<&'static Check>> {
    if names.is_empty() {
        return Ok(CHECKS.iter().collect());
    }
    let find = |name: &String| {
        CHECKS.iter().find(|check| check.name == name).ok_or_else(|| {
            let known: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
            Failure::usage(format!("there is no check `{name}`"))
                .hint(format!("name one of {}", known.join(", ")))
                .into()
        })
    };
    names.iter().map(find).collect()
}

fn judge(run: &TestRun<'_>, check: &Check) -> Row {
    let begun = Instant::now();
    let (result, detail) = match (check.run)(run) {
        Ok(Outcome::Passed(detail)) => ("passed", detail),
        Ok(Outcome::Skipped(reason)) => ("skipped", reason),
        Err(error) => {
            let text = format!("{error:#}");
            terminal::message(&text);
            let names = log::failed(&text).join(", ");
            ("failed", if names.is_empty() { "see above".to_owned() } else { names })
        }
    };
    Row { check: check.name, result, seconds: begun.elapsed().as_secs_f64(), detail }
}

fn report(rows: &[Row], format: Format) -> Result<()> {
    let count = |result| rows.iter().filter(|row| row.result == result).count();
    let (passed, failed, skipped) = (count("passed"), count("failed"), count("skipped"));
    if format == Format::Json {
        terminal::data(&format!("{}\n", serde_json::to_string_pretty(rows)?));
        return Ok(());
    }
    let mut text = String::from("\n");
    for row in rows {
        let _ = writeln!(
            text,
            "{:<16} {:<8} {:>7.1} s  {}",
            row.check, row.result, row.seconds, row.detail
        );
    }
    let _ = writeln!(text, "\nchecks: {passed} passed, {failed} failed, {skipped} skipped");
    terminal::data(&text);
    Ok(())
}

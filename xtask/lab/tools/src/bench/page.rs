//! docs/performance.md: medians side by side, with their ratio to the seed's flags.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use xtask::report::quantity::{bytes, seconds};
use xtask::report::table::Table;

use super::compile::HEADING;
use super::figures::{Driver, Limit, Measured, cell, limits};
use super::rate::Rate;
use super::subject::{Contender, EngineContent, IMAGE, Scenario, Skipped};

/// The text of the page around the figures.
pub struct About {
    pub date: String,
    pub machine: String,
    pub versions: String,
    pub driver: Driver,
    pub bandwidth: Option<Rate>,
    pub rounds: u32,
    pub skipped: Vec<Skipped>,
    /// Median seconds of `cargo xtask build` and of the bare command.
    pub overhead: (f64, f64),
    /// Median seconds of `cargo xtask build --dry-run` in this repository.
    pub dry_run: f64,
}

/// The day of a time in seconds since 1970.
pub fn date(seconds: u64) -> String {
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds));
    time.to_string().split('T').next().unwrap_or_default().to_owned()
}

/// One measurement as a line of progress.
pub fn line(measured: &Measured) -> String {
    let Measured { round, engine, contender, scenario, figures } = measured;
    format!(
        "round {}: {engine:?} {scenario:?} {contender:?}: {}, {}, {} requests",
        round + 1,
        seconds(figures.seconds),
        bytes(figures.bytes),
        figures.requests
    )
}

/// The page with the new parts; a part that was not measured is copied from `old`.
pub fn page(old: &str, publish: Option<&str>, compile: Option<&str>) -> String {
    let (old_publish, old_compile) = old.split_at(old.find(HEADING).unwrap_or(old.len()));
    let old_publish = if old_publish.is_empty() { TITLE } else { old_publish };
    format!("{}{}", publish.unwrap_or(old_publish), compile.unwrap_or(old_compile))
}

const TITLE: &str = "# Performance\n\nWritten by `cargo xtask lab bench`; do not edit.\n";

/// The title, and the part about pushes and releases.
pub fn section(measured: &[Measured], about: &About) -> String {
    let link = match &about.bandwidth {
        Some(rate) => {
            format!("a link of {rate} in each direction (a token bucket in the lab's proxy)")
        }
        None => "loopback".to_owned(),
    };
    let rounds = match about.rounds {
        1 => "one round".to_owned(),
        rounds => format!("{rounds} rounds"),
    };
    let mut text = format!(
        "{TITLE}\nMeasured on {} on {}. {}. Registry on {link}. Medians of {rounds}, in turns; bytes and requests \
         are those that passed the registry, in both directions. The image has {IMAGE}.\n\n{}\n",
        about.date,
        about.machine,
        about.versions,
        measured_on(&about.driver),
    );
    for (contender, why) in &about.skipped {
        let _ = writeln!(text, "\nNot measured: `{}`: {why}.", contender.label(Scenario::Cold));
    }
    text.push_str(&limits_met(measured));
    for engine in [EngineContent::Emptied, EngineContent::Warm] {
        let _ = writeln!(text, "\n## {}", engine.label());
        for scenario in Scenario::ALL {
            let table = figures(measured, engine, scenario);
            let _ = write!(text, "\n### {}\n\n{}", scenario.label(), table.markdown());
        }
    }
    text.push_str(&added(about));
    text
}

/// The contenders of one scenario side by side.
fn figures(measured: &[Measured], engine: EngineContent, scenario: Scenario) -> Table {
    let mut table = Table::new(["", ">seconds", ">ratio", ">bytes", ">ratio", ">requests"]);
    let seed = cell(measured, engine, scenario, Contender::Seed);
    for contender in Contender::ALL {
        let Some(figures) = cell(measured, engine, scenario, contender) else { continue };
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let ratios = seed.map_or_else(Default::default, |seed| {
            let fewer = ratio(seed.bytes as f64, figures.bytes as f64);
            (ratio(seed.seconds, figures.seconds), fewer)
        });
        table.row([
            format!("`{}`", contender.label(scenario)),
            seconds(figures.seconds),
            ratios.0,
            bytes(figures.bytes),
            ratios.1,
            figures.requests.to_string(),
        ]);
    }
    table
}

/// The time that xtask adds to the bare command.
fn added(about: &About) -> String {
    let (ours, bare) = about.overhead;
    format!(
        "\n## What xtask adds\n\n`cargo xtask build` of an unchanged service: {}; the bare `docker buildx \
         build` of the same plan: {}. It adds {} ms.\n\n\
         `cargo xtask build --dry-run` in this repository, the whole process with git: {}.\n",
        seconds(ours),
        seconds(bare),
        ((ours - bare) * 1000.0).round(),
        seconds(about.dry_run)
    )
}

/// The driver, and its effect on the figures.
fn measured_on(driver: &Driver) -> String {
    let Driver { name, containerd_store } = driver;
    let lazy = "There xtask gains by changed files, skipped exports and the fast path, and the seed's \
                flags move kilobytes when nothing changed.";
    if name != "docker" {
        return format!(
            "Measured on the `{name}` driver, on which buildx is lazy: it does not download what it only \
             passes on. {lazy}"
        );
    }
    let store = if *containerd_store { "with" } else { "without" };
    format!(
        "Measured on the `docker` driver, {store} the containerd image store. On a `docker-container` or \
         `remote` builder buildx is lazy: it does not download what it only passes on. {lazy}"
    )
}

/// The limits, and whether this run met them.
fn limits_met(measured: &[Measured]) -> String {
    let mut table = Table::new(["", "against", ">fewer bytes", "", ">faster", ""]);
    let word = |met: bool| if met { "met" } else { "missed" }.to_owned();
    for limit in limits(measured) {
        let Limit { scenario, contender, against, percent, faster } = &limit;
        table.row([
            format!("{}: `{}`", scenario.label(), contender.label(*scenario)),
            format!("`{}`", against.label(*scenario)),
            // Rounded down: 99.996 % must not look like 100 %.
            format!("{:.2} % (required: {} %)", (percent.1 * 100.0).floor() / 100.0, percent.0),
            word(limit.fewer()),
            format!("{:.1} × (required: {} ×)", (faster.1 * 10.0).floor() / 10.0, faster.0),
            word(limit.is_fast()),
        ]);
    }
    format!("\n## Limits on an emptied engine\n\n{}", table.markdown())
}

/// Each measurement and each limit as JSON.
pub fn json(measured: &[Measured], about: &About) -> Value {
    let one = |m: &Measured| {
        json!({
            "round": m.round, "engine": m.engine.label(), "scenario": m.scenario.label(),
            "contender": m.contender.label(m.scenario), "seconds": m.figures.seconds,
            "bytes": m.figures.bytes, "requests": m.figures.requests,
        })
    };
    let limit = |limit: &Limit| {
        json!({
            "scenario": limit.scenario.label(), "contender": limit.contender.label(limit.scenario),
            "against": limit.against.label(limit.scenario),
            "fewer-percent": { "wanted": limit.percent.0, "measured": limit.percent.1 },
            "times-faster": { "wanted": limit.faster.0, "measured": limit.faster.1 },
            "met": limit.fewer() && limit.is_fast(),
        })
    };
    json!({
        "date": about.date, "machine": about.machine, "versions": about.versions,
        "driver": { "name": about.driver.name, "containerd-store": about.driver.containerd_store },
        "bandwidth": about.bandwidth.as_ref().map(Rate::to_string), "rounds": about.rounds,
        "measured": measured.iter().map(one).collect::<Vec<_>>(),
        "limits": limits(measured).iter().map(limit).collect::<Vec<_>>(),
        "overhead-seconds": { "xtask": about.overhead.0, "bare": about.overhead.1 },
        "dry-run-seconds": about.dry_run,
    })
}

/// The ratio of the seed's figure to ours.
fn ratio(seed: f64, ours: f64) -> String {
    if ours > 0.0 { format!("{:.1} ×", seed / ours) } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_which_driver_was_measured() {
        let text = |name: &str, containerd_store| {
            measured_on(&Driver { name: name.to_owned(), containerd_store })
        };
        assert!(text("docker", true).starts_with("Measured on the `docker` driver, with the "));
        assert!(text("docker", false).contains("driver, without the containerd image store"));
        let remote = text("remote", false);
        assert!(remote.starts_with("Measured on the `remote` driver, on which buildx is lazy"));
    }

    #[test]
    fn the_page_keeps_the_unmeasured_part() {
        let compile = format!("{HEADING}\nold\n");
        let old = format!("# Performance\n\npublished\n{compile}");
        assert_eq!(page(&old, Some("new\n"), None), format!("new\n{compile}"));
        let new = format!("{HEADING}\nnew\n");
        assert_eq!(page(&old, None, Some(&new)), format!("# Performance\n\npublished\n{new}"));
        assert_eq!(page("", None, Some(&new)), format!("{TITLE}{new}"));
    }

    #[test]
    fn a_date_has_no_time_of_day() {
        assert_eq!(date(1_767_323_045), "2026-01-02");
    }
}

//! docs/performance.md: medians side by side, with the ratio to what people type today.

use std::fmt::Write;

use serde_json::{Value, json};

use xtask_model::bench::{Contender, Driver, Engine, Measured, Rate, Scenario};
use xtask_plan::bench::{IMAGE, Limit, cell, limits};

use super::quantity::{bytes, seconds};
use super::table::Table;

/// What the page must say beside the figures.
pub struct About {
    /// Seconds since 1970.
    pub date: u64,
    pub machine: String,
    pub versions: String,
    pub driver: Driver,
    pub bandwidth: Option<Rate>,
    pub rounds: u32,
    /// Who could not take part, and why.
    pub skipped: Vec<(Contender, String)>,
    /// Seconds of `cargo xtask build` and of the bare command, medians.
    pub overhead: (f64, f64),
    /// Seconds of `cargo xtask build --dry-run` in this repository, the median.
    pub dry_run: f64,
    /// Seconds of a cold compilation of xtask.
    pub compile: Option<f64>,
}

/// One measurement, for who waits.
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

/// The whole page.
pub fn page(measured: &[Measured], about: &About) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(about.date);
    let date = humantime::format_rfc3339_seconds(time).to_string();
    let link = match &about.bandwidth {
        Some(rate) => {
            format!("a link of {rate} in each direction (a token bucket in the lab's front)")
        }
        None => "loopback".to_owned(),
    };
    let mut text = format!(
        "# Performance\n\nWritten by `cargo xtask lab bench` on {}; do not edit.\n\n\
         {}. {}. Registry on {link}. Medians of {}, in turns; bytes and requests are those that \
         passed the registry, in both directions. The image has {IMAGE}.\n\n{}\n",
        date.split('T').next().unwrap_or_default(),
        about.machine,
        about.versions,
        match about.rounds {
            1 => "one round".to_owned(),
            rounds => format!("{rounds} rounds"),
        },
        measured_on(&about.driver),
    );
    for (contender, why) in &about.skipped {
        let _ = writeln!(text, "\nNot measured: `{}`: {why}.", contender.label(Scenario::Cold));
    }
    text.push_str(&limits_met(measured));
    for engine in [Engine::Emptied, Engine::Warm] {
        let _ = writeln!(text, "\n## {}", engine.label());
        for scenario in Scenario::ALL {
            let _ = writeln!(text, "\n### {}\n", scenario.label());
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
            text.push_str(&table.markdown());
        }
    }
    let (ours, bare) = about.overhead;
    let _ = write!(
        text,
        "\n## What xtask adds\n\n`cargo xtask build` of an unchanged service: {}; the bare `docker buildx \
         build` of the same plan: {}. It adds {} ms.\n",
        seconds(ours),
        seconds(bare),
        ((ours - bare) * 1000.0).round()
    );
    let _ = writeln!(
        text,
        "\n`cargo xtask build --dry-run` in this repository, the whole process with git: {}.",
        seconds(about.dry_run)
    );
    if let Some(compile) = about.compile {
        let _ = writeln!(text, "\nCompiling xtask from nothing: {}.", seconds(compile));
    }
    text
}

/// Which driver it was, and what that means.
fn measured_on(driver: &Driver) -> String {
    let Driver { name, containerd_store } = driver;
    let lazy = "There the gain lies in changed files, skipped exports and the fast path, and the seed's \
                flags move kilobytes, not megabytes, when nothing changed.";
    if name != "docker" {
        return format!(
            "Measured was the `{name}` driver, on which buildx is lazy by itself: it does not download \
             what it only passes on. {lazy}"
        );
    }
    let store = if *containerd_store { "with" } else { "without" };
    format!(
        "Measured was the `docker` driver, {store} the containerd image store. On a `docker-container` or \
         `remote` builder buildx is lazy by itself: it does not download what it only passes on. {lazy}"
    )
}

/// What must hold, and whether it did in this run.
fn limits_met(measured: &[Measured]) -> String {
    let mut table = Table::new(["", "against", ">fewer bytes", "", ">faster", ""]);
    let word = |met: bool| if met { "met" } else { "missed" }.to_owned();
    for limit in limits(measured) {
        let Limit { scenario, contender, against, percent, faster } = &limit;
        table.row([
            format!("{}: `{}`", scenario.label(), contender.label(*scenario)),
            format!("`{}`", against.label(*scenario)),
            // Rounded down: 99.96 % is not all.
            format!("{:.2} % of {} %", (percent.1 * 100.0).floor() / 100.0, percent.0),
            word(limit.fewer()),
            format!("{:.1} of {} ×", (faster.1 * 10.0).floor() / 10.0, faster.0),
            word(limit.is_fast()),
        ]);
    }
    format!("\n## What must hold on an emptied engine\n\n{}", table.markdown())
}

/// All figures for machines: each measurement, and each limit.
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
        "schema": 1, "date": about.date, "machine": about.machine, "versions": about.versions,
        "driver": { "name": about.driver.name, "containerd-store": about.driver.containerd_store },
        "bandwidth": about.bandwidth.as_ref().map(Rate::to_string), "rounds": about.rounds,
        "measured": measured.iter().map(one).collect::<Vec<_>>(),
        "limits": limits(measured).iter().map(limit).collect::<Vec<_>>(),
        "overhead-seconds": { "xtask": about.overhead.0, "bare": about.overhead.1 },
        "dry-run-seconds": about.dry_run,
        "compile-seconds": about.compile,
    })
}

/// How many times less than the seed's flags.
fn ratio(seed: f64, ours: f64) -> String {
    if ours > 0.0 { format!("{:.1} ×", seed / ours) } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_which_driver_was_measured() {
        let said = |name: &str, containerd_store| {
            measured_on(&Driver { name: name.to_owned(), containerd_store })
        };
        assert!(said("docker", true).starts_with("Measured was the `docker` driver, with the "));
        assert!(said("docker", false).contains("driver, without the containerd image store"));
        let remote = said("remote", false);
        assert!(remote.starts_with("Measured was the `remote` driver, on which buildx is lazy"));
    }
}

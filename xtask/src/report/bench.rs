//! docs/performance.md: medians side by side, with the ratio to what people type today.

use std::fmt::Write;

use crate::model::bench::{Contender, Engine, Figures, Measured, Scenario};

use super::quantity::{bytes, seconds};
use super::table::Table;

/// What the page must say beside the figures.
pub struct About {
    /// Seconds since 1970.
    pub date: u64,
    pub machine: String,
    pub versions: String,
    pub bandwidth: Option<String>,
    pub rounds: u32,
    /// Seconds of `cargo xtask build` and of the bare command, medians.
    pub overhead: (f64, f64),
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

/// The middle value; sorts. 0 for none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The whole page.
pub fn page(measured: &[Measured], about: &About) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(about.date);
    let date = humantime::format_rfc3339_seconds(time).to_string();
    let link = match &about.bandwidth {
        Some(rate) => format!("a loopback of {rate} (tbf)"),
        None => "loopback".to_owned(),
    };
    let mut text = format!(
        "# Performance\n\nWritten by `cargo xtask lab bench` on {}; do not edit.\n\n\
         {}. {}. Registry on {link}. Medians of {} rounds, in turns; bytes and requests are those that \
         passed the registry, in both directions. The image has a base of Debian, 150 MB of packages, \
         8 MB from another stage and a file of 300 kB behind `COPY --link`.\n\n\
         On a `docker-container` or `remote` builder buildx is lazy by itself: it does not download what \
         it only passes on. There the gain lies in changed files, skipped exports and the fast path, \
         and the seed's flags move kilobytes, not megabytes, when nothing changed.\n",
        date.split('T').next().unwrap_or_default(),
        about.machine,
        about.versions,
        about.rounds,
    );
    for engine in [Engine::Emptied, Engine::Warm] {
        let _ = writeln!(text, "\n## {}", engine.label());
        for scenario in Scenario::ALL {
            let _ = writeln!(text, "\n### {}\n", scenario.label());
            let mut table = Table::new(["", ">seconds", ">ratio", ">bytes", ">ratio", ">requests"]);
            let seed = of(measured, engine, scenario, Contender::Seed);
            for contender in Contender::ALL {
                let figures = of(measured, engine, scenario, contender);
                table.row([
                    format!("`{}`", contender.label()),
                    seconds(figures.seconds),
                    ratio(seed.seconds, figures.seconds),
                    bytes(figures.bytes),
                    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
                    ratio(seed.bytes as f64, figures.bytes as f64),
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
    if let Some(compile) = about.compile {
        let _ = writeln!(text, "\nCompiling xtask from nothing: {}.", seconds(compile));
    }
    text
}

/// The medians of one cell.
fn of(measured: &[Measured], engine: Engine, scenario: Scenario, contender: Contender) -> Figures {
    let cell: Vec<Figures> = measured
        .iter()
        .filter(|m| (m.engine, m.scenario, m.contender) == (engine, scenario, contender))
        .map(|m| m.figures)
        .collect();
    let middle = |mut values: Vec<u64>| {
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    Figures {
        seconds: median(&mut cell.iter().map(|figures| figures.seconds).collect::<Vec<_>>()),
        bytes: middle(cell.iter().map(|figures| figures.bytes).collect()),
        requests: middle(cell.iter().map(|figures| figures.requests).collect()),
    }
}

/// How many times less than the seed's flags.
fn ratio(seed: f64, ours: f64) -> String {
    if ours > 0.0 { format!("{:.1} ×", seed / ours) } else { "-".to_owned() }
}

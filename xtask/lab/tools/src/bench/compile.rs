//! Compares a cold compile of xtask with one of the nine crates that it began with.

use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};
use xtask::command::Command;
use xtask::model::invocation::Invocation;
use xtask::outside::files;
use xtask::report::quantity::seconds;
use xtask::report::table::Table;

use super::figures::median;

/// The most time that xtask may take, as a multiple of the nine crates.
pub const LIMIT: f64 = 2.0;

/// A new package with only the nine crates, in the features that xtask uses.
const NINE: &str = r#"[workspace]

[package]
name = "nine"
version = "0.0.0"
edition = "2024"

[dependencies]
anyhow = "1"
clap = { version = "4", features = ["derive", "env", "wrap_help"] }
duct = "1"
semver = { version = "1", features = ["serde"] }
serde = { version = "1", features = ["derive"] }
serde_json = "1"
tempfile = "3"
which = { version = "8", default-features = false, features = ["real-sys"] }
xshell = "0.2"
"#;

/// Seconds of two compiles, one right after the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    pub nine: f64,
    pub xtask: f64,
}

impl Pair {
    fn ratio(self) -> f64 {
        self.xtask / self.nine
    }
}

/// Compiles the nine crates and xtask in turns. Each starts with downloaded crates and an empty target
/// folder.
pub fn measure(command: &Command, pairs: u32) -> Result<Vec<Pair>> {
    let folder = tempfile::tempdir()?;
    let write = |path: &str, text: &str| {
        files::write_atomically(&folder.path().join(path), text.as_bytes())
    };
    write("Cargo.toml", NINE)?;
    // The same versions for both.
    write("Cargo.lock", &files::read(&command.root.join("Cargo.lock"))?)?;
    write("src/main.rs", "fn main() {}\n")?;
    let fetch = ["fetch", "--quiet", "--locked"];
    command.runner.output(&Invocation::new("cargo", fetch))?;
    let nine = folder.path().join("Cargo.toml");
    let mut measured = Vec::new();
    for number in 1..=pairs {
        let nine = compile(command, &nine, "nine")?;
        let xtask = compile(command, &command.root.join("Cargo.toml"), "xtask")?;
        let pair = Pair { nine, xtask };
        command.say(&format!(
            "pair {number}: nine crates {}, xtask {}, {:.2} ×",
            seconds(nine),
            seconds(xtask),
            pair.ratio()
        ));
        measured.push(pair);
    }
    Ok(measured)
}

/// Seconds of one compile into an empty folder.
fn compile(command: &Command, manifest: &Path, package: &str) -> Result<f64> {
    let target = tempfile::tempdir()?;
    let call = Invocation::new(
        "cargo",
        [
            "build".to_owned(),
            "--quiet".to_owned(),
            "--offline".to_owned(),
            format!("--package={package}"),
            format!("--manifest-path={}", manifest.display()),
            format!("--target-dir={}", target.path().display()),
        ],
    )
    // A developer may have switched it on.
    .with_variable("CARGO_INCREMENTAL", "0");
    let begun = Instant::now();
    command.runner.output(&call)?;
    Ok(begun.elapsed().as_secs_f64())
}

/// The heading that the section starts with.
pub const HEADING: &str = "\n## Cold compile\n";

/// The section of the page.
pub fn section(pairs: &[Pair], date: &str, machine: &str) -> String {
    let mut table = Table::new(["pair", ">nine crates", ">xtask", ">ratio"]);
    let mut row = |name: String, pair: Pair, ratio: f64| {
        table.row([name, seconds(pair.nine), seconds(pair.xtask), format!("{ratio:.2} ×")]);
    };
    for (number, pair) in (1..).zip(pairs) {
        row(number.to_string(), *pair, pair.ratio());
    }
    let (medians, ratio) = medians(pairs);
    row("median".to_owned(), medians, ratio);
    let mut text = format!(
        "{HEADING}\nMeasured on {date} on {machine}, in turns and with all crates downloaded: xtask, and a new \
         package with the nine crates that xtask began with (anyhow, clap, duct, semver, serde, serde_json, \
         tempfile, which, xshell) in the same versions and features. xtask compiles in the profile of its \
         workspace, the new package in cargo's own.\n\n{}",
        table.markdown()
    );
    let met = if ratio <= LIMIT { "met" } else { "missed" };
    let _ = writeln!(text, "\nThe median ratio must be at most {LIMIT} ×: {met}.");
    text
}

/// The medians of both compiles, and of the ratios.
fn medians(pairs: &[Pair]) -> (Pair, f64) {
    let of = |value: fn(&Pair) -> f64| median(pairs.iter().map(value).collect());
    (Pair { nine: of(|pair| pair.nine), xtask: of(|pair| pair.xtask) }, of(|pair| pair.ratio()))
}

/// The same as JSON.
pub fn json(pairs: &[Pair]) -> Value {
    let one = |pair: &Pair| json!({ "nine-seconds": pair.nine, "xtask-seconds": pair.xtask, "ratio": pair.ratio() });
    let (medians, ratio) = medians(pairs);
    json!({
        "pairs": pairs.iter().map(one).collect::<Vec<_>>(),
        "median": { "nine-seconds": medians.nine, "xtask-seconds": medians.xtask, "ratio": ratio },
        "limit": LIMIT,
        "met": ratio <= LIMIT,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ratio_decides() {
        let pairs = [(10.0, 30.0), (12.0, 18.0), (11.0, 22.0)];
        let pairs = pairs.map(|(nine, xtask)| Pair { nine, xtask });
        assert_eq!(json(&pairs)["median"]["ratio"], 2.0);
        let text = section(&pairs, "2026-01-02", "a machine");
        assert!(text.contains("| median | 11.0 s | 22.0 s | 2.00 × |"), "{text}");
        assert!(text.ends_with("at most 2 ×: met.\n"), "{text}");
        let text = section(&pairs[..1], "2026-01-02", "a machine");
        assert!(text.ends_with("missed.\n"), "{text}");
    }
}

//! This machine and this checkout, judged for `doctor`: can a build here be fast, and may it publish.

use crate::model::facts::{Engine, Facts};
use crate::model::quantity::bytes;
use crate::model::tier::{GhaInert, Seen};
use crate::plan::builder;

use super::{Finding, Level};

/// What is tried out for `doctor` and stands in no facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Probes {
    /// Where the engine keeps its data, and how full the disk is.
    pub disk: Option<Disk>,
    /// Whether an upload may be begun; `None` when no repository is known.
    pub push: Option<Push>,
    /// Seconds that the registry's clock is ahead of this one.
    pub clock_ahead: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub folder: String,
    pub free: u64,
    pub used_percent: u64,
}

/// What became of an upload that was begun and given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    Allowed,
    Denied { message: String },
    Unknown { message: String },
}

/// Below this many bytes a build is likely to fill the disk.
const LITTLE: u64 = 5_000_000_000;

/// Seconds by which tokens begin to be refused.
const SKEW: i64 = 60;

/// Judges the machine.
pub fn machine(facts: &Facts, probes: &Probes) -> Vec<Finding> {
    let mut findings = engine(facts);
    findings.extend(probes.disk.as_ref().map(disk));
    if probes.disk.is_none() {
        findings.push(Finding::new("disk", "disk", Level::Skip, "`df` does not tell"));
    }
    findings.extend(git(facts));
    findings.extend(credentials(facts, probes));
    findings.extend(probes.clock_ahead.map(clock));
    findings.push(actions(facts));
    findings
}

fn engine(facts: &Facts) -> Vec<Finding> {
    if let Some(problem) = builder::problem(&facts.engine) {
        let remedy = problem.hint.clone().unwrap_or_default();
        return vec![Finding::new("engine", "engine", Level::Fail, problem.message).remedy(remedy)];
    }
    let Engine::Ready { buildx, builders } = &facts.engine else { return Vec::new() };
    let exports = |level, detail: String| Finding::new("engine", "exports", level, detail);
    let current = match builders.iter().find(|builder| builder.current) {
        Some(builder)
            if builder.driver == "docker"
                && !builder.nodes.iter().all(|node| node.containerd_store) =>
        {
            let detail = format!(
                "`{}` cannot export a cache: its images are not in containerd's store; push will \
                 create a builder",
                builder.name
            );
            exports(Level::Warn, detail)
                .remedy("docker buildx create --driver docker-container --use")
        }
        Some(builder) => exports(
            Level::Pass,
            format!("`{}` ({}) can export a cache", builder.name, builder.driver),
        ),
        None => exports(Level::Warn, "there is no current builder".to_owned())
            .remedy("docker buildx use default"),
    };
    vec![Finding::new("engine", "buildx", Level::Pass, buildx.clone()), current]
}

fn disk(disk: &Disk) -> Finding {
    let Disk { folder, free, used_percent } = disk;
    let detail = format!("{} free, {used_percent} % used in {folder}", bytes(*free));
    let level = if *free < LITTLE { Level::Fail } else { Level::Pass };
    Finding::new("disk", "disk", level, detail)
        .remedy("docker buildx prune --all && docker image prune --all")
}

fn git(facts: &Facts) -> Vec<Finding> {
    let Some(git) = &facts.git else {
        let none = Finding::new("git", "commit", Level::Fail, "there is no commit");
        return vec![none.remedy("git commit")];
    };
    let depth = if git.shallow {
        let detail = "a shallow clone: nobody can tell which commit is newer";
        Finding::new("git", "depth", Level::Fail, detail)
            .remedy("git fetch --unshallow origin; in a job `fetch-depth: 0`")
    } else {
        Finding::new("git", "depth", Level::Pass, "the whole history is here")
    };
    let clean = match git.dirty.len() {
        0 => Finding::new("git", "clean", Level::Pass, "nothing is changed"),
        count => {
            let detail = format!("{count} files are changed; push will refuse");
            Finding::new("git", "clean", Level::Warn, detail).remedy("git commit")
        }
    };
    vec![depth, clean]
}

/// What the credentials allow, tested and not guessed.
fn credentials(facts: &Facts, probes: &Probes) -> Option<Finding> {
    let registry = facts.registry();
    let new = |level, detail: String| Finding::new(registry.to_string(), "may push", level, detail);
    Some(match probes.push.as_ref()? {
        Push::Allowed => new(Level::Pass, "an upload was begun and given up".to_owned()),
        Push::Denied { message } => new(Level::Fail, message.clone())
            .remedy(format!("docker login {registry}; in a job `permissions: packages: write`")),
        Push::Unknown { message } => new(Level::Unknown, message.clone())
            .remedy("check the network, then: cargo xtask doctor"),
    })
}

fn clock(ahead: i64) -> Finding {
    let seconds = ahead.unsigned_abs();
    if ahead.abs() <= SKEW {
        return Finding::new(
            "clock",
            "clock",
            Level::Pass,
            format!("within {seconds} s of the registry's"),
        );
    }
    let word = if ahead > 0 { "behind" } else { "ahead of" };
    let detail = format!("{seconds} s {word} the registry's: tokens will be refused");
    Finding::new("clock", "clock", Level::Fail, detail).remedy("timedatectl set-ntp true")
}

/// What GitHub gave for the Actions cache.
fn actions(facts: &Facts) -> Finding {
    let new = |level, detail: String| Finding::new("actions cache", "token", level, detail);
    let inert = facts.tiers.values().flatten().find_map(|look| match &look.seen {
        Seen::GhaInert { why } => Some(why),
        _ => None,
    });
    match inert {
        None => new(Level::Pass, "the service takes it".to_owned()),
        Some(GhaInert::NoToken | GhaInert::NoUrl) if facts.environment.github.is_none() => {
            new(Level::Skip, "this is no GitHub job".to_owned())
        }
        Some(why) => new(Level::Fail, crate::plan::cache::inert(why))
            .remedy("use the local action .github/actions/actions-cache before this step"),
    }
}

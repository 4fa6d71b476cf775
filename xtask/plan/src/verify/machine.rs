//! This machine and this checkout, judged for `doctor`: can a build here be fast, and may it publish.

use crate::build::{self, BuildOptions};
use crate::builder;
use crate::selection::select;
use xtask_model::channel::Channel;
use xtask_model::facts::{Builder, Engine, Facts};
use xtask_model::failure::Failure;
use xtask_model::platform::Platform;
use xtask_model::quantity::bytes;
use xtask_model::service::ServiceName;
use xtask_model::tier::{CacheTier, GhaInert, Seen};

use super::{Finding, Level};

/// What is tried out for `doctor` and stands in no facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Probes {
    /// Where the engine keeps its data, and how full the disk is.
    pub disk: Option<Disk>,
    /// Whether an upload may be begun for each service; empty when no repository is known.
    pub pushes: Vec<(ServiceName, Push)>,
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
    /// There are no credentials, or they are not accepted.
    NotLoggedIn {
        message: String,
    },
    /// The credentials are accepted and do not reach this package.
    Denied {
        message: String,
    },
    Unknown {
        message: String,
    },
    /// A dry run begins nothing.
    NotTried,
}

/// Below this many bytes a build is likely to fill the disk.
const LITTLE: u64 = 5_000_000_000;

/// Seconds by which tokens begin to be refused.
const SKEW: i64 = 60;

/// Judges the machine; `asked` is `--builder`.
pub fn machine(facts: &Facts, probes: &Probes, asked: Option<&str>) -> Vec<Finding> {
    let mut findings = engine(facts, asked);
    findings.push(
        probes
            .disk
            .as_ref()
            .map_or_else(|| Finding::new("disk", "disk", Level::Skip, "`df` does not tell"), disk),
    );
    findings.extend(git(facts));
    findings.extend(credentials(facts, probes));
    findings.push(clock(facts, probes.clock_ahead));
    findings.push(actions(facts));
    findings
}

/// The builder that a push would take, and what it could not do.
fn engine(facts: &Facts, asked: Option<&str>) -> Vec<Finding> {
    let failed = |failure: Failure| {
        let finding = Finding::new("engine", "engine", Level::Fail, failure.message);
        let hint = failure.hint.unwrap_or_default();
        let is_command = ["docker ", "apt-get "].iter().any(|start| hint.starts_with(start));
        if is_command && !hint.contains(", ") { finding.remedy(hint) } else { finding.hint(hint) }
    };
    if let Some(problem) = builder::problem(&facts.engine) {
        return vec![failed(problem)];
    }
    let Engine::Ready { buildx, builders } = &facts.engine else { return Vec::new() };
    let mut findings = vec![Finding::new("engine", "buildx", Level::Pass, buildx.clone())];
    findings.extend(platforms(facts, builders));
    let options = BuildOptions { builder: asked.map(str::to_owned), ..BuildOptions::default() };
    let chosen = select(facts, &[])
        .and_then(|selection| build::chosen_builder(facts, &options, Channel::Dev, &selection));
    let chosen = match chosen {
        Ok(chosen) => chosen,
        Err(failure) => {
            findings.push(failed(failure));
            return findings;
        }
    };
    let exports = |level, detail: String| Finding::new("engine", "exports", level, detail);
    let (name, reason) = (&chosen.choice.value, &chosen.choice.reason);
    findings.push(match &chosen.create {
        Some(create) => exports(Level::Warn, format!("push will create `{name}`: {reason}"))
            .remedy(format!("{create} --use")),
        None => exports(
            Level::Pass,
            format!(
                "`{name}` ({}) can export a cache, attestations and all platforms",
                chosen.driver
            ),
        ),
    });
    let nodes = builders.iter().filter(|builder| builder.name == *name);
    let broken = nodes.flat_map(|builder| &builder.nodes).find(|node| {
        node.buildkit.as_deref().map(|version| version.trim_start_matches('v')) == Some(BROKEN)
    });
    findings.extend(broken.map(|node| {
        let detail = format!("`{}` has BuildKit {BROKEN}, whose exports can fail", node.name);
        Finding::new("engine", "buildkit", Level::Warn, detail)
            .remedy(format!("docker buildx rm {name}"))
            .hint("the next push creates it anew with the newest BuildKit")
    }));
    findings
}

/// Configured platforms that no builder here tells of.
fn platforms(facts: &Facts, builders: &[Builder]) -> Option<Finding> {
    let of_services = facts.config.services.values().flat_map(|own| own.platforms.iter().flatten());
    let nodes = || builders.iter().flat_map(|builder| &builder.nodes);
    // A builder that has not started yet does not tell its platforms.
    if nodes().any(|node| node.platforms.is_empty()) {
        return None;
    }
    let can = |platform: &Platform| nodes().any(|node| node.platforms.contains(platform));
    let missing =
        facts.config.platforms.iter().chain(of_services).find(|platform| !can(platform))?;
    let detail = format!("no builder here can build for {missing}, which is configured");
    let emulation = "docker run --privileged --rm tonistiigi/binfmt --install all";
    Some(Finding::new("engine", "platforms", Level::Fail, detail).remedy(emulation))
}

/// The version of BuildKit with bugs in its exports, which 0.25.1 mends.
const BROKEN: &str = "0.25.0";

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
            .remedy("git fetch --unshallow origin")
            .hint("in a job: `fetch-depth: 0`")
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

/// What the credentials allow, tested and not guessed: one finding for all services that are alike.
fn credentials(facts: &Facts, probes: &Probes) -> Vec<Finding> {
    let registry = facts.registry();
    let about =
        |subject: String, level, detail: String| Finding::new(subject, "may push", level, detail);
    if probes.pushes.is_empty() {
        let detail = "no repository is known, or there is no service";
        return vec![about(registry.to_string(), Level::Skip, detail.to_owned())];
    }
    let mut findings: Vec<Finding> = Vec::new();
    for (service, push) in &probes.pushes {
        let all = || registry.to_string();
        let finding = match push {
            Push::Allowed => {
                about(all(), Level::Pass, "an upload was begun and given up".to_owned())
            }
            Push::NotTried => about(all(), Level::Skip, "a dry run begins no upload".to_owned()),
            Push::NotLoggedIn { message } => about(all(), Level::Fail, message.clone())
                .remedy(format!("docker login {registry}"))
                .hint(IN_A_JOB),
            Push::Denied { message } => {
                let finding = about(service.to_string(), Level::Fail, message.clone())
                    .remedy(format!("docker login {registry}"));
                finding.hint(denied(facts, service))
            }
            Push::Unknown { message } => about(all(), Level::Unknown, message.clone())
                .remedy("cargo xtask doctor")
                .hint("check the network"),
        };
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}

const IN_A_JOB: &str = "in a job: `permissions: packages: write`";

/// Why credentials that are accepted may not reach a package: they may only read, or the package was made
/// elsewhere and the repository has no access to it.
fn denied(facts: &Facts, service: &ServiceName) -> String {
    let settings = facts.repository().and_then(|(repository, _)| {
        let (owner, name) = repository.as_str().split_once('/')?;
        Some(format!(
            "https://github.com/users/{owner}/packages/container/{name}%2F{service}/settings"
        ))
    });
    let settings = settings.unwrap_or_default();
    format!(
        "{IN_A_JOB}; if it has that, the package is not linked to this repository: \
         \"Manage Actions access\" at {settings}"
    )
}

fn clock(facts: &Facts, ahead: Option<i64>) -> Finding {
    let finding = |level, detail: String| Finding::new("clock", "clock", level, detail);
    let Some(ahead) = ahead else {
        let detail = format!("{} does not tell its time", facts.registry());
        return finding(Level::Unknown, detail).remedy("cargo xtask doctor");
    };
    let seconds = ahead.unsigned_abs();
    if ahead.abs() <= SKEW {
        return finding(Level::Pass, format!("within {seconds} s of the registry's"));
    }
    let word = if ahead > 0 { "behind" } else { "ahead of" };
    let detail = format!("{seconds} s {word} the registry's: tokens will be refused");
    finding(Level::Fail, detail).remedy("timedatectl set-ntp true")
}

/// What GitHub gave for the Actions cache: the worst that was seen for any service.
fn actions(facts: &Facts) -> Finding {
    let looks = facts.tiers.values().flatten().filter(|look| look.tier == CacheTier::Gha);
    let findings = looks.map(|look| token(facts, &look.seen));
    findings.max_by_key(|finding| finding.level).unwrap_or_else(|| {
        Finding::new("actions cache", "token", Level::Skip, "there is no service to look for")
    })
}

fn token(facts: &Facts, seen: &Seen) -> Finding {
    let new = |level, detail: String| Finding::new("actions cache", "token", level, detail);
    let action = "use the local action .github/actions/actions-cache before this step";
    match seen {
        Seen::GhaUsable { can_write: true, .. } => {
            new(Level::Pass, "the service takes it, to read and to write".to_owned())
        }
        // As in a pull request from a fork.
        Seen::GhaUsable { .. } => new(Level::Skip, "the service takes it, to read only".to_owned()),
        Seen::GhaInert { why: GhaInert::NoToken | GhaInert::NoUrl }
            if facts.environment.github.is_none() =>
        {
            new(Level::Skip, "this is no GitHub job".to_owned())
        }
        Seen::GhaInert { why } => new(Level::Fail, crate::cache::inert(why)).hint(action),
        Seen::Denied { message } => new(Level::Fail, message.clone()).hint(action),
        Seen::Failed { message } => {
            new(Level::Unknown, message.clone()).remedy("cargo xtask cache status")
        }
        Seen::Hung { after_seconds } => {
            new(Level::Unknown, format!("the service did not answer within {after_seconds:.0} s"))
                .remedy("cargo xtask cache status")
        }
        _ => new(Level::Unknown, "the service was not asked".to_owned())
            .remedy("cargo xtask cache status"),
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

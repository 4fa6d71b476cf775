//! Judges this machine and this checkout for `doctor`: can a build here be fast, and may it publish?

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

use crate::finding::{Finding, Level};

/// What `doctor` tries out in addition to the facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Probes {
    /// The disk that holds the engine's data.
    pub disk: Option<Disk>,
    /// The result of a test upload for each service; empty if no repository is known.
    pub pushes: Vec<(ServiceName, PushProbe)>,
    /// Seconds that the registry's clock is ahead of this machine's.
    pub clock_ahead: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub folder: String,
    pub free: u64,
    pub used_percent: u64,
}

/// The result of an upload that `doctor` started and abandoned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushProbe {
    Allowed,
    /// There are no credentials, or the registry rejects them.
    NotLoggedIn {
        message: String,
    },
    /// The credentials are valid but do not allow a push to this package.
    Denied {
        message: String,
    },
    Unknown {
        message: String,
    },
    /// A dry run starts no upload.
    NotTried,
}

/// With less free space a build is likely to fill the disk.
const MINIMUM_FREE: u64 = 5_000_000_000;

/// A clock that is off by more seconds makes the registry reject tokens.
const MAXIMUM_SKEW: i64 = 60;

/// All findings about the machine; `asked` is `--builder`.
pub fn machine(facts: &Facts, probes: &Probes, asked: Option<&str>) -> Vec<Finding> {
    let mut findings = engine(facts, asked);
    findings.push(
        probes
            .disk
            .as_ref()
            .map_or_else(|| Finding::new("disk", "disk", Level::Skip, "`df` gave no answer"), disk),
    );
    findings.extend(git(facts));
    findings.extend(credentials(facts, probes));
    findings.push(clock(facts, probes.clock_ahead));
    findings.push(actions(facts));
    findings
}

/// The builder that a push would use, and what it lacks.
fn engine(facts: &Facts, asked: Option<&str>) -> Vec<Finding> {
    let failed = |failure: Failure| Finding::of_failure("engine", "engine", Level::Fail, failure);
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
                "`{name}` ({}) supports cache export, attestations and all platforms",
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
            .hint("the next push recreates it with the newest BuildKit")
    }));
    findings
}

/// A configured platform that no builder here supports.
fn platforms(facts: &Facts, builders: &[Builder]) -> Option<Finding> {
    let of_services = facts.config.services.values().flat_map(|own| own.platforms.iter().flatten());
    let nodes = || builders.iter().flat_map(|builder| &builder.nodes);
    // A builder that has not started yet does not list its platforms.
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

/// The version of BuildKit whose cache export has bugs; 0.25.1 fixes them.
const BROKEN: &str = "0.25.0";

fn disk(disk: &Disk) -> Finding {
    let Disk { folder, free, used_percent } = disk;
    let detail = format!("{} free in {folder}, {used_percent} % used", bytes(*free));
    if *free >= MINIMUM_FREE {
        return Finding::new("disk", "disk", Level::Pass, detail);
    }
    Finding::new("disk", "disk", Level::Fail, detail)
        .remedy("docker buildx prune --all && docker image prune --all")
}

fn git(facts: &Facts) -> Vec<Finding> {
    let Some(git) = &facts.git else {
        let none = Finding::new("git", "commit", Level::Fail, "there are no commits");
        return vec![none.remedy("git commit")];
    };
    let depth = if git.shallow {
        let detail = "shallow clone: the order of commits is unknown";
        Finding::new("git", "depth", Level::Fail, detail)
            .remedy("git fetch --unshallow origin")
            .hint("in a job: `fetch-depth: 0`")
    } else {
        Finding::new("git", "depth", Level::Pass, "full history")
    };
    let clean = match git.dirty.len() {
        0 => Finding::new("git", "clean", Level::Pass, "no uncommitted changes"),
        count => {
            let detail = format!("uncommitted files: {count}; push will refuse");
            Finding::new("git", "clean", Level::Warn, detail).remedy("git commit")
        }
    };
    vec![depth, clean]
}

/// What the credentials allow, by test uploads: one finding for all services with the same result.
fn credentials(facts: &Facts, probes: &Probes) -> Vec<Finding> {
    let registry = facts.registry();
    let about =
        |subject: String, level, detail: String| Finding::new(subject, "may push", level, detail);
    if probes.pushes.is_empty() {
        let detail = "no repository or no services are known";
        return vec![about(registry.to_string(), Level::Skip, detail.to_owned())];
    }
    let mut findings: Vec<Finding> = Vec::new();
    for (service, push) in &probes.pushes {
        let all = || registry.to_string();
        let finding = match push {
            PushProbe::Allowed => {
                about(all(), Level::Pass, "a test upload was accepted".to_owned())
            }
            PushProbe::NotTried => {
                about(all(), Level::Skip, "a dry run tries no upload".to_owned())
            }
            PushProbe::NotLoggedIn { message } => about(all(), Level::Fail, message.clone())
                .remedy(format!("docker login {registry}"))
                .hint(IN_A_JOB),
            PushProbe::Denied { message } => {
                let finding = about(service.to_string(), Level::Fail, message.clone())
                    .remedy(format!("docker login {registry}"));
                finding.hint(denied(facts, service))
            }
            PushProbe::Unknown { message } => about(all(), Level::Unknown, message.clone())
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

/// Why valid credentials may not push a package: they are read-only, or the package is not linked to this
/// repository.
fn denied(facts: &Facts, service: &ServiceName) -> String {
    let settings = facts.repository().and_then(|(repository, _)| {
        let (owner, name) = repository.as_str().split_once('/')?;
        Some(format!(
            "https://github.com/users/{owner}/packages/container/{name}%2F{service}/settings"
        ))
    });
    let settings = settings.unwrap_or_default();
    format!(
        "{IN_A_JOB}; if the job has that, link the package to this repository under \"Manage Actions \
         access\" at {settings}"
    )
}

fn clock(facts: &Facts, ahead: Option<i64>) -> Finding {
    let finding = |level, detail: String| Finding::new("clock", "clock", level, detail);
    let Some(ahead) = ahead else {
        let detail = format!("{} sends no date", facts.registry());
        return finding(Level::Unknown, detail).remedy("cargo xtask doctor");
    };
    let seconds = ahead.unsigned_abs();
    if ahead.abs() <= MAXIMUM_SKEW {
        return finding(Level::Pass, format!("within {seconds} s of the registry's clock"));
    }
    let word = if ahead > 0 { "behind" } else { "ahead of" };
    let detail =
        format!("{seconds} s {word} the registry's clock: the registry will reject tokens");
    finding(Level::Fail, detail).remedy("timedatectl set-ntp true")
}

/// The Actions cache: the worst result for any service.
fn actions(facts: &Facts) -> Finding {
    let looks = facts.tiers.values().flatten().filter(|look| look.tier == CacheTier::Gha);
    let findings = looks.map(|look| token(facts, &look.seen));
    findings.max_by_key(|finding| finding.level).unwrap_or_else(|| {
        Finding::new("actions cache", "token", Level::Skip, "there are no services")
    })
}

fn token(facts: &Facts, seen: &Seen) -> Finding {
    let new = |level, detail: String| Finding::new("actions cache", "token", level, detail);
    let action = "use the local action .github/actions/actions-cache before this step";
    match seen {
        Seen::GhaUsable { can_write: true, .. } => {
            new(Level::Pass, "valid, for reading and writing".to_owned())
        }
        // As in a pull request from a fork, for example.
        Seen::GhaUsable { .. } => new(Level::Skip, "valid, for reading only".to_owned()),
        Seen::GhaInert { why: GhaInert::NoToken | GhaInert::NoUrl }
            if facts.environment.github.is_none() =>
        {
            new(Level::Skip, "not a GitHub job".to_owned())
        }
        Seen::GhaInert { why } => new(Level::Fail, crate::cache::inert(why)).hint(action),
        Seen::Denied { message } => new(Level::Fail, message.clone()).hint(action),
        Seen::Failed { message } => {
            new(Level::Unknown, message.clone()).remedy("cargo xtask cache status")
        }
        Seen::Hung { after_seconds } => {
            new(Level::Unknown, format!("no answer within {after_seconds:.0} s"))
                .remedy("cargo xtask cache status")
        }
        _ => new(Level::Unknown, "not checked".to_owned()).remedy("cargo xtask cache status"),
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::{Builder, BuilderNode, GitHub};
    use crate::model::service::ServiceName;
    use crate::model::tier::{CacheTier, TierLook};
    use crate::plan::verify::tests::facts;

    fn probes() -> Probes {
        let disk = Disk { folder: "/d".to_owned(), free: 50_000_000_000, used_percent: 40 };
        Probes { disk: Some(disk), push: Some(Push::Allowed), clock_ahead: Some(-3) }
    }

    /// What is said of one subject, as `level: detail → remedy`.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Facts, &mut Probes), about: &str, expected: &str) {
        let (mut facts, mut probes) = (facts(""), probes());
        change(&mut facts, &mut probes);
        let found = machine(&facts, &probes);
        let one = found.iter().find(|one| one.check == about);
        let shown = one.map(|one| {
            let remedy = one.remedy.as_deref().filter(|_| one.level > Level::Skip);
            let remedy = remedy.map(|text| format!(" → {text}")).unwrap_or_default();
            format!("{:?}: {}{remedy}", one.level, one.detail)
        });
        assert_eq!(shown.as_deref(), Some(expected), "{found:#?}");
    }

    #[test]
    fn a_disk_is_full_below_five_gigabytes_and_skipped_where_nobody_tells() {
        check(|_, _| {}, "disk", "Pass: 50.0 GB free, 40 % used in /d");
        let prune = "docker buildx prune --all && docker image prune --all";
        check(
            |_, probes| probes.disk.as_mut().unwrap().free = 4_900_000_000,
            "disk",
            &format!("Fail: 4.90 GB free, 40 % used in /d → {prune}"),
        );
        check(|_, probes| probes.disk = None, "disk", "Skip: `df` does not tell");
    }

    #[test]
    fn a_push_that_is_denied_is_told_with_its_permission_and_one_not_tried_is_unknown() {
        check(|_, _| {}, "may push", "Pass: an upload was begun and given up");
        check(
            |_, probes| probes.push = Some(Push::Denied { message: "no write".to_owned() }),
            "may push",
            "Fail: no write → docker login ghcr.io; in a job `permissions: packages: write`",
        );
        check(
            |_, probes| probes.push = Some(Push::Unknown { message: "no route".to_owned() }),
            "may push",
            "Unknown: no route → check the network, then: cargo xtask doctor",
        );
    }

    #[test]
    fn a_clock_may_differ_by_a_minute() {
        check(
            |_, probes| probes.clock_ahead = Some(60),
            "clock",
            "Pass: within 60 s of the registry's",
        );
        let refused = "the registry's: tokens will be refused → timedatectl set-ntp true";
        let (behind, ahead) =
            (format!("Fail: 61 s behind {refused}"), format!("Fail: 90 s ahead of {refused}"));
        check(|_, probes| probes.clock_ahead = Some(61), "clock", &behind);
        check(|_, probes| probes.clock_ahead = Some(-90), "clock", &ahead);
    }

    #[test]
    fn a_shallow_clone_and_changed_files_are_told() {
        check(|_, _| {}, "depth", "Pass: the whole history is here");
        check(
            |facts, _| facts.git.as_mut().unwrap().shallow = true,
            "depth",
            "Fail: a shallow clone: nobody can tell which commit is newer → git fetch --unshallow \
             origin; in a job `fetch-depth: 0`",
        );
        check(
            |facts, _| facts.git.as_mut().unwrap().dirty = vec!["a".to_owned(), "b".to_owned()],
            "clean",
            "Warn: 2 files are changed; push will refuse → git commit",
        );
        check(|facts, _| facts.git = None, "commit", "Fail: there is no commit → git commit");
    }

    fn ready(driver: &str, containerd_store: bool) -> Engine {
        let node = BuilderNode {
            name: "b0".to_owned(),
            status: "running".to_owned(),
            error: None,
            buildkit: None,
            platforms: Vec::new(),
            containerd_store,
        };
        let builder = Builder {
            name: "b".to_owned(),
            driver: driver.to_owned(),
            current: true,
            nodes: vec![node],
        };
        Engine::Ready { buildx: "0.29.1".to_owned(), builders: vec![builder] }
    }

    #[test]
    fn a_builder_without_containerds_store_cannot_export_a_cache() {
        check(
            |facts, _| facts.engine = ready("docker", false),
            "exports",
            "Warn: `b` cannot export a cache: its images are not in containerd's store; push will \
             create a builder → docker buildx create --driver docker-container --use",
        );
        let can = "Pass: `b` (docker) can export a cache";
        check(|facts, _| facts.engine = ready("docker", true), "exports", can);
        let can = "Pass: `b` (docker-container) can export a cache";
        check(|facts, _| facts.engine = ready("docker-container", false), "exports", can);
    }

    #[test]
    fn the_actions_cache_is_missed_in_a_job_only() {
        let inert = |facts: &mut Facts| {
            let service: ServiceName = "web".parse().unwrap();
            let seen = Seen::GhaInert { why: GhaInert::NoToken };
            let tier = CacheTier::Gha;
            let look =
                TierLook { service: service.clone(), tier, reference: None, seen, seconds: 0.0 };
            facts.tiers = [(service, vec![look])].into();
        };
        check(|facts, _| inert(facts), "token", "Skip: this is no GitHub job");
        check(
            |facts, _| {
                inert(facts);
                facts.environment.github = Some(GitHub {
                    event: "push".to_owned(),
                    reference: "refs/heads/dev".to_owned(),
                    server_url: "https://github.com".to_owned(),
                });
            },
            "token",
            "Fail: no `ACTIONS_RUNTIME_TOKEN`: GitHub gives it to actions, not to `run:` steps → use \
             the local action .github/actions/actions-cache before this step",
        );
        check(|_, _| {}, "token", "Pass: the service takes it");
    }
}

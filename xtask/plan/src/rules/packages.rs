//! Rules about package managers: what they leave in a layer, and what they install from.

use xtask_model::dockerfile::shell::Command;

use super::view::{Step, View, absolute, is_below};
use super::{Found, Rule};

const APT: [&str; 2] = ["apt-get", "apt"];
const DNF: [&str; 4] = ["dnf", "microdnf", "tdnf", "yum"];

/// Where a command stands that is one of `programs` with one of `verbs`.
fn position(step: &Step<'_>, programs: &[&str], verbs: &[&str]) -> Option<usize> {
    step.commands.iter().position(|command| is(command, programs, verbs))
}

fn is(command: &Command, programs: &[&str], verbs: &[&str]) -> bool {
    programs.contains(&command.program()) && command.operands().any(|word| verbs.contains(&word))
}

/// Whether a command after the one at `position` removes `path` or all that is in it.
fn removed_after(step: &Step<'_>, position: usize, path: &str) -> bool {
    let later = step.commands_with_folders().into_iter().skip(position + 1);
    later.filter(|(command, _)| command.program() == "rm").any(|(command, folder)| {
        command.operands().any(|word| {
            let removed = absolute(&folder, word.trim_end_matches('*'));
            removed != "/" && is_below(path, &removed)
        })
    })
}

/// One finding for each `RUN` that `judge` has something to say about.
fn each_run(
    view: &View<'_>,
    judge: impl Fn(&Step<'_>) -> Option<(&'static str, &'static str)>,
) -> Vec<Found> {
    let of = |step: &Step<'_>| {
        let (detail, remedy) = judge(step)?;
        Some(Found::new(step.line(), detail, remedy))
    };
    view.runs().filter_map(of).collect()
}

pub const STALE_LISTS: Rule = Rule {
    name: "stale-lists",
    why: "lists of packages in a layer of their own come from the cache, and name versions that are \
          gone",
    find: stale_lists,
};

fn stale_lists(view: &View<'_>) -> Vec<Found> {
    const REMEDY: &str = "write `RUN apt-get update && apt-get install …` as one step";
    each_run(view, |step| {
        let update = position(step, &APT, &["update"]);
        let install = position(step, &APT, &["install", "upgrade", "dist-upgrade", "build-dep"]);
        match (update, install) {
            (None, Some(_)) => {
                Some(("it installs from lists that another layer, or none, has", REMEDY))
            }
            (Some(update), Some(install)) if install < update => {
                Some(("it installs before it updates the lists", REMEDY))
            }
            (Some(_), None) => {
                Some(("its lists are of the day on which this layer was built", REMEDY))
            }
            _ => None,
        }
    })
}

pub const PACKAGE_LISTS: Rule = Rule {
    name: "package-lists",
    why: "the lists of apt are some twenty megabytes that no container needs",
    find: package_lists,
};

fn package_lists(view: &View<'_>) -> Vec<Found> {
    const LISTS: &str = "/var/lib/apt/lists";
    each_run(view, |step| {
        let update = position(step, &APT, &["update"])?;
        let gone = step.leaves_nothing_at(LISTS) || removed_after(step, update, LISTS);
        (!gone).then_some((
            "the package lists stay in the layer",
            "end the step with `&& rm -rf /var/lib/apt/lists/*`, or mount a cache there",
        ))
    })
}

pub const RECOMMENDED_PACKAGES: Rule = Rule {
    name: "recommended-packages",
    why: "without `--no-install-recommends` apt installs what nobody asked for, often as much again",
    find: recommended_packages,
};

fn recommended_packages(view: &View<'_>) -> Vec<Found> {
    each_run(view, |step| {
        let without = |command: &Command| {
            let setting = |word: &String| word.contains("APT::Install-Recommends=");
            command.has(&["--no-install-recommends"]) || command.arguments().iter().any(setting)
        };
        let mut installs = step.commands.iter().filter(|command| is(command, &APT, &["install"]));
        installs.any(|command| !without(command)).then_some((
            "it installs recommended packages too",
            "write `apt-get install --no-install-recommends …`, and name what is missed",
        ))
    })
}

pub const APK_CACHE: Rule = Rule {
    name: "apk-cache",
    why: "`apk add` keeps its index in the layer unless it is told not to",
    find: apk_cache,
};

fn apk_cache(view: &View<'_>) -> Vec<Found> {
    const INDEX: &str = "/var/cache/apk";
    each_run(view, |step| {
        let add = position(step, &["apk"], &["add"])?;
        let without = step.commands.iter().filter(|command| is(command, &["apk"], &["add"]));
        let gone = without.clone().all(|command| command.has(&["--no-cache"]))
            || step.leaves_nothing_at(INDEX)
            || step.leaves_nothing_at("/etc/apk/cache")
            || removed_after(step, add, INDEX);
        (!gone)
            .then_some(("the index of packages stays in the layer", "write `apk add --no-cache …`"))
    })
}

pub const DNF_CACHE: Rule = Rule {
    name: "dnf-cache",
    why: "dnf and yum keep their metadata in the layer until `clean all`",
    find: dnf_cache,
};

fn dnf_cache(view: &View<'_>) -> Vec<Found> {
    const CACHES: [&str; 4] =
        ["/var/cache/dnf", "/var/cache/libdnf5", "/var/cache/yum", "/var/cache/tdnf"];
    each_run(view, |step| {
        let install = position(step, &DNF, &["install", "update", "upgrade", "groupinstall"])?;
        let cleaned = position(step, &DNF, &["clean"]).is_some_and(|clean| clean > install);
        let gone = cleaned
            || CACHES
                .iter()
                .any(|cache| step.leaves_nothing_at(cache) || removed_after(step, install, cache));
        (!gone)
            .then_some(("the metadata stays in the layer", "end the step with `&& dnf clean all`"))
    })
}

pub const PIP_CACHE: Rule = Rule {
    name: "pip-cache",
    why: "pip keeps every archive that it installed from",
    find: pip_cache,
};

fn pip_cache(view: &View<'_>) -> Vec<Found> {
    const CACHE: &str = "/root/.cache/pip";
    const SETTING: &str = "PIP_NO_CACHE_DIR";
    each_run(view, |step| {
        let is_pip = |command: &&Command| {
            let words: Vec<&str> = command.operands().collect();
            match command.program() {
                "pip" | "pip3" => words.first() == Some(&"install"),
                program if program.starts_with("python") => words.starts_with(&["pip", "install"]),
                _ => false,
            }
        };
        let on = |value: &str| !matches!(value, "" | "0" | "false" | "off" | "no");
        let keeps = |command: &Command| {
            let assigned = command.assignments.iter().filter_map(|text| text.split_once('='));
            let inline = assigned.filter(|(name, _)| *name == SETTING).any(|(_, value)| on(value));
            !inline && !command.has(&["--no-cache-dir"])
        };
        let install = step.commands.iter().position(|command| is_pip(&command))?;
        let mut installs = step.commands.iter().filter(is_pip);
        let gone = step.variables.get(SETTING).is_some_and(|value| on(value))
            || step.leaves_nothing_at(CACHE)
            || step.mounted(&["cache"]).iter().any(|mount| mount.ends_with("/pip"))
            || removed_after(step, install, CACHE)
            || !installs.any(keeps);
        (!gone).then_some((
            "pip's cache stays in the layer",
            "write `pip install --no-cache-dir …`, or mount a cache at /root/.cache/pip",
        ))
    })
}

pub const NPM_CACHE: Rule = Rule {
    name: "npm-cache",
    why: "npm and yarn keep every archive that they installed from",
    find: npm_cache,
};

fn npm_cache(view: &View<'_>) -> Vec<Found> {
    each_run(view, |step| {
        let npm = position(step, &["npm"], &["ci", "install", "i", "add"])
            .map(|at| (at, "npm", "/root/.npm"));
        let yarn = step.commands.iter().position(|command| {
            let first = command.operands().next();
            command.program() == "yarn" && matches!(first, None | Some("install" | "add"))
        });
        let yarn = yarn.map(|at| (at, "yarn", "/usr/local/share/.cache/yarn"));
        let keeps = |&(at, program, cache): &(usize, &str, &str)| {
            let cleaned = position(step, &[program], &["clean"]).is_some_and(|clean| clean > at);
            let mounts = step.mounted(&["cache", "tmpfs"]);
            let mounted = mounts.iter().any(|mount| mount.contains(program));
            !cleaned
                && !mounted
                && !step.leaves_nothing_at(cache)
                && !removed_after(step, at, cache)
        };
        npm.filter(keeps).or(yarn.filter(keeps)).map(|_| {
            (
                "the package manager's cache stays in the layer",
                "mount a cache at /root/.npm, or end the step with `&& npm cache clean --force`",
            )
        })
    })
}

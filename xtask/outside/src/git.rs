//! Reads the git checkout, and changes nothing in it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use xtask_model::config::Config;
use xtask_model::facts::{Git, Since};
use xtask_model::failure::Failure;
use xtask_model::invocation::Invocation;
use xtask_model::published::Relation;
use xtask_model::reference::{Repository, Tag};

use super::process::Runner;

/// Reads the checkout in the runner's folder; `None` when it is no git repository or has no commit.
///
/// All paths are relative to that folder, which may be below the top of the repository; what is outside is
/// ignored.
///
/// `services` is the folder whose subfolders' tree ids are wanted; `since` the revision of
/// `--changed-since`, which must exist.
pub fn read(runner: &Runner, services: &str, since: Option<&str>) -> Result<Option<Git>> {
    let head = runner.finish(&git(["log", "-1", "--format=%H%n%ct%n%D", "--decorate=full"]))?;
    if !head.success() {
        if let Some(name) = since {
            let failure =
                Failure::usage(format!("no commit yet, so nothing to compare with `{name}`"));
            return Err(failure.hint("git log -1").into());
        }
        return Ok(None);
    }
    let mut lines = head.stdout.lines();
    let revision = lines.next().unwrap_or_default().to_owned();
    let time = lines.next().unwrap_or_default().parse().context("git printed no commit time")?;
    let tags = tags(lines.next().unwrap_or_default());
    let (remote, place, dirty, trees, since) = std::thread::scope(|scope| {
        let remote = scope.spawn(|| runner.finish(&git(["remote", "get-url", "origin"])));
        let place = scope.spawn(|| {
            runner.output(&git(["rev-parse", "--is-shallow-repository", "--show-prefix"]))
        });
        let trees =
            scope.spawn(|| runner.output(&git(["ls-tree", "HEAD", &format!("{services}/")])));
        let since = scope.spawn(|| since.map(|name| changed_since(runner, name)).transpose());
        let dirty = runner.output(&git(["status", "--porcelain", "-z", "--no-renames", "--", "."]));
        (joined(remote), joined(place), dirty, joined(trees), joined(since))
    });
    let place = place??;
    let (shallow, prefix) = place.split_once('\n').unwrap_or((&place, ""));
    let below =
        |path: &str| path.strip_prefix(prefix.trim_end_matches('\n')).unwrap_or(path).to_owned();
    Ok(Some(Git {
        revision,
        time,
        tags,
        remote: remote_repository(remote??.stdout.trim()),
        shallow: shallow == "true",
        // Only `status` prints paths from the top.
        dirty: dirty?.split('\0').filter_map(|entry| entry.get(3..)).map(below).collect(),
        trees: tree_ids(&trees??),
        since: since??,
    }))
}

fn git<const N: usize>(arguments: [&str; N]) -> Invocation {
    // Without optional locks, `git status` never blocks that of an editor.
    Invocation::new("git", std::iter::once("--no-optional-locks").chain(arguments))
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> Result<T> {
    thread.join().map_err(|_| anyhow::anyhow!("a thread that read git stopped early"))
}

/// Tags of `%D` with full names: `HEAD -> refs/heads/main, tag: refs/tags/v1`.
fn tags(decorations: &str) -> Vec<String> {
    let tags = decorations.split(", ").filter_map(|name| name.strip_prefix("tag: refs/tags/"));
    tags.map(str::to_owned).collect()
}

/// `OWNER/REPO` of a remote's address, in any of git's forms.
fn remote_repository(address: &str) -> Option<Repository> {
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => address.split_once(':')?.1,
    };
    let path = path.trim_matches('/').trim_end_matches(".git");
    Repository::new(path.to_ascii_lowercase()).ok().filter(|r| r.as_str().contains('/'))
}

fn tree_ids(listing: &str) -> BTreeMap<String, String> {
    let entry = |line: &str| {
        let (meta, path) = line.split_once('\t')?;
        let mut meta = meta.split(' ');
        let is_tree = meta.nth(1)? == "tree";
        is_tree.then_some((path.to_owned(), meta.next()?.to_owned()))
    };
    listing.lines().filter_map(entry).collect()
}

fn changed_since(runner: &Runner, name: &str) -> Result<Since> {
    let verify = runner.finish(&git([
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &format!("{name}^{{commit}}"),
    ]))?;
    if !verify.success() {
        let failure = Failure::usage(format!("`--changed-since`: unknown commit `{name}`"));
        return Err(failure.hint(format!("git fetch origin {name}")).into());
    }
    let commit = verify.stdout.trim();
    let changed =
        runner.output(&git(["diff", "--name-only", "--relative", "--no-renames", "-z", commit]))?;
    let untracked = runner.output(&git(["ls-files", "--others", "--exclude-standard", "-z"]))?;
    let there = runner.finish(&git(["show", &format!("{commit}:./Cargo.toml")]))?;
    let split = |text: &str| -> Vec<String> {
        text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
    };
    Ok(Since {
        name: name.to_owned(),
        paths: split(&changed).into_iter().chain(split(&untracked)).collect(),
        config: there.success().then(|| Config::parse("Cargo.toml", &there.stdout).ok()).flatten(),
    })
}

/// How the commit `theirs` relates to `ours`. The mark of a dirty tree is ignored.
pub fn relation(runner: &Runner, theirs: &str, ours: &str) -> Result<Relation> {
    let bare = |revision: &str| revision.trim_end_matches("-dirty").to_owned();
    let (theirs, ours) = (bare(theirs), bare(ours));
    if theirs == ours {
        return Ok(Relation::Same);
    }
    // A label may contain any text, which git must not read as an option or an expression.
    if !is_hash(&theirs) {
        return Ok(Relation::Unknown);
    }
    let is_ancestor = |older: &str, newer: &str| -> Result<Option<i32>> {
        Ok(runner.finish(&git(["merge-base", "--is-ancestor", older, newer]))?.code)
    };
    Ok(match is_ancestor(&theirs, &ours)? {
        Some(0) => Relation::Older,
        Some(1) if is_ancestor(&ours, &theirs)? == Some(0) => Relation::Newer,
        Some(1) => Relation::Apart,
        _ => Relation::Unknown,
    })
}

/// How some commits relate to ours.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Successors {
    /// Those made on top of ours, the newest first.
    pub newer: Vec<String>,
    /// Those that this clone does not have.
    pub unknown: Vec<String>,
}

/// How each of `commits` relates to `ours`, as far as this clone has them.
pub fn successors(runner: &Runner, ours: &str, commits: &[String]) -> Result<Successors> {
    let hashes: Vec<&String> = commits.iter().filter(|commit| is_hash(commit)).collect();
    if hashes.is_empty() {
        return Ok(Successors::default());
    }
    let text: String = hashes.iter().flat_map(|commit| [commit.as_str(), "\n"]).collect();
    let call = git(["cat-file", "--batch-check=%(objectname)"]);
    let checked = runner.finish_with_input(&call, text.as_bytes())?.stdout;
    let unknown = checked.lines().filter_map(|line| line.strip_suffix(" missing"));
    let unknown = unknown.map(str::to_owned).collect();
    let ours = ours.trim_end_matches("-dirty");
    let call = git(["rev-list", "--topo-order", "--ancestry-path", "--ignore-missing", "--stdin"]);
    let listed = runner.finish_with_input(&call, format!("^{ours}\n{text}").as_bytes())?.stdout;
    let published = |line: &&str| hashes.iter().any(|commit| commit == line);
    let newer = listed.lines().filter(published).map(str::to_owned).collect();
    Ok(Successors { newer, unknown })
}

/// Fetches from `origin`, without asking for a password. Returns whether it could.
pub fn fetch(runner: &Runner) -> Result<bool> {
    let call = git(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "origin"]);
    let runner = runner.clone().with_variable("GIT_TERMINAL_PROMPT", "0");
    Ok(runner.finish(&call)?.success())
}

/// The last of `commits` before `revision` in its history.
pub fn newest_before(
    runner: &Runner,
    revision: &str,
    commits: &[String],
) -> Result<Option<String>> {
    let revision = revision.trim_end_matches("-dirty");
    if !is_hash(revision) || commits.is_empty() {
        return Ok(None);
    }
    // An image that is a thousand commits old is no comparison.
    let call = git(["rev-list", "--max-count=1000", "--skip=1", revision, "--"]);
    let listed = runner.finish(&call)?.stdout;
    let commits: std::collections::BTreeSet<&str> = commits.iter().map(String::as_str).collect();
    Ok(listed.lines().find(|line| commits.contains(line)).map(str::to_owned))
}

/// How many commits since `revision` touch a folder; `None` if git does not know.
pub fn touched(runner: &Runner, revision: &str, folder: &str) -> Result<Option<u64>> {
    let revision = revision.trim_end_matches("-dirty");
    if !is_hash(revision) {
        return Ok(None);
    }
    let range = format!("{revision}..HEAD");
    let counted = runner.finish(&git(["rev-list", "--count", &range, "--", folder]))?.stdout;
    Ok(counted.trim().parse().ok())
}

/// The files that differ between two trees; empty if this clone does not have both.
pub fn changed_files(runner: &Runner, before: &str, now: &str) -> Result<Vec<String>> {
    if !is_hash(before) || !is_hash(now) {
        return Ok(Vec::new());
    }
    let listed = runner.finish(&git(["diff", "--name-only", "--no-renames", "-z", before, now]))?;
    let paths = listed.stdout.split('\0').filter(|path| !path.is_empty());
    Ok(paths.map(str::to_owned).collect())
}

/// The tags `v…` of this clone that are versions, each with its commit.
pub fn releases(runner: &Runner) -> Result<BTreeMap<Tag, String>> {
    let format = "--format=%(refname:lstrip=2) %(objectname) %(*objectname)";
    let listed = runner.finish(&git(["for-each-ref", format, "refs/tags/v*"]))?.stdout;
    let release = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        semver::Version::parse(name.strip_prefix('v')?).ok()?;
        // An annotated tag is an object of its own, which names the commit last.
        Some((Tag::new(name).ok()?, words.next_back()?.to_owned()))
    };
    Ok(listed.lines().filter_map(release).collect())
}

/// The messages of the commits after `since`, the newest first; of all commits without it.
pub fn messages_since(runner: &Runner, since: Option<&str>) -> Result<Vec<String>> {
    let range = since.map_or("HEAD".to_owned(), |since| format!("{since}..HEAD"));
    let listed = runner.output(&git(["log", "--no-merges", "--format=%B%x00", &range, "--"]))?;
    let messages = listed.split('\0').map(str::trim).filter(|message| !message.is_empty());
    Ok(messages.map(str::to_owned).collect())
}

/// The commit that a hash or a full ref name points to, if it exists.
pub fn commit_of(runner: &Runner, name: &str) -> Result<Option<String>> {
    let peeled = format!("{name}^{{commit}}");
    let call = git(["rev-parse", "--verify", "--quiet", "--end-of-options", &peeled]);
    let finished = runner.finish(&call)?;
    Ok(finished.success().then(|| finished.stdout.trim().to_owned()))
}

/// Whether a commit is on one of the branches, here or at `origin`.
pub fn is_on_any(runner: &Runner, commit: &str, branches: &[String]) -> Result<bool> {
    for branch in branches {
        for name in [format!("refs/heads/{branch}"), format!("refs/remotes/origin/{branch}")] {
            let call = git(["merge-base", "--is-ancestor", commit, &name]);
            if runner.finish(&call)?.success() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A full hash: 40 digits, or 64 in a repository with SHA-256.
pub fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_remote_names_its_repository() {
        for address in [
            "https://github.com/Tzervas/autogit.git",
            "https://user@github.com/tzervas/autogit",
            "ssh://git@github.com:22/tzervas/autogit.git/",
            "git@github.com:tzervas/AutoGit.git",
        ] {
            let repository = remote_repository(address).map(|r| r.to_string());
            assert_eq!(repository.as_deref(), Some("tzervas/autogit"), "{address}");
        }
        assert_eq!(remote_repository(""), None);
        assert_eq!(remote_repository("/srv/git/autogit.git"), None);
    }

    #[test]
    fn tags_are_read_from_the_decorations() {
        let text = "HEAD -> refs/heads/dev, tag: refs/tags/v1.2.3, refs/remotes/origin/dev";
        assert_eq!(tags(text), ["v1.2.3"]);
        assert_eq!(tags("HEAD"), [""; 0]);
    }
}

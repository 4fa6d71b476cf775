//! The git tags of versions, here and at `origin`. A new one is created in both places or in none.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use semver::Version;

use xtask_model::failure::Failure;
use xtask_model::invocation::Invocation;

use super::process::Runner;

/// The identity of a tag that a GitHub job creates without its own: GitHub's bot account.
const BOT: [&str; 4] = [
    "-c",
    "user.name=github-actions[bot]",
    "-c",
    "user.email=41898282+github-actions[bot]@users.noreply.github.com",
];

/// The commit of each tag `v…` in this clone.
pub fn here(runner: &Runner) -> Result<BTreeMap<Version, String>> {
    // The third field is the commit of an annotated tag, and empty for a lightweight one.
    let format = "--format=%(refname:strip=2) %(objectname) %(*objectname)";
    let listed = runner.output(&git(&["for-each-ref", format, "refs/tags/v*"]))?;
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let version = version(words.next()?)?;
        Some((version, words.last()?.to_owned()))
    };
    Ok(listed.lines().filter_map(entry).collect())
}

/// Whether there is a remote `origin`.
pub fn has_origin(runner: &Runner) -> Result<bool> {
    Ok(runner.output(&git(&["remote"]))?.lines().any(|remote| remote == "origin"))
}

/// The same at `origin`, without asking for a password.
pub fn at_origin(runner: &Runner) -> Result<BTreeMap<Version, String>> {
    let runner = runner.clone().with_variable("GIT_TERMINAL_PROMPT", "0");
    let listed = runner.output(&git(&["ls-remote", "--tags", "origin", "refs/tags/v*"]))?;
    Ok(advertised(&listed))
}

/// Tags as a remote lists them. `^{}` marks the commit of the annotated tag before it.
fn advertised(listed: &str) -> BTreeMap<Version, String> {
    let entry = |line: &str| {
        let (commit, name) = line.split_once('\t')?;
        let tag = name.strip_prefix("refs/tags/")?;
        Some((version(tag.strip_suffix("^{}").unwrap_or(tag))?, commit.to_owned()))
    };
    listed.lines().filter_map(entry).collect()
}

fn version(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix('v')?).ok()
}

/// Creates the annotated tag `name` at `commit`, and pushes it if there is an `origin`. A tag that cannot
/// be pushed is deleted again.
pub fn create(runner: &Runner, name: &str, commit: &str, push: bool, in_job: bool) -> Result<()> {
    let identity: &[&str] = if has_identity(runner)? {
        &[]
    } else if in_job {
        &BOT
    } else {
        return Err(Failure::usage("git needs your name and address to create a tag")
            .hint("git config user.name NAME && git config user.email ADDRESS")
            .into());
    };
    let tag = ["tag", "--annotate", "--message", name, name, commit];
    runner.output(&git(&[identity, &tag].concat()))?;
    if push && let Err(error) = self::push(runner, name) {
        runner.clean_up(&git(&["tag", "--delete", name]))?;
        return Err(error);
    }
    Ok(())
}

/// Pushes a tag of this clone.
pub fn push(runner: &Runner, name: &str) -> Result<()> {
    let pushed = runner.output(&git(&["push", "--quiet", "origin", &format!("refs/tags/{name}")]));
    pushed
        .map(drop)
        .with_context(|| format!("the git tag `{name}` was not pushed, so nothing was published"))
}

fn has_identity(runner: &Runner) -> Result<bool> {
    Ok(runner.finish(&git(&["var", "GIT_COMMITTER_IDENT"]))?.success())
}

fn git(arguments: &[&str]) -> Invocation {
    Invocation::new("git", arguments.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with one commit, a bare `origin`, and no identity of its own.
    fn repository() -> (tempfile::TempDir, Runner, String) {
        let folder = tempfile::tempdir().unwrap();
        let runner = Runner::new(folder.path(), false)
            .with_variable("GIT_CONFIG_GLOBAL", "/dev/null")
            .with_variable("GIT_CONFIG_SYSTEM", "/dev/null");
        for line in [
            "init --quiet --bare origin",
            "init --quiet .",
            "remote add origin ./origin",
            // On some machines, git makes an identity from the host name.
            "config user.useConfigOnly true",
            "-c user.name=A -c user.email=a@b.c commit --quiet --allow-empty --message x",
        ] {
            runner.output(&git(&line.split(' ').collect::<Vec<_>>())).unwrap();
        }
        let commit = runner.output(&git(&["rev-parse", "HEAD"])).unwrap().trim().to_owned();
        (folder, runner, commit)
    }

    #[test]
    fn a_job_without_identity_tags_as_the_bot() {
        let (_folder, runner, commit) = repository();
        create(&runner, "v1.2.3", &commit, true, true).unwrap();
        let expected = BTreeMap::from([(Version::new(1, 2, 3), commit)]);
        assert_eq!(here(&runner).unwrap(), expected);
        assert_eq!(at_origin(&runner).unwrap(), expected);
        let format = ["for-each-ref", "--format=%(taggername) %(taggeremail)", "refs/tags"];
        let tagger = runner.output(&git(&format)).unwrap();
        assert_eq!(
            tagger.trim(),
            "github-actions[bot] <41898282+github-actions[bot]@users.noreply.github.com>"
        );
    }

    #[test]
    fn a_tag_without_an_identity_is_refused() {
        let (_folder, runner, commit) = repository();
        let error = create(&runner, "v1.2.3", &commit, true, false).unwrap_err();
        let hint = error.downcast_ref::<Failure>().unwrap().hint.as_deref();
        assert!(hint.unwrap().starts_with("git config user.name"), "{error:#}");
        assert_eq!(here(&runner).unwrap(), BTreeMap::new());
    }

    #[test]
    fn a_tag_that_cannot_be_pushed_is_removed() {
        let (folder, runner, commit) = repository();
        std::fs::remove_dir_all(folder.path().join("origin")).unwrap();
        create(&runner, "v1.2.3", &commit, true, true).unwrap_err();
        assert_eq!(here(&runner).unwrap(), BTreeMap::new());
        assert!(at_origin(&runner).is_err());
    }

    #[test]
    fn of_an_annotated_tag_its_commit_counts() {
        let listed = "aaa\trefs/tags/v1.0.0\nbbb\trefs/tags/v1.0.0^{}\nccc\trefs/tags/v1.1.0\n\
                      ddd\trefs/tags/vnext\n";
        let expected = [(Version::new(1, 0, 0), "bbb"), (Version::new(1, 1, 0), "ccc")];
        assert_eq!(advertised(listed), expected.map(|(v, c)| (v, c.to_owned())).into());
    }
}

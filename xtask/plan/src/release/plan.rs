//! Plans a release: the version, whether this commit may be released, and the git tag.

use std::collections::BTreeMap;

use semver::Version;
use serde::Serialize;

use xtask_model::facts::{Facts, Git};
use xtask_model::failure::Failure;
use xtask_model::release::ReleaseFacts;

use super::next::{NextVersion, next};
use super::notes::previous;
use super::tags::{Floating, exact, floating};
use super::version::version;
use crate::publish::request::{Moves, PublishOptions, Request, Tags, commit, dev_tag};

/// The options of the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub version: Option<Version>,
    pub next: Option<NextVersion>,
    /// Create the git tag where it is missing.
    pub create_tag: bool,
    /// Create the GitHub release.
    pub github_release: bool,
}

/// A release that may be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleasePlan {
    pub version: Version,
    /// Where the version comes from.
    pub reason: String,
    pub revision: String,
    pub git_tag: GitTag,
    /// Whether there is an `origin` to push the git tag to. The lab's releases stay in the lab.
    #[serde(skip)]
    pub has_origin: bool,
    #[serde(skip)]
    pub create_tag: bool,
    #[serde(skip)]
    pub github_release: bool,
    /// What happens to each floating tag.
    pub floating: Vec<Floating>,
}

impl ReleasePlan {
    /// The name of the git tag.
    pub fn name(&self) -> String {
        format!("v{}", self.version)
    }

    /// The publication of this release. An image states its version, so without `--promote` it is always
    /// built.
    pub fn request(&self, promote: bool, sign: bool) -> Result<Request, Failure> {
        let moving = self.floating.iter().filter(|floating| floating.moves);
        let tags = Tags {
            exact: exact(&self.version, &self.revision)?,
            floating: moving.map(|floating| floating.tag.clone()).collect(),
        };
        let moves = Moves::ByVersion;
        let options = PublishOptions { rebuild: true, promote, dirty: false, moves, sign };
        let like = Some(dev_tag(&self.revision)?);
        Ok(Request { revision: self.revision.clone(), tags, like, options })
    }
}

/// Where the git tag of the version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GitTag {
    There,
    /// `origin` does not have it.
    OnlyHere,
    Missing,
}

/// Plans a release. The facts must contain those of a release.
pub fn plan(facts: &Facts, asked: &Asked) -> Result<ReleasePlan, Failure> {
    let git = commit(facts, None)?;
    let release = facts.release.as_ref().ok_or_else(|| {
        Failure::usage("these facts are not those of a release")
            .hint("cargo xtask release v1.2.3 --dry-run --record-facts FILE")
    })?;
    let (version, reason) = aim(facts, git, &release.known(), asked)?.version(asked, release)?;
    check_branch(facts, git, release)?;
    let git_tag = git_tag(&version, git, release)?;
    let floating = floating(&version, &release.versions());
    Ok(ReleasePlan {
        version,
        reason,
        revision: git.revision.clone(),
        git_tag,
        has_origin: release.has_origin && facts.lab.is_none(),
        create_tag: asked.create_tag,
        github_release: asked.github_release,
        floating,
    })
}

/// The version and commit of the release that comes before, after which messages of commits count;
/// `known` are all git tags.
pub fn since(
    facts: &Facts,
    known: &BTreeMap<Version, String>,
    asked: &Asked,
) -> Result<Option<(Version, String)>, Failure> {
    let before = match aim(facts, commit(facts, None)?, known, asked)? {
        Aim::Version { version, .. } => {
            return Ok(previous(&version, known).map(|(v, c)| (v.clone(), c.clone())));
        }
        Aim::After { last, .. } => last,
    };
    Ok(before.and_then(|version| Some((version.clone(), known.get(&version)?.clone()))))
}

/// The aim before the messages of commits are read.
enum Aim {
    Version {
        version: Version,
        reason: String,
    },
    /// The one that follows `last`; `tagged` is the one that this commit has already.
    After {
        next: NextVersion,
        last: Option<Version>,
        tagged: Option<Version>,
    },
}

fn aim(
    facts: &Facts,
    git: &Git,
    known: &BTreeMap<Version, String>,
    asked: &Asked,
) -> Result<Aim, Failure> {
    if let Some(version) = &asked.version {
        return Ok(Aim::Version {
            version: version.clone(),
            reason: "named on the command line".to_owned(),
        });
    }
    if let Some(next) = asked.next {
        let stable = || known.iter().rev().filter(|(version, _)| version.pre.is_empty());
        let highest = stable().next();
        let tagged = highest.filter(|(_, commit)| **commit == git.revision);
        let last = if tagged.is_some() { stable().nth(1) } else { highest };
        let version = |found: Option<(&Version, &String)>| found.map(|(v, _)| v.clone());
        return Ok(Aim::After { next, last: version(last), tagged: version(tagged) });
    }
    // Of several tags on a commit the job is for one.
    let job = facts.environment.github.as_ref();
    let of_job = job.and_then(|job| job.reference.strip_prefix("refs/tags/"));
    if let Some(version) = of_job.and_then(|tag| version(tag).ok()) {
        return Ok(Aim::Version { version, reason: "the job runs for its git tag".to_owned() });
    }
    let here = git.tags.iter().filter_map(|tag| version(tag).ok());
    let version = here.max().ok_or_else(|| {
        Failure::usage("no version is named, and this commit has no version tag")
            .hint("cargo xtask release v1.2.3, or cargo xtask release --next auto")
    })?;
    Ok(Aim::Version { version, reason: "its git tag is at HEAD".to_owned() })
}

impl Aim {
    /// The version, with its reason. A commit that was tagged by a run that then stopped goes on under its
    /// version, and does not get the one after.
    fn version(self, asked: &Asked, release: &ReleaseFacts) -> Result<(Version, String), Failure> {
        let (next_kind, last, tagged) = match self {
            Self::Version { version, reason } => return Ok((version, reason)),
            Self::After { next, last, tagged } => (next, last, tagged),
        };
        let version = next(last.as_ref(), next_kind, &release.messages);
        let after = last.as_ref().map_or("nothing".to_owned(), |last| format!("v{last}"));
        match tagged {
            Some(tagged) if tagged == version => {
                let reason =
                    format!("`--next {next_kind}` after {after}, and this commit has its git tag");
                Ok((version, reason))
            }
            Some(tagged) => Err(Failure::refused(format!("this commit is v{tagged} already"))
                .hint(format!(
                    "to finish it: cargo xtask release v{tagged}; or name another version"
                ))),
            None if asked.next == Some(NextVersion::Auto)
                && last.is_some()
                && release.messages.is_empty() =>
            {
                Err(Failure::refused(format!("there is no commit since {after} to release"))
                    .hint("name a version: cargo xtask release v1.2.3"))
            }
            None => Ok((version, format!("`--next {next_kind}` after {after}"))),
        }
    }
}

/// The commit must be on a branch that releases are made from.
fn check_branch(facts: &Facts, git: &Git, release: &ReleaseFacts) -> Result<(), Failure> {
    if release.on_branch {
        return Ok(());
    }
    let branches = &facts.config.release_branches;
    let names: Vec<_> = branches.iter().map(|name| format!("`{name}`")).collect();
    Err(Failure::refused(format!(
        "{} is on none of the branches that releases are made from: {}",
        git.revision,
        names.join(", ")
    ))
    .hint("merge it first, or set `release-branches` under [workspace.metadata.images]"))
}

/// Where the git tag is; one that names another commit, here or at `origin`, is refused.
fn git_tag(version: &Version, git: &Git, release: &ReleaseFacts) -> Result<GitTag, Failure> {
    let here = release.tags.get(version);
    let there = release.origin.as_ref().map(|tags| tags.get(version));
    for (commit, place) in [(here, ""), (there.flatten(), " of `origin`")] {
        if let Some(commit) = commit.filter(|commit| **commit != git.revision) {
            let message = format!(
                "the git tag `v{version}`{place} names {commit}, and this is {}",
                git.revision
            );
            return Err(Failure::refused(message)
                .hint(format!("git checkout v{version}, or release another version")));
        }
    }
    Ok(match (here, there) {
        (_, Some(Some(_))) | (Some(_), None) => GitTag::There,
        (Some(_), Some(None)) => GitTag::OnlyHere,
        (None, _) => GitTag::Missing,
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

//! What one publication asks for: a commit, its tags, and the options of the command line.

use std::collections::BTreeSet;

use serde::Serialize;

use xtask_model::facts::{Facts, Git};
use xtask_model::failure::Failure;
use xtask_model::reference::Tag;

use crate::labels::revision;

/// The tags of one publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tags {
    /// Immutable. A build pushes to the first one; the others follow.
    pub exact: Vec<Tag>,
    /// Moved in this order, once the image is known to be complete.
    pub floating: Vec<Tag>,
}

/// One publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The commit, as labels have it.
    pub revision: String,
    pub tags: Tags,
    /// The tag whose image is compared with the inputs at hand, or promoted.
    pub like: Option<Tag>,
    pub options: PublishOptions,
}

/// How a publication was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct PublishOptions {
    /// Build although nothing changed.
    pub rebuild: bool,
    /// Publish the image under [`Request::like`], without a build, even if its inputs differ.
    pub promote: bool,
    /// The working tree has uncommitted changes, so its exact tag may be set again.
    pub dirty: bool,
    pub moves: Moves,
    /// Sign each published digest.
    pub sign: bool,
}

/// Where floating tags may move.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Moves {
    /// To an image of a newer commit.
    #[default]
    Forward,
    /// Back too: `--allow-rollback`.
    Anywhere,
    /// To the highest version of their line, all services together once all images are published.
    ByVersion,
}

impl Request {
    /// The tags whose images must be read before anything is decided, each once.
    pub fn compared(&self) -> Vec<Tag> {
        // Tags that move by version or anywhere do not depend on the image that they have now.
        let floating = self.tags.floating.iter().filter(|_| self.options.moves == Moves::Forward);
        // `push` checked the image of `dev` when it moved that tag.
        let dev = self.options.promote.then(Tag::dev);
        let tags = self.tags.exact.iter().chain(floating).chain(&self.like).chain(&dev);
        let tags: BTreeSet<&Tag> = tags.collect();
        tags.into_iter().cloned().collect()
    }

    /// Whether a tag names the commit itself, rather than a version or a channel.
    pub fn names_commit(&self, tag: &Tag) -> bool {
        tag.as_str() == self.revision || tag.commit() == Some(&*self.revision)
    }
}

/// The publication of the dev channel. A dirty tree belongs to no commit, so it never moves `dev`.
pub fn dev(git: &Git, options: PublishOptions) -> Result<Request, Failure> {
    let options = PublishOptions { dirty: !git.dirty.is_empty(), ..options };
    let revision = revision(git);
    let floating = if options.dirty { Vec::new() } else { vec![Tag::dev()] };
    let tags = Tags { exact: vec![dev_tag(&revision)?], floating };
    let like = tags.floating.first().cloned();
    Ok(Request { revision, tags, like, options })
}

/// `dev-<sha>`, the exact tag of a commit on the dev channel.
pub fn dev_tag(revision: &str) -> Result<Tag, Failure> {
    Tag::dev_commit(revision).map_err(|error| Failure::usage(error.to_string()))
}

/// The commit to publish. `allow_dirty` is the flag of a command that can publish a dirty tree;
/// `None` for a command that cannot.
pub fn commit(facts: &Facts, allow_dirty: Option<bool>) -> Result<&Git, Failure> {
    let git = facts.git.as_ref().ok_or_else(|| {
        Failure::usage("there is no commit to publish").hint("git init && git add . && git commit")
    })?;
    let Some(first) = git.dirty.first().filter(|_| allow_dirty != Some(true)) else {
        return Ok(git);
    };
    let more = match git.dirty.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let hint = match allow_dirty {
        Some(_) => "git commit; or, to publish it marked as dirty: --allow-dirty",
        None => "git commit, or git stash --include-untracked",
    };
    let message = format!("the working tree has uncommitted changes: `{first}`{more}");
    Err(Failure::refused(message).hint(hint))
}

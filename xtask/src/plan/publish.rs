//! What publishing a service needs: a build, or only tags, or nothing; and whether a floating tag may
//! move. Exact tags are immutable; floating tags move forward only.

use serde::Serialize;

use crate::model::failure::Failure;
use crate::model::inputs::Inputs;
use crate::model::published::{PublishedImage, PublishedState, Relation};
use crate::model::reference::{Digest, Reference, Tag};

/// The tags of one publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tags {
    /// Immutable; the first one is pushed to, the others follow.
    pub exact: Vec<Tag>,
    /// They move, in this order, once the image is known to be complete.
    pub floating: Vec<Tag>,
}

/// `dev-<sha>`, the exact tag of a commit on the dev channel.
pub fn dev_tag(revision: &str) -> Result<Tag, Failure> {
    Tag::new(format!("dev-{revision}")).map_err(|error| Failure::usage(error.to_string()))
}

/// The tags of the dev channel. What was built from a dirty tree is no commit's, so `dev` stays.
pub fn dev_tags(revision: &str, dirty: bool) -> Result<Tags, Failure> {
    let dev = Tag::new("dev").map_err(|error| Failure::usage(error.to_string()))?;
    let floating = if dirty { Vec::new() } else { vec![dev] };
    Ok(Tags { exact: vec![dev_tag(revision)?], floating })
}

/// What is asked of a publication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct Wishes {
    /// Build although nothing changed.
    pub rebuild: bool,
    /// Let a floating tag go back to an older commit.
    pub allow_rollback: bool,
    /// Publish the image under the tag it is compared with, without a build and whatever its inputs.
    pub promote: bool,
    /// The exact tag is that of a dirty tree, which is not one thing: it is built anew each time.
    pub dirty: bool,
}

/// What will be done, each with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Action {
    /// This commit is published: its image is taken as it is, and what is missing is finished.
    Finish {
        digest: Digest,
        reason: String,
    },
    /// Another commit's image was made from the same inputs: tags are set by reference.
    Retag {
        digest: Digest,
        reason: String,
    },
    /// The tested image of this commit gets more tags.
    Promote {
        digest: Digest,
        reason: String,
    },
    Build {
        reason: String,
        changes: Vec<String>,
    },
}

impl Action {
    /// The image to publish, when it is there already.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Finish { digest, .. }
            | Self::Retag { digest, .. }
            | Self::Promote { digest, .. } => Some(digest),
            Self::Build { .. } => None,
        }
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Finish { reason, .. }
            | Self::Retag { reason, .. }
            | Self::Promote { reason, .. }
            | Self::Build { reason, .. } => reason,
        }
    }
}

/// Decides what to do for one service. `inputs` are those at hand, `None` where they cannot be known;
/// `like` is the tag whose image may have been made from them.
pub fn action(
    state: &PublishedState,
    tags: &Tags,
    like: Option<&Tag>,
    inputs: Option<&Inputs>,
    wishes: Wishes,
) -> Result<Action, Failure> {
    let exact: Vec<(&Tag, &PublishedImage)> =
        tags.exact.iter().filter_map(|tag| Some((tag, state.images.get(tag)?))).collect();
    if let Some((tag, image)) = exact.first().filter(|_| !wishes.dirty) {
        if let Some((other, differing)) = exact.iter().find(|(_, i)| i.digest != image.digest) {
            let message = format!(
                "`{tag}` is {} and `{other}` is {}: exact tags of one publication differ",
                image.digest, differing.digest
            );
            return Err(Failure::refused(message).hint("cargo xtask verify"));
        }
        let reason = format!("`{tag}` is published, and exact tags never change");
        return Ok(Action::Finish { digest: image.digest.clone(), reason });
    }
    if wishes.promote {
        return promoted(state, like);
    }
    let build = |reason: &str, changes| Ok(Action::Build { reason: reason.to_owned(), changes });
    if wishes.rebuild {
        return build("`--rebuild` asks for it", Vec::new());
    }
    let Some((tag, image)) = like.and_then(|tag| Some((tag, state.images.get(tag)?))) else {
        return build("nothing is published that it could be compared with", Vec::new());
    };
    let (Some(now), Some(before)) = (inputs, &image.inputs) else {
        let reason = match inputs {
            None => "its inputs cannot be known: a base cannot be resolved, or the tree is dirty",
            Some(_) => "the published image does not tell its inputs",
        };
        return build(reason, Vec::new());
    };
    let changes = now.changes(before);
    if changes.is_empty() {
        let reason = format!("its inputs are those of `{tag}`");
        return Ok(Action::Retag { digest: image.digest.clone(), reason });
    }
    build("its inputs changed", changes)
}

fn promoted(state: &PublishedState, like: Option<&Tag>) -> Result<Action, Failure> {
    let tested = like.and_then(|tag| Some((tag, state.images.get(tag)?)));
    let Some((tag, image)) = tested else {
        let name = like.map_or("an image", Tag::as_str);
        return Err(Failure::refused(format!("there is no `{name}` to promote"))
            .hint("cargo xtask push, or release without --promote"));
    };
    Ok(Action::Promote { digest: image.digest.clone(), reason: format!("`{tag}` is promoted") })
}

/// Whether a floating tag may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// It is there already.
    Stay,
    Go(String),
    /// It points at a newer commit, which is right; ours came too late.
    Overtaken(String),
}

/// Decides whether `tag`, which now points at `there`, may move to `digest`, an image of commit
/// `revision`; `None` for one that is still to be built.
pub fn movement(
    repository: &Reference,
    tag: &Tag,
    there: Option<(&PublishedImage, Relation)>,
    newer: Option<&Tag>,
    digest: Option<&Digest>,
    revision: &str,
    wishes: Wishes,
) -> Result<Move, Failure> {
    let Some((image, relation)) = there else {
        return Ok(Move::Go("nothing is there".to_owned()));
    };
    if Some(&image.digest) == digest && newer.is_none() {
        return Ok(Move::Stay);
    }
    if wishes.allow_rollback {
        return Ok(Move::Go("`--allow-rollback` lets it".to_owned()));
    }
    let theirs = image.revision.as_deref().unwrap_or("an unknown commit");
    if let Some(newer) = newer {
        return Ok(Move::Overtaken(format!(
            "`{newer}` was published meanwhile, from a newer commit than {revision}"
        )));
    }
    let name = format!("`{}`", repository.with_tag(tag.clone()));
    match relation {
        Relation::Same => Ok(Move::Go(format!("it has another image of {theirs}"))),
        Relation::Older => Ok(Move::Go(format!("it was built from {theirs}, an ancestor"))),
        Relation::Newer => Ok(Move::Overtaken(format!(
            "{name} was built from {theirs}, which is newer than {revision}"
        ))),
        Relation::Apart => Err(Failure::refused(format!(
            "{name} was built from {theirs}, which is not an ancestor of {revision}"
        ))
        .hint("merge it first; or, to go back on purpose: cargo xtask push --allow-rollback")),
        Relation::Unknown if image.revision.is_none() => {
            Ok(Move::Go("it does not tell its commit".to_owned()))
        }
        Relation::Unknown => Err(Failure::refused(format!(
            "{name} was built from {theirs}, which this clone does not have, so that nobody can \
             tell whether {revision} is newer"
        ))
        .hint("git fetch --unshallow origin, then run it again")),
    }
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;

//! What publishing a service needs: a build, or only tags, or nothing. What becomes of each tag is
//! `plan::tagging`'s.

use std::collections::BTreeSet;

use serde::Serialize;

use xtask_model::failure::Failure;
use xtask_model::inputs::Inputs;
use xtask_model::published::{PublishedImage, PublishedState};
use xtask_model::reference::{Digest, Tag};

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

/// One publication: which commit, under which tags, and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The commit, as labels have it.
    pub revision: String,
    pub tags: Tags,
    /// The tag whose image may have been made from the same inputs, or is promoted.
    pub like: Option<Tag>,
    pub wishes: Wishes,
}

impl Request {
    /// The tags whose images decide something, each once.
    pub fn compared(&self) -> Vec<Tag> {
        // Floating tags that move by version or anywhere move whatever they have now.
        let floating = self.tags.floating.iter().filter(|_| self.wishes.moves == Moves::Forward);
        // An image that `dev` has was looked at before `dev` got it.
        let dev = self.wishes.promote.then(|| Tag::new("dev").ok()).flatten();
        let tags = self.tags.exact.iter().chain(floating).chain(&self.like).chain(&dev);
        let tags: BTreeSet<&Tag> = tags.collect();
        tags.into_iter().cloned().collect()
    }

    /// Whether a tag names the commit itself, and not a version or a place.
    pub fn names_commit(&self, tag: &Tag) -> bool {
        tag.as_str() == self.revision || tag.as_str().strip_prefix("dev-") == Some(&*self.revision)
    }
}

/// What is asked of a publication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Build although nothing changed.
    pub rebuild: bool,
    /// Publish the image under the tag it is compared with, without a build and whatever its inputs.
    pub promote: bool,
    /// The exact tag is that of a dirty tree, which is not one thing: it is built anew each time.
    pub dirty: bool,
    pub moves: Moves,
}

/// Where floating tags may move.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Moves {
    /// To an image of a newer commit.
    #[default]
    Forward,
    /// Back too, because the user says so.
    Anywhere,
    /// As versions decide, which was done when the tags were chosen; all services' tags together,
    /// when all images are there.
    ByVersion,
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
    /// The same, after a build that publishes no image and only fills the cache.
    Warm {
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
            | Self::Warm { digest, .. }
            | Self::Retag { digest, .. }
            | Self::Promote { digest, .. } => Some(digest),
            Self::Build { .. } => None,
        }
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Finish { reason, .. }
            | Self::Warm { reason, .. }
            | Self::Retag { reason, .. }
            | Self::Promote { reason, .. }
            | Self::Build { reason, .. } => reason,
        }
    }
}

/// An image and the tag under which it was found.
type Found<'s> = (&'s Tag, &'s PublishedImage);

/// Decides what to do for one service. `inputs` are those at hand, `None` where they cannot be known.
pub fn action(
    state: &PublishedState,
    inputs: Option<&Inputs>,
    request: &Request,
) -> Result<Action, Failure> {
    let wishes = request.wishes;
    let found = |tag: Option<&'_ Tag>| state.images.get_key_value(tag?);
    let like = found(request.like.as_ref());
    // The first exact tag is the publication's own; another one may be an earlier publication's.
    let published = found(request.tags.exact.first()).filter(|_| !wishes.dirty);
    if let Some(published) = published {
        return finished(state, published, like, request);
    }
    if wishes.promote {
        return promoted(like, request);
    }
    let build = |reason: &str, changes| Ok(Action::Build { reason: reason.to_owned(), changes });
    if wishes.rebuild {
        let reason = match wishes.moves {
            Moves::ByVersion => "a release tells its version in its labels",
            _ => "`--rebuild` asks for it",
        };
        return build(reason, Vec::new());
    }
    let Some((tag, image)) = like else {
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

/// What is published is finished as it is, if it is what is asked for.
fn finished(
    state: &PublishedState,
    (tag, image): Found<'_>,
    like: Option<Found<'_>>,
    request: &Request,
) -> Result<Action, Failure> {
    let wishes = request.wishes;
    let digest = image.digest.clone();
    let refused = |message: String| {
        Err(Failure::refused(message).hint("exact tags never change: publish another version"))
    };
    if let Some((tested, other)) = like.filter(|(_, like)| wishes.promote && like.digest != digest)
    {
        return refused(format!(
            "`{tag}` is {digest}, and `{tested}`, which is to be promoted, is {}",
            other.digest
        ));
    }
    // An unchanged service's image tells an older commit, but the commit's own tags lead to it too.
    let of_commit = |(tag, image): Found<'_>| request.names_commit(tag) && image.digest == digest;
    let revision = image.revision.as_ref().filter(|theirs| **theirs != request.revision);
    if let Some(theirs) = revision.filter(|_| !state.images.iter().any(of_commit)) {
        let ours = &request.revision;
        return refused(format!("`{tag}` was published from {theirs}, and this is {ours}"));
    }
    if wishes.rebuild && wishes.moves != Moves::ByVersion {
        let reason = format!("`{tag}` is published and stays; `--rebuild` fills the cache");
        return Ok(Action::Warm { digest, reason });
    }
    let reason = format!("`{tag}` is published, and exact tags never change");
    Ok(Action::Finish { digest, reason })
}

fn promoted(like: Option<Found<'_>>, request: &Request) -> Result<Action, Failure> {
    let Some((tag, image)) = like else {
        let name = request.like.as_ref().map_or("an image", Tag::as_str);
        return Err(Failure::refused(format!("there is no `{name}` to promote"))
            .hint("cargo xtask push, or release without --promote"));
    };
    Ok(Action::Promote { digest: image.digest.clone(), reason: format!("`{tag}` is promoted") })
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;

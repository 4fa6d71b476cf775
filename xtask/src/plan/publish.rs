//! What publishing a service needs: a build, or only tags, or nothing; and whether a floating tag may
//! move. Exact tags are immutable; floating tags move forward only.

use std::collections::BTreeSet;

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
        let tags = self.tags.exact.iter().chain(floating).chain(&self.like);
        let tags: BTreeSet<&Tag> = tags.collect();
        tags.into_iter().cloned().collect()
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

/// Decides what to do for one service. `inputs` are those at hand, `None` where they cannot be known.
pub fn action(
    state: &PublishedState,
    inputs: Option<&Inputs>,
    request: &Request,
) -> Result<Action, Failure> {
    let Request { tags, like, wishes, .. } = request;
    let like = like.as_ref();
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
        let reason = match wishes.moves {
            Moves::ByVersion => "a release tells its version in its labels",
            _ => "`--rebuild` asks for it",
        };
        return build(reason, Vec::new());
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

/// What becomes of an exact tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exact {
    /// It points there already.
    Stays,
    Set(&'static str),
}

/// Decides about the exact tag `reference`, which now points at `there`: it never changes, but for
/// that of a dirty tree.
pub fn exact(
    reference: &Reference,
    there: Option<&Digest>,
    digest: &Digest,
    dirty: bool,
) -> Result<Exact, Failure> {
    match there {
        None => Ok(Exact::Set("set by reference")),
        Some(there) if there == digest => Ok(Exact::Stays),
        Some(_) if dirty => Ok(Exact::Set("the tag of a dirty tree is no commit's")),
        Some(there) => Err(Failure::refused(format!(
            "`{reference}` is {there} and never changes; this is {digest}"
        ))
        .hint("commit again, so that there is another exact tag")),
    }
}

/// What becomes of a floating tag that may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// It is there already.
    Stay,
    Go(String),
}

/// Decides whether the floating tag `reference`, which now points at `there`, may move to `digest`, an
/// image of the request's commit; `None` for one that is still to be built. `newer` is the tag of a
/// newer commit that is published. A move that would go back is refused.
pub fn movement(
    reference: &Reference,
    there: Option<(&PublishedImage, Relation)>,
    newer: Option<&Tag>,
    digest: Option<&Digest>,
    request: &Request,
) -> Result<Move, Failure> {
    match request.wishes.moves {
        Moves::Forward => {}
        Moves::Anywhere => return Ok(Move::Go("`--allow-rollback` lets it".to_owned())),
        Moves::ByVersion => return Ok(Move::Go("the highest version of its line".to_owned())),
    }
    let Some((image, relation)) = there else {
        return Ok(Move::Go("nothing is there".to_owned()));
    };
    if Some(&image.digest) == digest && newer.is_none() {
        return Ok(Move::Stay);
    }
    let revision = &request.revision;
    if let Some(newer) = newer {
        return Err(overtaken(newer, reference, revision));
    }
    let theirs = image.revision.as_deref().unwrap_or("an unknown commit");
    let refused = |why: &str, hint: &str| {
        let message = format!("`{reference}` was built from {theirs}, which {why}");
        Err(Failure::refused(message).hint(hint))
    };
    match relation {
        Relation::Same => Ok(Move::Go(format!("it has another image of {theirs}"))),
        Relation::Older => Ok(Move::Go(format!("it was built from {theirs}, an ancestor"))),
        Relation::Newer => refused(&format!("is newer than {revision}"), ROLLBACK),
        Relation::Apart => {
            let hint = format!("merge it first; or, {ROLLBACK}");
            refused(&format!("is not an ancestor of {revision}"), &hint)
        }
        Relation::Unknown if image.revision.is_none() => {
            Ok(Move::Go("it does not tell its commit".to_owned()))
        }
        Relation::Unknown => refused(
            &format!(
                "this clone does not have, so that nobody can tell whether {revision} is newer"
            ),
            "git fetch --unshallow origin, then run it again",
        ),
    }
}

const ROLLBACK: &str = "to go back on purpose: cargo xtask push --allow-rollback";

/// The refusal of a move that came after that of a newer commit.
pub fn overtaken(newer: &Tag, reference: &Reference, revision: &str) -> Failure {
    Failure::refused(format!(
        "`{newer}` was published meanwhile, from a newer commit than {revision}; `{reference}` is its"
    ))
    .hint(ROLLBACK)
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;

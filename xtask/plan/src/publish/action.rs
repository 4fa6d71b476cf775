//! What each service needs: a build, only tags, or nothing.

use serde::Serialize;

use xtask_model::facts::{Facts, ServiceFacts, no_repository};
use xtask_model::failure::Failure;
use xtask_model::inputs::Inputs;
use xtask_model::published::{PublishedImage, PublishedState, Relation};
use xtask_model::reference::{Digest, Reference, Tag};
use xtask_model::service::ServiceName;

use super::promotion::promotable;
use super::request::{Moves, Request};
use super::tags::{movement, stand_in};

/// The decision for one service, before any build is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub service: ServiceName,
    /// The repository of its images.
    pub repository: Reference,
    pub action: Action,
    /// The inputs of the working tree, where they are known.
    pub inputs: Option<Inputs>,
}

impl Decision {
    /// Whether the service needs a build.
    pub fn builds(&self) -> bool {
        matches!(self.action, Action::Build { .. } | Action::Warm { .. })
    }
}

/// Decides what one service needs, and refuses a publication whose tags may not be set.
pub fn decide(
    facts: &Facts,
    service: &ServiceFacts,
    inputs: Option<Inputs>,
    request: &Request,
) -> Result<Decision, Failure> {
    let nothing = PublishedState::default();
    let state = facts.published.get(&service.name).unwrap_or(&nothing);
    let repository = facts.published(&service.name).ok_or_else(no_repository)?;
    let action = action(state, inputs.as_ref(), request)?;
    if facts.lab.is_none() {
        check_real(state, &repository, &action)?;
    }
    check_moves(state, &repository, &action, request)?;
    if let Action::Promote { digest, .. } = &action {
        promotable(&repository.at(digest.clone()), state, request)?;
    }
    Ok(Decision { service: service.name.clone(), repository, action, inputs })
}

/// Decides again after another run has published the commit: its image is used, if it is the one asked
/// for. `None` when it still has to be built.
pub fn decide_again(
    facts: &Facts,
    repository: &Reference,
    state: &PublishedState,
    request: &Request,
) -> Result<Option<Action>, Failure> {
    let action = action(state, None, request)?;
    if facts.lab.is_none() {
        check_real(state, repository, &action)?;
    }
    let reason = "another run has published this commit since".to_owned();
    Ok(action.digest().cloned().map(|digest| Action::Finish { digest, reason }))
}

/// Outside the lab, an image that was built on a stand-in base gets no tag.
fn check_real(
    state: &PublishedState,
    repository: &Reference,
    action: &Action,
) -> Result<(), Failure> {
    let Some(digest) = action.digest() else { return Ok(()) };
    let image = state.images.values().find(|image| image.digest == *digest);
    match image.and_then(|image| image.stand_in.as_deref()) {
        Some(base) => Err(stand_in(&repository.at(digest.clone()), base)),
        None => Ok(()),
    }
}

/// Refuses before the build what the floating tags would refuse after it.
fn check_moves(
    state: &PublishedState,
    repository: &Reference,
    action: &Action,
    request: &Request,
) -> Result<(), Failure> {
    for tag in &request.tags.floating {
        let current = state
            .images
            .get(tag)
            .map(|image| (image, state.relations.get(tag).copied().unwrap_or(Relation::Unknown)));
        let digest = action.digest();
        if current.is_some_and(|(image, _)| Some(&image.digest) == digest) {
            continue;
        }
        let newer = state.newer.as_ref().filter(|_| tag.is_dev());
        movement(&repository.with_tag(tag.clone()), current, newer, digest, request)?;
    }
    Ok(())
}

/// What a service needs, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Action {
    /// This commit is published already: keep its image and finish what is missing.
    Finish {
        digest: Digest,
        reason: String,
    },
    /// The same, after a build that publishes no image and only fills the cache.
    Warm {
        digest: Digest,
        reason: String,
    },
    /// Another commit's image was made from the same inputs: point the tags to it.
    Retag {
        digest: Digest,
        reason: String,
    },
    /// Give the tested image of this commit more tags.
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
    /// The image to publish, unless it has to be built.
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
type TaggedImage<'s> = (&'s Tag, &'s PublishedImage);

/// Decides what one service needs. `inputs` are those of the working tree, `None` where they are
/// unknown.
pub fn action(
    state: &PublishedState,
    inputs: Option<&Inputs>,
    request: &Request,
) -> Result<Action, Failure> {
    let options = request.options;
    let found = |tag: Option<&'_ Tag>| state.images.get_key_value(tag?);
    let like = found(request.like.as_ref());
    // The first exact tag is the publication's own; another one may be an earlier publication's.
    let published = found(request.tags.exact.first()).filter(|_| !options.dirty);
    if let Some(published) = published {
        return finished(state, published, like, request);
    }
    if options.promote {
        return promoted(like, request);
    }
    let build = |reason: &str, changes| Ok(Action::Build { reason: reason.to_owned(), changes });
    if options.rebuild {
        let reason = match options.moves {
            Moves::ByVersion => "a release states its version in its labels",
            _ => "`--rebuild` asks for it",
        };
        return build(reason, Vec::new());
    }
    let Some((tag, image)) = like else {
        return build("no published image to compare its inputs with", Vec::new());
    };
    let (Some(now), Some(before)) = (inputs, &image.inputs) else {
        let reason = match inputs {
            None => "its inputs are unknown: a base cannot be resolved, or the tree is dirty",
            Some(_) => "the published image does not state its inputs",
        };
        return build(reason, Vec::new());
    };
    let changes = now.changes(before);
    if changes.is_empty() {
        let reason = format!("its inputs are the same as those of `{tag}`");
        return Ok(Action::Retag { digest: image.digest.clone(), reason });
    }
    build("its inputs changed", changes)
}

/// Finishes a publication that has begun, if its image is the one asked for.
fn finished(
    state: &PublishedState,
    (tag, image): TaggedImage<'_>,
    like: Option<TaggedImage<'_>>,
    request: &Request,
) -> Result<Action, Failure> {
    let options = request.options;
    let digest = image.digest.clone();
    let refused = |message: String| {
        Err(Failure::refused(message).hint("exact tags never change: publish another version"))
    };
    if let Some((tested, other)) = like.filter(|(_, like)| options.promote && like.digest != digest)
    {
        return refused(format!(
            "`{tag}` already points to {digest}, and `{tested}`, which is to be promoted, to {}",
            other.digest
        ));
    }
    // The image of an unchanged service states an older commit, but this commit's tags point to it too.
    let of_commit =
        |(tag, image): TaggedImage<'_>| request.names_commit(tag) && image.digest == digest;
    let revision = image.revision.as_ref().filter(|theirs| **theirs != request.revision);
    if let Some(theirs) = revision.filter(|_| !state.images.iter().any(of_commit)) {
        let ours = &request.revision;
        return refused(format!(
            "`{tag}` was published from {theirs}, and the commit here is {ours}"
        ));
    }
    if options.rebuild && options.moves != Moves::ByVersion {
        let reason = format!("`{tag}` is published already; `--rebuild` fills the cache");
        return Ok(Action::Warm { digest, reason });
    }
    let reason = format!("`{tag}` is published already, and exact tags never change");
    Ok(Action::Finish { digest, reason })
}

fn promoted(like: Option<TaggedImage<'_>>, request: &Request) -> Result<Action, Failure> {
    let Some((tag, image)) = like else {
        let name = request.like.as_ref().map_or("an image", Tag::as_str);
        return Err(Failure::refused(format!("there is no image `{name}` to promote"))
            .hint("cargo xtask push, or release without --promote"));
    };
    Ok(Action::Promote { digest: image.digest.clone(), reason: format!("promotes `{tag}`") })
}

#[cfg(test)]
#[path = "action_tests.rs"]
mod tests;

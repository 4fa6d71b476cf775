//! The closed set of publishing steps. A dry run prints them; `publish` in the xtask crate executes them
//! with one `match`. A step names what must still hold when it runs ([`Requires`]): apply reads that
//! again immediately before, and asks this layer what follows: the step, other steps, or a refusal.

use serde::Serialize;

use xtask_model::reference::{Digest, Reference, Tag};

use super::action::Action;
use super::request::{Moves, Request};

/// One step. The steps of a service run in order, except that `ExportCache` runs beside those after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum Step {
    /// The git tag must exist; without it the release is refused.
    RequireGitTag { tag: String, problem: String, hint: String },
    /// Create the git tag where it is missing, and push it to `origin` where there is one.
    PushGitTag { tag: String, revision: String, create: bool, push: bool },
    /// Read everything the image refers to. `None` is the image that the build pushes.
    CheckImage { repository: Reference, image: Option<Digest>, extent: Extent },
    /// Build the image and push it to the first exact tag; `None` only fills the cache.
    Build { push_to: Option<Reference>, requires: Requires },
    /// Export the build's cache to the tiers that need it.
    ExportCache,
    /// Point an exact tag to the image.
    SetTag { tag: Reference, image: Option<Digest>, requires: Requires },
    /// Sign the image by digest, unless it is signed.
    Sign { repository: Reference, image: Option<Digest> },
    /// Point a floating tag to the image.
    MoveTag { tag: Reference, image: Option<Digest>, requires: Requires },
    /// Read again what another run may have changed since, and move these tags on to the newer image.
    Recheck { tags: Vec<Reference>, requires: Requires },
    /// Create the GitHub release, or publish its draft.
    CreateRelease { tag: String, requires: Requires },
}

/// What must hold when a step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "that")]
pub enum Requires {
    Nothing,
    /// No image is published under this exact tag; otherwise its image is used.
    Unpublished {
        tag: Reference,
    },
    /// The tag does not exist or points to this image; otherwise the publication is refused.
    TagUnset,
    /// The exact tag points to our image; otherwise the floating tags follow it.
    TagOurs {
        tag: Reference,
    },
    /// The tag points to an ancestor's image, and no newer commit is published.
    NewestCommit,
    /// No higher version of the tag's line is published.
    HighestVersion,
    /// No GitHub release of the tag is published; a published one stays as it is.
    NoRelease,
}

/// How much of an image is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// Every manifest and every layer.
    All,
    /// The manifests. A registry keeps the layers of a tagged manifest, so the image of `dev` can only lose
    /// manifests.
    Manifests,
}

impl Step {
    /// The repository of a step that belongs to one service's tags.
    pub fn repository(&self) -> Option<&Reference> {
        match self {
            Self::SetTag { tag, .. } | Self::MoveTag { tag, .. } => Some(tag),
            Self::CheckImage { repository, .. } | Self::Sign { repository, .. } => Some(repository),
            Self::Recheck { tags, .. } => tags.first(),
            Self::Build { .. }
            | Self::ExportCache
            | Self::RequireGitTag { .. }
            | Self::PushGitTag { .. }
            | Self::CreateRelease { .. } => None,
        }
    }
}

/// The steps that one service needs.
pub fn steps(action: &Action, repository: &Reference, request: &Request) -> Vec<Step> {
    let image = action.digest().cloned();
    let exact = |tag: &Tag| repository.with_tag(tag.clone());
    let first = request.tags.exact.first();
    let mut steps = build(action, first.map(exact), request);
    // The images of the other actions were read before: when `dev` got them, or in a step of its own.
    if matches!(action, Action::Build { .. } | Action::Warm { .. } | Action::Finish { .. }) {
        let (repository, image) = (repository.clone(), image.clone());
        steps.push(Step::CheckImage { repository, image, extent: Extent::All });
    }
    let is_pushed = |tag: &&Tag| image.is_none() && Some(*tag) == first;
    steps.extend(request.tags.exact.iter().filter(|tag| !is_pushed(tag)).map(|tag| Step::SetTag {
        tag: exact(tag),
        image: image.clone(),
        requires: if request.options.dirty { Requires::Nothing } else { Requires::TagUnset },
    }));
    if request.options.sign {
        steps.push(Step::Sign { repository: repository.clone(), image: image.clone() });
    }
    if request.options.moves == Moves::ByVersion {
        return steps;
    }
    steps.extend(move_tags(repository, image.as_ref(), request));
    steps
}

/// The build of an action, where it has one.
fn build(action: &Action, first: Option<Reference>, request: &Request) -> Vec<Step> {
    let build = match action {
        Action::Warm { .. } => Step::Build { push_to: None, requires: Requires::Nothing },
        Action::Build { .. } => {
            let unpublished = first.clone().filter(|_| !request.options.dirty);
            let requires =
                unpublished.map_or(Requires::Nothing, |tag| Requires::Unpublished { tag });
            Step::Build { push_to: first, requires }
        }
        Action::Finish { .. } | Action::Retag { .. } | Action::Promote { .. } => return Vec::new(),
    };
    vec![build, Step::ExportCache]
}

/// The steps that move the floating tags of one service. After a build the exact tag is read again: another
/// run of the commit may have pushed its own image over it.
pub(super) fn move_tags(
    repository: &Reference,
    image: Option<&Digest>,
    request: &Request,
) -> Vec<Step> {
    let reference = |tag: &Tag| repository.with_tag(tag.clone());
    let move_tag = |tag: &Tag| Step::MoveTag {
        tag: reference(tag),
        image: image.cloned(),
        requires: required_to_move(tag, request),
    };
    let mut steps: Vec<Step> = request.tags.floating.iter().map(move_tag).collect();
    let built = request.tags.exact.first().filter(|_| image.is_none() && !steps.is_empty());
    steps.extend(built.map(|tag| Step::Recheck {
        tags: request.tags.floating.iter().map(reference).collect(),
        requires: Requires::TagOurs { tag: reference(tag) },
    }));
    steps
}

/// What must hold when a floating tag moves.
pub fn required_to_move(tag: &Tag, request: &Request) -> Requires {
    match request.options.moves {
        Moves::Forward if tag.is_dev() => Requires::NewestCommit,
        Moves::Forward | Moves::Anywhere => Requires::Nothing,
        Moves::ByVersion => Requires::HighestVersion,
    }
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;

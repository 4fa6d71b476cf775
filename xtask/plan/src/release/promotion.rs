//! Whether a tested image may become a release.

use crate::publish::Request;
use xtask_model::failure::Failure;
use xtask_model::published::{PublishedState, Relation};
use xtask_model::reference::Reference;

/// The image must be of the commit that is released, or of one before it from which the service has not
/// changed: `push` then tags what is there.
pub fn promotable(
    image: &Reference,
    state: Option<&PublishedState>,
    request: &Request,
) -> Result<(), Failure> {
    let found = state.zip(request.like.as_ref());
    let revision = found.and_then(|(state, like)| state.images.get(like)?.revision.as_deref());
    let Some(revision) = revision else {
        return Err(Failure::refused(format!("`{image}` does not tell its commit")).hint(ANEW));
    };
    let relation = found.and_then(|(state, like)| state.relations.get(like));
    let refused = |why: &str, hint: &str| {
        let message =
            format!("`{image}` was built from {revision}, which {why} {}", request.revision);
        Err(Failure::refused(message).hint(hint))
    };
    match relation.copied().unwrap_or(Relation::Unknown) {
        Relation::Same | Relation::Older => Ok(()),
        Relation::Newer | Relation::Apart => refused("is not in the history of", ANEW),
        Relation::Unknown => refused(
            "this clone does not have, so that nobody can tell whether it is in the history of",
            "git fetch --unshallow origin, then run it again",
        ),
    }
}

const ANEW: &str = "release without --promote";

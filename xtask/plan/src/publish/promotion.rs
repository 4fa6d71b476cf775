//! Whether a tested image may become a release.

use xtask_model::failure::Failure;
use xtask_model::published::{PublishedState, Relation};
use xtask_model::reference::Reference;

use super::request::Request;

/// Checks that the image was built from the released commit or one of its ancestors. (`push` tags an
/// ancestor's image when the service has not changed since.)
pub fn promotable(
    image: &Reference,
    state: &PublishedState,
    request: &Request,
) -> Result<(), Failure> {
    let like = request.like.as_ref();
    let revision = like.and_then(|like| state.images.get(like)?.revision.as_deref());
    let Some(revision) = revision else {
        return Err(Failure::refused(format!("`{image}` does not state its commit")).hint(ANEW));
    };
    let relation = like.and_then(|like| state.relations.get(like));
    let refused = |why: &str, hint: &str| {
        let message =
            format!("`{image}` was built from {revision}, which {why} {}", request.revision);
        Err(Failure::refused(message).hint(hint))
    };
    match relation.copied().unwrap_or(Relation::Unknown) {
        Relation::Same | Relation::Older => Ok(()),
        Relation::Newer | Relation::Apart => refused("is not in the history of", ANEW),
        Relation::Unknown => refused(
            "is missing from this clone, so it is unknown whether it is in the history of",
            "git fetch --unshallow origin, then run it again",
        ),
    }
}

const ANEW: &str = "release without --promote";

//! The rules of tags. Exact tags are immutable. Floating tags only move forward, and never past an
//! image that another run has published since.

use semver::Version;

use xtask_model::failure::Failure;
use xtask_model::published::{PublishedImage, Relation};
use xtask_model::reference::{Digest, Reference, Tag};

use super::request::{Moves, Request};
use crate::release::tags::floating;
use crate::release::version::published;

/// What happens to an exact tag, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exact {
    Stays(&'static str),
    Set(&'static str),
}

/// Decides about the exact tag `reference`, which points to `current`. It never changes, except for the
/// tag of a dirty tree. A commit's own tag belongs to the first version released from it: `v1.0.0` of
/// the commit of `v1.0.0-rc.1` is a different image, because its labels state another version.
pub fn exact(
    reference: &Reference,
    current: Option<&Digest>,
    digest: &Digest,
    request: &Request,
) -> Result<Exact, Failure> {
    let Some(current) = current else { return Ok(Exact::Set("new tag")) };
    if current == digest {
        return Ok(Exact::Stays("already set"));
    }
    if request.options.dirty {
        return Ok(Exact::Set("the tag of a dirty tree may change"));
    }
    let of_commit = reference.tag.as_ref().is_some_and(|tag| request.names_commit(tag));
    if of_commit && request.options.moves == Moves::ByVersion {
        return Ok(Exact::Stays("belongs to the first version released from this commit"));
    }
    let message = format!("`{reference}` never changes: it points to {current}, not to {digest}");
    Err(Failure::refused(message).hint("commit again to get another exact tag"))
}

/// What happens to a floating tag that may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// It points to the image already.
    Stay,
    Go(String),
}

/// Decides whether the floating tag `reference`, which points to `current`, may move to `digest`, an
/// image of the request's commit (`None` while it is still to be built). `newer` is the tag of a newer
/// commit that is published. A move backwards is refused.
pub fn movement(
    reference: &Reference,
    current: Option<(&PublishedImage, Relation)>,
    newer: Option<&Tag>,
    digest: Option<&Digest>,
    request: &Request,
) -> Result<Move, Failure> {
    match request.options.moves {
        Moves::Forward => {}
        Moves::Anywhere => return Ok(Move::Go("`--allow-rollback` allows it".to_owned())),
        Moves::ByVersion => return Ok(Move::Go("the highest version of its line".to_owned())),
    }
    let Some((image, relation)) = current else {
        return Ok(Move::Go("new tag".to_owned()));
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
        Relation::Same => Ok(Move::Go(format!("replaces another image of {theirs}"))),
        Relation::Older => Ok(Move::Go(format!("replaces the image of {theirs}, an ancestor"))),
        Relation::Newer => refused(&format!("is newer than {revision}"), ROLLBACK),
        Relation::Apart => {
            let hint = format!("merge it first; or, {ROLLBACK}");
            refused(&format!("is not an ancestor of {revision}"), &hint)
        }
        Relation::Unknown if image.revision.is_none() => {
            Ok(Move::Go("replaces an image that does not state its commit".to_owned()))
        }
        Relation::Unknown => refused(
            &format!("is missing from this clone, so it is unknown whether {revision} is newer"),
            "git fetch --unshallow origin, then run it again",
        ),
    }
}

const ROLLBACK: &str = "to go back on purpose: cargo xtask push --allow-rollback";

/// Why `dev` must move on, although it was just set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overtaken<'t> {
    /// Another run has published a newer commit under this tag.
    ByNewer(&'t Tag),
    /// Another run has published, under this tag, a commit that this clone does not have and cannot
    /// fetch. It is not an ancestor of ours, so `dev` must not stay on ours.
    ByUnknown(&'t Tag),
}

/// Checks again after `dev` has moved. `newer` is the newest published descendant of our commit,
/// `unknown` are published commits that this clone does not have, and `seen` are the tags that existed
/// when the move was planned.
pub fn recheck<'t>(
    newer: Option<&'t Tag>,
    unknown: &'t [Tag],
    seen: &[Tag],
) -> Option<Overtaken<'t>> {
    let new = unknown.iter().find(|tag| !seen.contains(tag));
    newer.map(Overtaken::ByNewer).or(new.map(Overtaken::ByUnknown))
}

/// The end of a run that was overtaken by a newer commit.
pub fn overtaken(newer: &Tag, reference: &Reference, revision: &str) -> Failure {
    Failure::refused(format!(
        "another run has published `{newer}`, a newer commit than {revision}; \
         `{reference}` now points to it"
    ))
    .hint(ROLLBACK)
}

/// The end of a run that was overtaken by a commit which this clone does not have.
pub fn overtaken_by_unknown(other: &Tag, reference: &Reference, revision: &str) -> Failure {
    Failure::unfinished(format!(
        "another run has published `{other}`, a commit missing from this clone, so it is unknown \
         whether {revision} is newer; `{reference}` now points to it"
    ))
    .hint("git fetch origin, then run it again")
}

/// The refusal of an image that was built on the stand-in of `base`.
pub fn stand_in(image: &Reference, base: &str) -> Failure {
    Failure::refused(format!("`{image}` was built in a lab, on a stand-in for `{base}`"))
        .hint("delete the version, then publish another commit from an engine with real bases")
}

/// The highest stable version of a floating tag's line, if it is higher than the request's version.
pub fn higher<'v>(tag: &Tag, request: &Request, versions: &'v [Version]) -> Option<&'v Version> {
    let ours = published(&request.tags.exact).into_iter().next()?;
    let in_line =
        |version: &&Version| floating(version, &[]).iter().any(|floating| floating.tag == *tag);
    versions.iter().filter(in_line).max().filter(|highest| **highest > ours)
}

/// Where cosign may have stored the signature of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredSignature<'t> {
    /// cosign 2 uses a tag of its own for each signature.
    There,
    /// cosign 3 adds it to the image's referrers, which this tag lists with those of other tools.
    MaybeListed(&'t Tag),
}

/// The signature of an image in a repository with these tags.
pub fn signature<'t>(digest: &Digest, tags: &'t [Tag]) -> Option<StoredSignature<'t>> {
    let name = digest.as_str().replace(':', "-");
    let tag = |name: &str| tags.iter().find(|tag| tag.as_str() == name);
    let there = tag(&format!("{name}.sig")).map(|_| StoredSignature::There);
    there.or_else(|| tag(&name).map(StoredSignature::MaybeListed))
}

#[cfg(test)]
#[path = "tags_tests.rs"]
mod tests;

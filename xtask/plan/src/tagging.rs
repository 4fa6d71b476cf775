//! What becomes of each tag of a publication. Exact tags are immutable; floating tags move forward
//! only, and what others published meanwhile is never overtaken.

use semver::Version;

use xtask_model::failure::Failure;
use xtask_model::published::{PublishedImage, Relation};
use xtask_model::reference::{Digest, Reference, Tag};

use super::publish::{Moves, Request};
use super::release;

/// What becomes of an exact tag, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exact {
    Stays(&'static str),
    Set(&'static str),
}

/// Decides about the exact tag `reference`, which now points at `there`: it never changes, but for
/// that of a dirty tree. A commit's own tag belongs to the first version that was released from it:
/// `v1.0.0` of the commit of `v1.0.0-rc.1` is another image, because its labels tell another version.
pub fn exact(
    reference: &Reference,
    there: Option<&Digest>,
    digest: &Digest,
    request: &Request,
) -> Result<Exact, Failure> {
    let Some(there) = there else { return Ok(Exact::Set("set by reference")) };
    if there == digest {
        return Ok(Exact::Stays("it is there"));
    }
    if request.wishes.dirty {
        return Ok(Exact::Set("the tag of a dirty tree is no commit's"));
    }
    let of_commit = reference.tag.as_ref().is_some_and(|tag| request.names_commit(tag));
    if of_commit && request.wishes.moves == Moves::ByVersion {
        return Ok(Exact::Stays("it is the first version's that was released from this commit"));
    }
    let message = format!("`{reference}` is {there} and never changes; this is {digest}");
    Err(Failure::refused(message).hint("commit again, so that there is another exact tag"))
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

/// Where `dev`, which was just moved, must be moved on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overtaken<'t> {
    /// Another run has published a newer commit.
    ByNewer(&'t Tag),
    /// Another run has published a commit that this clone does not have and cannot fetch. It is none of
    /// the commits that ours was made on, so that it is not for us to take its place.
    ByUnknown(&'t Tag),
}

/// What was published while `dev` was moved. `newer` is the newest published commit that was made on
/// ours, `unknown` are those that this clone does not have, and `seen` the tags that were there when
/// the move was planned.
pub fn meanwhile<'t>(
    newer: Option<&'t Tag>,
    unknown: &'t [Tag],
    seen: &[Tag],
) -> Option<Overtaken<'t>> {
    let new = unknown.iter().find(|tag| !seen.contains(tag));
    newer.map(Overtaken::ByNewer).or(new.map(Overtaken::ByUnknown))
}

/// How the one that was overtaken by an unknown commit ends.
pub fn overtaken_unseen(other: &Tag, reference: &Reference, revision: &str) -> Failure {
    Failure::unfinished(format!(
        "`{other}` was published meanwhile, from a commit that this clone does not have, so that \
         nobody can tell whether {revision} is newer; `{reference}` is its"
    ))
    .hint("git fetch origin, then run it again")
}

/// The version that a floating tag belongs to, if it is higher than that of the request: the highest
/// stable one of its line.
pub fn higher<'v>(tag: &Tag, request: &Request, versions: &'v [Version]) -> Option<&'v Version> {
    let ours = release::published(&request.tags.exact).into_iter().next()?;
    let in_line = |version: &&Version| {
        release::floating(version, &[]).iter().any(|floating| floating.tag == *tag)
    };
    versions.iter().filter(in_line).max().filter(|highest| **highest > ours)
}

/// Where cosign has left the signature of an image, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature<'t> {
    /// cosign 2 takes a tag of its own for it.
    There,
    /// cosign 3 adds it to what refers to the image, as others do, which is listed under a tag.
    MaybeListed(&'t Tag),
}

/// The signature of an image in a repository with these tags.
pub fn signature<'t>(digest: &Digest, tags: &'t [Tag]) -> Option<Signature<'t>> {
    let name = digest.as_str().replace(':', "-");
    let tag = |name: &str| tags.iter().find(|tag| tag.as_str() == name);
    let there = tag(&format!("{name}.sig")).map(|_| Signature::There);
    there.or_else(|| tag(&name).map(Signature::MaybeListed))
}

/// The refusal of a move that came after that of a newer commit.
pub fn overtaken(newer: &Tag, reference: &Reference, revision: &str) -> Failure {
    Failure::refused(format!(
        "`{newer}` was published meanwhile, from a newer commit than {revision}; `{reference}` is its"
    ))
    .hint(ROLLBACK)
}

#[cfg(test)]
#[path = "tagging_tests.rs"]
mod tests;

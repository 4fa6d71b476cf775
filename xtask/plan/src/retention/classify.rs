//! What a tag means for the image it points to.

use std::ops::Bound;

use xtask_model::inventory::Policy;
use xtask_model::reference::Digest;

/// The meaning of one tag; the first that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// On the list of tags that are kept.
    Listed,
    /// A signature or an attestation of this digest: `sha256-<hex>[.suffix]`.
    Refers(Digest),
    /// A semantic version, or the floating tag of one.
    Version,
    /// The image of one commit, which may expire.
    Commit(String),
    /// Unrecognized; kept and reported.
    Unknown,
}

impl Class {
    /// The digest that the version under this tag is about.
    pub fn subject(&self) -> Option<&Digest> {
        match self {
            Self::Refers(digest) => Some(digest),
            _ => None,
        }
    }
}

/// Classifies a tag.
pub fn classify(tag: &str, policy: &Policy) -> Class {
    if policy.keep.iter().any(|kept| kept == tag) {
        return Class::Listed;
    }
    if let Some(digest) = referred(tag) {
        return Class::Refers(digest);
    }
    if is_version(tag) {
        return Class::Version;
    }
    let prefixed = tag.strip_prefix("dev-").or_else(|| tag.strip_prefix("sha-"));
    match prefixed {
        Some(hash) if is_hash(hash) => Class::Commit(hash.to_owned()),
        // A number may be a date or a build; only as a known commit it is one.
        None if is_hash(tag) && (!is_decimal(tag) || commit_time(tag, policy).is_some()) => {
            Class::Commit(tag.to_owned())
        }
        _ => Class::Unknown,
    }
}

/// When a commit was made, where the policy knows it; `hash` may be the beginning of the known one, and
/// the known one, from seven digits on, the beginning of `hash`.
pub fn commit_time(hash: &str, policy: &Policy) -> Option<f64> {
    let commits = &policy.commits;
    let from = commits.range::<str, _>((Bound::Included(hash), Bound::Unbounded));
    let longer = from.take_while(|(known, _)| known.starts_with(hash));
    let shorter = (7..hash.len()).filter_map(|length| commits.get(hash.get(..length)?));
    longer.map(|(_, time)| *time).chain(shorter.copied()).reduce(f64::max)
}

fn referred(tag: &str) -> Option<Digest> {
    let rest = tag.strip_prefix("sha256-")?;
    let hex = rest.split('.').next().unwrap_or_default();
    Digest::new(format!("sha256:{hex}")).ok()
}

fn is_version(tag: &str) -> bool {
    let bare = tag.strip_prefix('v').unwrap_or(tag);
    if semver::Version::parse(bare).is_ok() {
        return true;
    }
    let parts: Vec<&str> = bare.split('.').collect();
    // Seven digits and more may be a commit or a date.
    let number = |part: &&str| {
        is_decimal(part) && part.len() <= 6 && (*part == "0" || !part.starts_with('0'))
    };
    parts.len() <= 2 && parts.iter().all(number)
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// 7 to 40 lower-case hexadecimal digits.
fn is_hash(text: &str) -> bool {
    (7..=40).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_found_by_an_abbreviated_hash() {
        let commits =
            [("abcdef0123", 3.0), ("abcdef1", 5.0), ("abcdee", 9.0), ("abcdef01234", 1.0)];
        let commits = commits.map(|(hash, time)| (hash.to_owned(), time)).into();
        let policy = Policy { commits, ..Policy::default() };
        for (hash, expected) in [
            ("abcdef0", Some(3.0)),
            ("abcdef", Some(5.0)),
            ("abcdef01234", Some(3.0)),
            ("abcdef1234567", Some(5.0)),
            // Six digits are too few.
            ("abcdee1234567", None),
            ("abcdeg", None),
        ] {
            assert_eq!(commit_time(hash, &policy), expected, "{hash}");
        }
    }
}

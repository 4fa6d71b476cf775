//! What a tag says about the image under it.

use crate::model::inventory::Policy;
use crate::model::reference::Digest;

/// The meaning of one tag; the first that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// On the list of what is kept.
    Listed,
    /// Not an image of its own: it speaks about another, as `sha256-<hex>[.suffix]`.
    Refers(Digest),
    /// A semantic version, or the floating tag of one.
    Version,
    /// The image of one commit, which may expire.
    Commit(String),
    /// Nobody knows; kept and reported.
    Unknown,
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

/// When a commit was made, where the policy knows it; `hash` may be the beginning of the known one.
pub fn commit_time(hash: &str, policy: &Policy) -> Option<f64> {
    let known = |(commit, _): &(&String, &f64)| {
        commit.starts_with(hash) || (commit.len() >= 7 && hash.starts_with(commit.as_str()))
    };
    policy.commits.iter().filter(known).map(|(_, time)| *time).reduce(f64::max)
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

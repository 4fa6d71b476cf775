//! The version after the last one: by its kind, or by the commits since.

use semver::Version;

/// The next version to release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum NextVersion {
    Major,
    Minor,
    Patch,
    /// Chosen from the commits since the last release, by their Conventional Commits
    Auto,
}

impl std::fmt::Display for NextVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Patch => "patch",
            Self::Auto => "auto",
        })
    }
}

/// The version after `last`, a stable one; for `auto` by the messages of the commits since.
///
/// Source: conventionalcommits.org 1.0.0. Before 1.0.0 a breaking change raises the minor version, as
/// Cargo reads versions.
pub fn next(last: Option<&Version>, next: NextVersion, messages: &[String]) -> Version {
    let Some(last) = last else { return Version::new(0, 1, 0) };
    let (major, minor, patch) = (last.major, last.minor, last.patch);
    let next = match next {
        NextVersion::Auto => wanted(messages, major == 0),
        other => other,
    };
    match next {
        NextVersion::Major => Version::new(major + 1, 0, 0),
        NextVersion::Minor => Version::new(major, minor + 1, 0),
        NextVersion::Patch | NextVersion::Auto => Version::new(major, minor, patch + 1),
    }
}

fn wanted(messages: &[String], before_one: bool) -> NextVersion {
    let breaks = |message: &String| {
        Heading::parse(message).is_some_and(|heading| heading.breaks)
            || has_breaking_footer(message)
    };
    let adds = |message: &String| {
        Heading::parse(message).is_some_and(|heading| heading.kind.eq_ignore_ascii_case("feat"))
    };
    if messages.iter().any(breaks) {
        if before_one { NextVersion::Minor } else { NextVersion::Major }
    } else if messages.iter().any(adds) {
        NextVersion::Minor
    } else {
        NextVersion::Patch
    }
}

/// The first line of a message that keeps to the convention: `type(scope)!: text`.
struct Heading<'m> {
    kind: &'m str,
    breaks: bool,
}

impl<'m> Heading<'m> {
    /// `None` for a line that only looks like one, such as `Ship it!` or `Fix the case: x`.
    fn parse(message: &'m str) -> Option<Self> {
        let (head, text) = message.lines().next()?.split_once(": ")?;
        let (head, breaks) = match head.strip_suffix('!') {
            Some(head) => (head, true),
            None => (head, false),
        };
        let kind = match head.strip_suffix(')') {
            Some(head) => head.split_once('(').filter(|(_, scope)| !scope.is_empty())?.0,
            None => head,
        };
        let is_word = !kind.is_empty() && kind.chars().all(|c| c.is_alphanumeric() || c == '-');
        (is_word && !text.trim().is_empty()).then_some(Self { kind, breaks })
    }
}

/// A line below the first one that begins with the words, which the convention wants in capitals.
fn has_breaking_footer(message: &str) -> bool {
    let is_footer =
        |line: &str| line.starts_with("BREAKING CHANGE: ") || line.starts_with("BREAKING-CHANGE: ");
    message.lines().skip(1).any(is_footer)
}

//! The tags of a version, and which floating ones move to it.

use semver::Version;
use serde::Serialize;

use xtask_model::failure::Failure;
use xtask_model::reference::Tag;

/// What becomes of one floating tag, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Floating {
    pub tag: Tag,
    pub moves: bool,
    pub reason: String,
}

/// The exact tags of a version: itself and its commit.
pub fn exact(version: &Version, revision: &str) -> Result<Vec<Tag>, Failure> {
    let tag = |text: String| Tag::new(text).map_err(|error| Failure::usage(error.to_string()));
    Ok(vec![tag(format!("v{version}"))?, tag(revision.to_owned())?])
}

/// Which floating tags a version moves, when `published` are there already. A tag moves to the highest stable
/// version of its line, in whatever order versions are released.
pub fn floating(version: &Version, published: &[Version]) -> Vec<Floating> {
    if !version.pre.is_empty() {
        return Vec::new();
    }
    // How many leading numbers the versions of a line share.
    let (major, minor) = (version.major, version.minor);
    let latest = Tag::latest().to_string();
    let lines = [(format!("{major}.{minor}"), 2), (major.to_string(), 1), (latest, 0)];
    let decide = |(name, shared): (String, usize)| {
        let line = |version: &Version| {
            [version.major, version.minor].into_iter().take(shared).collect::<Vec<_>>()
        };
        let in_line = |other: &&Version| other.pre.is_empty() && line(other) == line(version);
        let stable = published.iter().filter(in_line);
        let highest = stable.max().filter(|highest| *highest > version);
        let (moves, reason) = match highest {
            Some(highest) => (false, format!("v{highest} is higher")),
            None => (true, format!("v{version} is the highest stable version of its line")),
        };
        Some(Floating { tag: Tag::new(name).ok()?, moves, reason })
    };
    lines.into_iter().filter_map(decide).collect()
}

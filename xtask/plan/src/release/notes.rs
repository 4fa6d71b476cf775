//! The notes of a release, and the GitHub release with them.

use std::collections::BTreeMap;

use semver::Version;

use xtask_model::release::GitHubRelease;

/// The release before `version`, where its notes begin: for a stable version the last stable one, even with
/// pre-releases in between.
pub fn previous<'v>(
    version: &Version,
    known: &'v BTreeMap<Version, String>,
) -> Option<(&'v Version, &'v String)> {
    let counts = |other: &Version| other.pre.is_empty() || !version.pre.is_empty();
    known.range(..version).rev().find(|(other, _)| counts(other))
}

/// The GitHub release of `version`; it is the latest one when none that is `published` is higher.
pub fn announcement(
    version: &Version,
    revision: &str,
    published: &[Version],
    body: String,
) -> GitHubRelease {
    let stable = version.pre.is_empty();
    let higher = published.iter().any(|other| other.pre.is_empty() && other > version);
    GitHubRelease {
        tag_name: format!("v{version}"),
        target_commitish: revision.to_owned(),
        name: format!("v{version}"),
        body,
        draft: false,
        prerelease: !stable,
        make_latest: if stable && !higher { "true" } else { "false" },
    }
}

/// The section of a changelog that is about `version`: the text below its heading, up to the next heading of
/// the same level.
pub fn changelog_section(text: &str, version: &Version) -> Option<String> {
    let names = [format!("v{version}"), version.to_string()];
    let heading = |line: &str| line.starts_with("## ");
    let is_ours = |line: &str| {
        let mut words = line.trim_start_matches('#').split([' ', '[', ']', '(', ')']);
        words.any(|word| names.iter().any(|name| name == word))
    };
    let mut lines = text.lines().skip_while(|line| !(heading(line) && is_ours(line)));
    lines.next()?;
    let body: Vec<&str> = lines.take_while(|line| !heading(line)).collect();
    let body = body.join("\n").trim().to_owned();
    (!body.is_empty()).then_some(body)
}

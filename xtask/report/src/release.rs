//! Releases for people: what a dry run says about each tag, and the page on GitHub.

use std::fmt::Write;

use semver::Version;

use xtask_model::publication::Published;
use xtask_model::release::ReleaseFacts;
use xtask_plan::release::{Floating, GitTag, ReleasePlan, changelog_section, previous};

use super::table::Table;

/// The most characters that GitHub accepts.
const LONGEST: usize = 125_000;

/// The notes of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notes {
    text: String,
    /// Where the full text is, if it is too long.
    whole: String,
}

/// The section of the changelog, otherwise the commits since the previous release.
pub fn notes(version: &Version, release: &ReleaseFacts) -> Notes {
    let section = release.changelog.as_ref().and_then(|text| changelog_section(text, version));
    if let Some(text) = section {
        return Notes { text, whole: "`CHANGELOG.md`".to_owned() };
    }
    let known = release.known();
    let since = previous(version, &known).map(|(previous, _)| format!("v{previous}"));
    let range =
        since.as_ref().map_or(format!("v{version}"), |since| format!("{since}..v{version}"));
    let mut text = String::from("## Changes\n\n");
    for message in &release.messages {
        let _ = writeln!(text, "- {}", message.lines().next().unwrap_or_default());
    }
    if release.messages.is_empty() {
        let _ = writeln!(text, "None since {}.", since.as_deref().unwrap_or("the beginning"));
    }
    Notes { text: text.trim_end().to_owned(), whole: format!("`git log {range}`") }
}

/// The text of the GitHub release. Text that somebody has `written` into its draft replaces the notes. Notes
/// that are too long are cut; the images never are.
pub fn body(notes: &Notes, written: Option<&str>, images: &str) -> String {
    let length = |text: &str| text.chars().count();
    if let Some(written) = written.filter(|text| !text.trim().is_empty()) {
        let both = format!("{}\n\n{images}", written.trim_end());
        let is_enough = written.contains(images) || length(&both) > LONGEST;
        return if is_enough { written.to_owned() } else { both };
    }
    let both = format!("{}\n\n{images}", notes.text);
    if length(&both) <= LONGEST {
        return both;
    }
    let pointer = format!("\n\n… and more: {}\n\n{images}", notes.whole);
    let room = LONGEST.saturating_sub(length(&pointer));
    let mut text: String = notes.text.chars().take(room).collect();
    // Cut whole lines.
    text.truncate(text.rfind('\n').unwrap_or(text.len()));
    text + &pointer
}

/// The images of a release, with the commands that pull them.
pub fn images(results: &[Published]) -> String {
    let mut table = Table::new(["image", "by tag", "by digest"]);
    for published in results {
        let (Some(digest), Some(first)) = (&published.digest, published.tags.first()) else {
            continue;
        };
        let tagged = published.repository.with_tag(first.tag.clone());
        let by_digest = published.repository.at(digest.clone());
        table.row([
            published.service.to_string(),
            format!("`docker pull {tagged}`"),
            format!("`docker pull {by_digest}`"),
        ]);
    }
    format!("## Images\n\n{}", table.markdown().trim_end())
}

/// The release of a plan, as comments of a script.
pub fn explained(release: &ReleasePlan) -> String {
    let ReleasePlan { version, reason, git_tag, floating, .. } = release;
    let mut text = format!("# release: v{version} ({reason})\n");
    let git_tag = match git_tag {
        GitTag::There => "exists",
        GitTag::OnlyHere => "is missing at `origin`",
        GitTag::Missing => "is missing",
    };
    let _ = writeln!(text, "# git tag: v{version} {git_tag}");
    for Floating { tag, moves, reason } in floating {
        let verb = if *moves { "moves" } else { "stays" };
        let _ = writeln!(text, "# tag {tag} {verb} ({reason})");
    }
    if !version.pre.is_empty() {
        text.push_str("# a pre-release moves no floating tag\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(messages: &[&str]) -> ReleaseFacts {
        let tags = ["1.0.0", "1.1.0-rc.1"].map(|v| (Version::parse(v).unwrap(), v.to_owned()));
        ReleaseFacts {
            tags: tags.into(),
            messages: messages.iter().map(ToString::to_string).collect(),
            ..ReleaseFacts::default()
        }
    }

    #[test]
    fn notes_come_from_changelog_or_commits() {
        let version = Version::new(1, 1, 0);
        let mut facts = facts(&["feat: b\n\nlong", "fix: a"]);
        assert_eq!(notes(&version, &facts).text, "## Changes\n\n- feat: b\n- fix: a");
        facts.changelog = Some("## v1.1.0\n\nBetter.\n".to_owned());
        assert_eq!(notes(&version, &facts).text, "Better.");
        facts.changelog = None;
        facts.messages.clear();
        assert_eq!(notes(&version, &facts).text, "## Changes\n\nNone since v1.0.0.");
    }

    #[test]
    fn text_in_a_draft_stays_before_the_images() {
        let notes = notes(&Version::new(1, 1, 0), &facts(&["fix: a"]));
        let images = "## Images\n\n| web |";
        assert_eq!(body(&notes, None, images), "## Changes\n\n- fix: a\n\n## Images\n\n| web |");
        assert_eq!(body(&notes, Some(" \n"), images), body(&notes, None, images));
        let merged = body(&notes, Some("By hand.\n"), images);
        assert_eq!(merged, "By hand.\n\n## Images\n\n| web |");
        assert_eq!(body(&notes, Some(&merged), images), merged);
    }

    #[test]
    fn long_notes_are_cut_with_a_pointer() {
        let message = format!("fix: {}", "ä".repeat(994));
        let messages: Vec<&str> = vec![&message; 200];
        let notes = notes(&Version::new(1, 1, 0), &facts(&messages));
        let body = body(&notes, None, "## Images\n\n| web |");
        assert!((124_000..=LONGEST).contains(&body.chars().count()), "{}", body.chars().count());
        assert!(
            body.ends_with("ä\n\n… and more: `git log v1.0.0..v1.1.0`\n\n## Images\n\n| web |"),
            "{}",
            body.get(body.len() - 80..).unwrap_or_default()
        );
    }
}

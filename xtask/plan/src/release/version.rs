//! Reads versions that people type and that tags contain.

use semver::Version;

use xtask_model::failure::Failure;
use xtask_model::reference::Tag;

/// Reads a version as a person types it, with or without `v`. Refuses valid versions that a tag cannot
/// contain, and common typing errors.
pub fn version(text: &str) -> Result<Version, Failure> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let wrong = |problem: String| {
        Failure::usage(format!("`{text}` is not a version: {problem}"))
            .hint("cargo xtask release v1.2.3")
    };
    if text.starts_with('V') {
        return Err(wrong(format!(
            "`V` is upper case; did you mean `v{}`?",
            bare.trim_start_matches('V')
        )));
    }
    let parsed = Version::parse(bare).map_err(|error| wrong(explained(bare, &error)))?;
    if !parsed.build.is_empty() {
        return Err(wrong(format!(
            "`+{}` is build metadata, which a tag cannot carry",
            parsed.build
        )));
    }
    if parsed.pre.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(wrong(format!("`{}` has upper-case letters", parsed.pre)));
    }
    Tag::new(format!("v{parsed}")).map_err(|error| wrong(error.problem))?;
    Ok(parsed)
}

/// Explains the mistake in an invalid version.
fn explained(text: &str, error: &semver::Error) -> String {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    if let Some(part) = parts.iter().find(|part| part.len() > 1 && part.starts_with('0')) {
        let number = part.trim_start_matches('0');
        let number = if number.is_empty() { "0" } else { number };
        return format!("`{part}` has a leading zero; write `{number}`");
    }
    match parts.len() {
        1 | 2 if parts.iter().all(|part| part.parse::<u64>().is_ok()) => {
            format!(
                "it has {} of three parts; write `v{core}{}`",
                parts.len(),
                ".0".repeat(3 - parts.len())
            )
        }
        4.. => format!("it has {} parts, not three", parts.len()),
        _ => error.to_string(),
    }
}

/// The stable versions and pre-releases among the tags of a repository.
pub fn published(tags: &[Tag]) -> Vec<Version> {
    tags.iter().filter_map(|tag| Version::parse(tag.as_str().strip_prefix('v')?).ok()).collect()
}

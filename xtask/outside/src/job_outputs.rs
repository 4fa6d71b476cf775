//! Writes a GitHub job's outputs and its summary. Outside a job it writes nothing.
//!
//! Source: "Workflow commands for GitHub Actions", environment files and multiline strings.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::environment;

/// Appends `name`-`value` pairs to `GITHUB_OUTPUT`.
pub fn output(pairs: impl IntoIterator<Item = (String, String)>) -> Result<()> {
    let Some(path) = environment::text("GITHUB_OUTPUT") else { return Ok(()) };
    let mut text = String::new();
    for (name, value) in pairs {
        text.push_str(&entry(&name, &value)?);
    }
    append(Path::new(&path), &text)
}

/// Appends Markdown to `GITHUB_STEP_SUMMARY`.
pub fn summary(markdown: &str) -> Result<()> {
    let Some(path) = environment::text("GITHUB_STEP_SUMMARY") else { return Ok(()) };
    append(Path::new(&path), &format!("{markdown}\n"))
}

fn append(path: &Path, text: &str) -> Result<()> {
    let open = std::fs::OpenOptions::new().append(true).create(true).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// One entry in the form with a delimiter, for values of several lines. A delimiter inside the value would
/// let the value set other outputs.
fn entry(name: &str, value: &str) -> Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || !name.chars().all(allowed) {
        bail!("`{}` is not a valid output name", name.escape_debug());
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, value.as_bytes());
    let digits = super::registry::digest::hex(hash.as_ref());
    let hex = digits.get(..16).unwrap_or_default();
    let delimiter = format!("end_of_{name}_{hex}");
    if value.contains(&delimiter) {
        bail!("the output `{name}` contains its own delimiter");
    }
    Ok(format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiline_value_cannot_set_another_output() {
        let text = entry("digest", "a\ndigest<<x\nb\nx").unwrap();
        let delimiter = text.lines().next().unwrap().split_once("<<").unwrap().1.to_owned();
        assert_eq!(text.lines().filter(|line| **line == delimiter).count(), 1);
        assert_eq!(text.lines().next_back(), Some(delimiter.as_str()));
    }

    #[test]
    fn a_name_with_a_line_break_is_refused() {
        assert!(entry("a\nb", "x").is_err());
        assert!(entry("", "x").is_err());
    }
}

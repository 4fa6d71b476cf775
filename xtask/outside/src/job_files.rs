//! The files that GitHub's runner gives to a step, for a step that is played here: what it writes into
//! them is read back as the runner would. `outside::github` writes them.
//!
//! Source: "Workflow commands for GitHub Actions", environment files and multiline strings.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::files;

/// The files of one step, removed when the value goes.
pub struct JobFiles {
    folder: tempfile::TempDir,
}

impl JobFiles {
    /// Empty files, and one with the event.
    pub fn new(payload: &Value) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("xtask-step-").tempdir()?;
        let files = Self { folder };
        files::write_atomically(&files.path("GITHUB_EVENT_PATH"), payload.to_string().as_bytes())?;
        for name in ["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY"] {
            files::write_atomically(&files.path(name), b"")?;
        }
        Ok(files)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The variables that name the files.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        ["GITHUB_EVENT_PATH", "GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY"]
            .into_iter()
            .map(|name| (name, self.path(name).display().to_string()))
    }

    /// What the step gives to later steps and jobs.
    pub fn outputs(&self) -> Result<Vec<(String, String)>> {
        pairs(&files::read(&self.path("GITHUB_OUTPUT"))?).context("`GITHUB_OUTPUT` is malformed")
    }

    /// The variables that the step sets for later ones.
    pub fn environment(&self) -> Result<Vec<(String, String)>> {
        pairs(&files::read(&self.path("GITHUB_ENV"))?).context("`GITHUB_ENV` is malformed")
    }

    /// What the step tells people, as Markdown.
    pub fn summary(&self) -> Result<String> {
        files::read(&self.path("GITHUB_STEP_SUMMARY"))
    }
}

/// Entries `name=value`, or `name<<DELIMITER` with lines up to the delimiter.
fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let equals = line.find('=').unwrap_or(line.len());
        match line.split_once("<<") {
            Some((name, delimiter)) if name.len() < equals => {
                let mut value = Vec::new();
                loop {
                    match lines.next() {
                        Some(line) if line == delimiter => break,
                        Some(line) => value.push(line),
                        None => bail!("`{name}` has no line `{delimiter}` at its end"),
                    }
                }
                pairs.push((name.to_owned(), value.join("\n")));
            }
            _ => match line.split_once('=') {
                Some((name, value)) => pairs.push((name.to_owned(), value.to_owned())),
                None => bail!("`{line}` is no `name=value`"),
            },
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_entry_are_read() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let read = pairs("a=1<<2\nb<<END\nx=y\n\nz\nEND\nc=\n").unwrap();
        assert_eq!(read, [pair("a", "1<<2"), pair("b", "x=y\n\nz"), pair("c", "")]);
        assert!(pairs("b<<END\nx\n").is_err());
        assert!(pairs("b\n").is_err());
    }

    #[test]
    fn the_event_and_empty_files_are_there() {
        let files = JobFiles::new(&serde_json::json!({"ref": "x"})).unwrap();
        let paths: std::collections::BTreeMap<_, _> = files.variables().collect();
        assert_eq!(std::fs::read_to_string(&paths["GITHUB_EVENT_PATH"]).unwrap(), r#"{"ref":"x"}"#);
        assert_eq!(files.outputs().unwrap(), []);
        assert_eq!(files.summary().unwrap(), "");
    }
}

//! Values of the configuration: plain words, variables, build arguments and the sources of secrets.

use serde::{Deserialize, Serialize};

use crate::secret::looks_secret;

/// Where the value of a build secret comes from. The value itself is never read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    Env(String),
    File(String),
}

/// Reads a word that buildx's comma-separated flags cannot misread.
pub(super) fn plain(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !text.is_empty() && text.chars().all(allowed) && !text.starts_with('-') {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}`: expected letters, digits, `.`, `_` and `-`", text.escape_debug()))
    }
}

/// A variable: a valid name for a shell, and a value on one line.
pub(super) fn variable(name: &str, value: &str) -> Result<(), String> {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("expected a name of letters, digits and `_`".to_owned());
    }
    if value.chars().any(char::is_control) {
        return Err("the value has a line break or another control character".to_owned());
    }
    Ok(())
}

/// A build argument: a variable, and not a secret. BuildKit keeps the values of arguments in the
/// image's history and provenance, where anyone can read them.
pub fn build_argument(name: &str, value: &str) -> Result<(), String> {
    variable(name, value)?;
    if looks_secret(name) {
        return Err(format!(
            "`{name}` looks like a secret, and build arguments are published with the image; \
             mount it with `--secret id={},env={name}` instead",
            name.to_ascii_lowercase()
        ));
    }
    Ok(())
}

/// Reads where a build secret comes from: `env:NAME` or `file:PATH`.
pub fn secret_source(id: &str, text: &str) -> Result<SecretSource, String> {
    plain(id)?;
    let is_plain = |value: &str| !value.is_empty() && !value.contains([',', '"', '\n', '\r']);
    match text.split_once(':') {
        Some(("env", name)) if is_plain(name) => Ok(SecretSource::Env(name.to_owned())),
        Some(("file", path)) if is_plain(path) => Ok(SecretSource::File(path.to_owned())),
        _ => Err(format!("`{}`: expected `env:NAME` or `file:PATH`", text.escape_debug())),
    }
}

//! Access tokens of the stand-in GitHub: their owners and permissions. The API and the registry front accept
//! the same tokens, as GitHub and GHCR do.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::state;
use crate::sync::lock;

/// The access of a token to one kind of resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    #[default]
    None,
    Read,
    Write,
}

/// One token.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    #[serde(rename = "token")]
    pub text: String,
    pub login: String,
    /// `contents` and `packages`, as in the `permissions` of a workflow. A missing name means no permission.
    #[serde(default)]
    pub permissions: BTreeMap<String, Level>,
}

impl Token {
    pub fn level(&self, resource: &str) -> Level {
        self.permissions.get(resource).copied().unwrap_or_default()
    }
}

/// The tokens, kept in one file.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    known: Mutex<Vec<Token>>,
}

impl Tokens {
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("tokens.json");
        let known = Mutex::new(state::read_json(&path)?);
        Ok(Self { path, known })
    }

    pub fn find(&self, text: &str) -> Option<Token> {
        lock(&self.known).iter().find(|token| token.text == text).cloned()
    }

    /// Adds a token, or replaces the one with the same text.
    pub fn add(&self, token: Token) -> io::Result<()> {
        let mut known = lock(&self.known);
        known.retain(|other| other.text != token.text);
        known.push(token);
        state::write_json(&self.path, &*known)
    }

    /// Revokes a token; false if it does not exist.
    pub fn revoke(&self, text: &str) -> io::Result<bool> {
        let mut known = lock(&self.known);
        let before = known.len();
        known.retain(|token| token.text != text);
        state::write_json(&self.path, &*known)?;
        Ok(known.len() < before)
    }
}

//! The settings of the registry front, kept in a file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::state;
use crate::sync::lock;

/// How the front behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Require tokens, as GHCR does.
    pub authentication: bool,
}

/// The settings, kept in one file.
#[derive(Debug)]
pub struct Switches {
    path: PathBuf,
    settings: Mutex<Settings>,
}

impl Switches {
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("front.json");
        let settings = Mutex::new(state::read_json(&path)?);
        Ok(Self { path, settings })
    }

    pub fn settings(&self) -> Settings {
        *lock(&self.settings)
    }

    pub fn set(&self, settings: Settings) -> io::Result<()> {
        let mut current = lock(&self.settings);
        state::write_json(&self.path, &settings)?;
        *current = settings;
        Ok(())
    }
}

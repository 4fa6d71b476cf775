//! The parts of the API stand-in. It answers no request.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::limits::Limits;
use super::packages::Packages;
use super::repositories::Repositories;
use crate::ledger::Ledger;
use crate::registry::Registry;
use crate::tokens::Tokens;
use crate::watch::Watch;

/// The service.
#[derive(Debug)]
pub struct Github {
    pub(super) tokens: Arc<Tokens>,
    pub(super) limits: Limits,
    pub(super) repositories: Repositories,
    pub(super) packages: Packages,
    pub(super) watch: Watch,
}

impl Github {
    pub fn open(
        directory: &Path,
        registry: Arc<Registry>,
        ledger: Arc<Ledger>,
        tokens: Arc<Tokens>,
    ) -> Result<Self> {
        Ok(Self {
            tokens,
            limits: Limits::default(),
            repositories: Repositories::open(directory)?,
            packages: Packages { ledger, registry },
            watch: Watch::default(),
        })
    }
}

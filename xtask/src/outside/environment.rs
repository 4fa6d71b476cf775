//! The environment variables, read once. Values of secrets are never kept here.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use crate::model::facts::{Environment, GitHub};
use crate::model::failure::Failure;

/// What the environment says, as facts. `secret_names` are the variables that secrets of the
/// configuration come from; only whether they are set is kept.
pub fn read<'a>(secret_names: impl Iterator<Item = &'a str>) -> Environment {
    let github = (text("GITHUB_ACTIONS").as_deref() == Some("true")).then(|| GitHub {
        event: text("GITHUB_EVENT_NAME").unwrap_or_default(),
        reference: text("GITHUB_REF").unwrap_or_default(),
        repository: text("GITHUB_REPOSITORY"),
        server_url: text("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned()),
    });
    let secrets_present = secret_names.filter(|name| text(name).is_some()).map(str::to_owned);
    Environment { github, secrets_present: secrets_present.collect() }
}

/// The value of `name`, `None` when it is unset, empty or not Unicode.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The root of the repository: the nearest folder whose Cargo.toml has a `[workspace]` table, above
/// the crate that cargo runs or else above the working directory.
pub fn root() -> Result<PathBuf> {
    let crate_folder = text("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let start = match crate_folder.as_deref().and_then(Path::parent) {
        Some(parent) => parent.to_owned(),
        None => std::env::current_dir()?,
    };
    let is_root = |folder: &&Path| {
        std::fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|text| text.lines().any(|line| line.trim().starts_with("[workspace")))
    };
    start.ancestors().find(is_root).map(Path::to_owned).ok_or_else(|| {
        let shown = start.display();
        anyhow!(
            Failure::usage(format!("no Cargo.toml with a [workspace] table at or above `{shown}`"))
                .hint("cd to the repository and type `cargo xtask build`")
        )
    })
}

/// Where cargo and xtask put what can be made again: `CARGO_TARGET_DIR`, else `target`.
pub fn target_folder(root: &Path) -> PathBuf {
    root.join(text("CARGO_TARGET_DIR").unwrap_or_else(|| "target".to_owned()))
}

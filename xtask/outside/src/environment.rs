//! The environment variables, read once. Values of secrets are never kept here.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use xtask_model::config::SecretSource;
use xtask_model::facts::{Environment, GitHubJob};
use xtask_model::failure::Failure;
use xtask_model::platform::Platform;
use xtask_model::secret::looks_secret;
use xtask_model::token::Secret;

/// Reads the environment as facts. Only the presence of secrets is kept; files are looked up below `root`.
pub fn read<'a>(root: &Path, secrets: impl Iterator<Item = &'a SecretSource>) -> Environment {
    let github = (text("GITHUB_ACTIONS").as_deref() == Some("true")).then(|| GitHubJob {
        event: text("GITHUB_EVENT_NAME").unwrap_or_default(),
        reference: text("GITHUB_REF").unwrap_or_default(),
        server_url: text("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned()),
    });
    let there = |source: &&SecretSource| match source {
        SecretSource::Env(name) => text(name).is_some(),
        SecretSource::File(path) => root.join(path).is_file(),
    };
    Environment {
        github,
        repository: text("GITHUB_REPOSITORY"),
        secrets_present: secrets.filter(there).cloned().collect(),
    }
}

/// Linux on this machine's architecture: what its engine builds by default.
pub fn own_platform() -> Option<Platform> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Platform::new(format!("linux/{architecture}")).ok()
}

/// How a job reaches the Actions cache service, if the runner says so.
#[derive(Debug, Clone, Default)]
pub struct ActionsRuntime {
    /// `ACTIONS_RUNTIME_TOKEN`.
    pub token: Option<Secret>,
    /// `ACTIONS_RESULTS_URL`.
    pub url: Option<String>,
}

/// Reads the runner's variables for the Actions cache service.
pub fn actions_runtime() -> ActionsRuntime {
    ActionsRuntime {
        token: text("ACTIONS_RUNTIME_TOKEN").map(Secret::new),
        url: text("ACTIONS_RESULTS_URL"),
    }
}

/// The user and the token with which a GitHub job logs in to the registry.
pub fn job_login() -> Option<(String, Secret)> {
    let user = text("GITHUB_ACTOR").unwrap_or_else(|| "github-actions".to_owned());
    text("GITHUB_TOKEN").map(|token| (user, Secret::new(token)))
}

/// The first variable or file known to hold a secret whose value occurs in one of `texts`. `secrets` are
/// those that a build mounts, with files relative to `root`; other variables are recognized by their names.
pub fn leaked(root: &Path, secrets: &[&SecretSource], texts: &[&str]) -> Option<SecretSource> {
    // A short value may occur by chance.
    let occurs = |value: &str| value.len() >= 8 && texts.iter().any(|text| text.contains(value));
    let file = secrets.iter().find(|source| match source {
        SecretSource::File(path) => {
            std::fs::read_to_string(root.join(path)).is_ok_and(|text| occurs(text.trim()))
        }
        SecretSource::Env(_) => false,
    });
    let is_secret =
        |name: &str| looks_secret(name) || secrets.contains(&&SecretSource::Env(name.to_owned()));
    let variable = || {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .find(|(name, value)| is_secret(name) && occurs(value.trim()))
            .map(|(name, _)| SecretSource::Env(name))
    };
    file.map(|source| (*source).clone()).or_else(variable)
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

/// The variables that cargo sets for the program it runs. If cargo inherits one that a build script watches,
/// it runs the script again and compiles everything that depends on it.
pub fn set_by_cargo() -> impl Iterator<Item = String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}

/// The arguments of this process.
pub fn arguments() -> impl Iterator<Item = String> {
    std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned())
}

/// The path of this program.
pub fn own_program() -> Result<String> {
    let path = std::env::current_exe().context("the path of this program is unknown")?;
    Ok(path.to_string_lossy().into_owned())
}

/// The folder for everything that can be built again: `CARGO_TARGET_DIR`, else `target`.
pub fn target_folder(root: &Path) -> PathBuf {
    root.join(text("CARGO_TARGET_DIR").unwrap_or_else(|| "target".to_owned()))
}

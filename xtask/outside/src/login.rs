//! Logs in to a registry with the job's token, in a private `DOCKER_CONFIG` that is deleted when the command
//! ends. The user's own configuration is copied, never changed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use xtask_model::failure::Failure;
use xtask_model::invocation::Invocation;
use xtask_model::reference::Registry;
use xtask_model::token::Secret;

use super::process::Runner;
use super::{environment, files};

/// A private configuration, deleted on drop.
pub struct Login {
    folder: tempfile::TempDir,
    own: Option<PathBuf>,
}

impl Login {
    /// Logs in as `user`; docker reads the token from standard input.
    pub fn new(runner: &Runner, registry: &Registry, user: &str, token: &Secret) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("xtask-docker-").tempdir()?;
        let own = own_folder();
        let text = private_configuration(own.as_deref(), registry)?;
        files::write_atomically(&folder.path().join("config.json"), text.as_bytes())?;
        if let Some(own) = &own {
            // Contexts name the engine; without them, docker would use its default.
            copy_folder(&own.join("contexts"), &folder.path().join("contexts"))?;
        }
        let login = Self { folder, own };
        let username = format!("--username={user}");
        let call =
            Invocation::new("docker", ["login", &username, "--password-stdin", registry.as_str()]);
        let finished = login.enter(runner).finish_with_input(&call, token.reveal().as_bytes())?;
        if finished.success() {
            return Ok(login);
        }
        let reason = finished.stderr.trim().lines().next_back().unwrap_or_default().to_owned();
        Err(Failure::failed(format!("`{registry}` refuses the job's token: {reason}"))
            .hint("give the job `permissions: packages: write`, and the repository access to the package")
            .into())
    }

    /// A runner whose children use this configuration, but the user's own builders.
    pub fn enter(&self, runner: &Runner) -> Runner {
        let runner =
            runner.clone().with_variable("DOCKER_CONFIG", self.folder.path().display().to_string());
        match &self.own {
            Some(own) if environment::text("BUILDX_CONFIG").is_none() => {
                runner.with_variable("BUILDX_CONFIG", own.join("buildx").display().to_string())
            }
            _ => runner,
        }
    }
}

/// The folder of the user's own docker configuration.
fn own_folder() -> Option<PathBuf> {
    let named = environment::text("DOCKER_CONFIG").map(PathBuf::from);
    named.or_else(|| Some(std::env::home_dir()?.join(".docker"))).filter(|folder| folder.is_dir())
}

/// The user's configuration without a credential store or a helper for `registry`, so that the login stays
/// in the private folder. The user's plugins are still found.
fn private_configuration(own: Option<&Path>, registry: &Registry) -> Result<String> {
    let path = own.map(|own| own.join("config.json")).filter(|path| path.is_file());
    let mut configuration: Map<String, Value> = match &path {
        Some(path) => serde_json::from_str(&files::read(path)?)
            .with_context(|| format!("`{}` is not docker's configuration", path.display()))?,
        None => Map::new(),
    };
    configuration.remove("credsStore");
    if let Some(Value::Object(helpers)) = configuration.get_mut("credHelpers") {
        helpers.remove(registry.as_str());
    }
    if let Some(own) = own {
        let mut folders = vec![json!(own.join("cli-plugins"))];
        if let Some(Value::Array(more)) = configuration.remove("cliPluginsExtraDirs") {
            folders.extend(more);
        }
        configuration.insert("cliPluginsExtraDirs".to_owned(), Value::Array(folders));
    }
    Ok(serde_json::to_string_pretty(&configuration)?)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_configuration_drops_other_credential_stores() {
        let own = tempfile::tempdir().unwrap();
        let text = r#"{
            "auths": {"registry.example.com": {"auth": "x"}},
            "credsStore": "desktop",
            "credHelpers": {"ghcr.io": "desktop", "gcr.io": "gcloud"}
        }"#;
        files::write_atomically(&own.path().join("config.json"), text.as_bytes()).unwrap();
        let registry = Registry::new("ghcr.io").unwrap();
        let made = private_configuration(Some(own.path()), &registry).unwrap();
        let made: Value = serde_json::from_str(&made).unwrap();
        assert_eq!(made["credHelpers"], json!({"gcr.io": "gcloud"}));
        assert_eq!(made["auths"], json!({"registry.example.com": {"auth": "x"}}));
        assert_eq!(made.get("credsStore"), None);
        let plugins = own.path().join("cli-plugins");
        assert_eq!(made["cliPluginsExtraDirs"], json!([plugins]));
    }
}

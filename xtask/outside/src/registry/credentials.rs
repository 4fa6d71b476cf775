//! Credentials for registries: docker's own configuration and its helper programs, or one given by
//! the caller for one host. Each host is asked about once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use docker_credential::{CredentialRetrievalError, DockerCredential};

use super::error::{RegistryError, Result};
use super::exchange::within;
use crate::environment;
use xtask_model::reference::Registry;
use xtask_model::token::Secret;

/// Where credentials come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// None are used.
    Anonymous,
    /// Docker's configuration: `DOCKER_CONFIG`, or `~/.docker`.
    Docker,
    /// The configuration in this folder, for instance a private one of a job.
    DockerFolder(PathBuf),
    /// These, for this host and no other; the rest as docker has it.
    Given { registry: Registry, user: String, password: Secret },
}

/// How to prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential {
    Password {
        user: String,
        password: Secret,
    },
    /// A refresh token of `OAuth2`, which docker calls an identity token.
    Identity(Secret),
}

type Answer = std::result::Result<Option<Credential>, String>;

/// The credentials of each host, once found.
#[derive(Debug)]
pub(super) struct Credentials {
    source: Source,
    found: Mutex<BTreeMap<Registry, Arc<OnceLock<Answer>>>>,
}

impl Credentials {
    pub fn new(source: Source) -> Self {
        Self { source, found: Mutex::default() }
    }

    /// The credential for `registry`, or `None` where there is none. Fails when a helper program does.
    pub fn of(&self, registry: &Registry, deadline: Instant) -> Result<Option<Credential>> {
        let slot = {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(found.entry(registry.clone()).or_default())
        };
        let (source, registry) = (self.source.clone(), registry.clone());
        // A helper program may wait for a person or a network, and so gets a thread and a limit.
        let answer =
            within(deadline, move |_| slot.get_or_init(|| find(&source, &registry)).clone())?;
        answer.map_err(|message| RegistryError::Unauthorized { message })
    }
}

fn find(source: &Source, registry: &Registry) -> Answer {
    // The key under which `docker login` keeps Docker Hub.
    let server = match registry.as_str() {
        "docker.io" => "https://index.docker.io/v1/",
        host => host,
    };
    let found = match source {
        Source::Anonymous => return Ok(None),
        Source::Given { registry: given, user, password } if given == registry => {
            let (user, password) = (user.clone(), password.clone());
            return Ok(Some(Credential::Password { user, password }));
        }
        Source::Docker | Source::Given { .. } => match configuration() {
            Some(file) => in_file(&file, server),
            None => return Ok(None),
        },
        Source::DockerFolder(folder) => in_file(&folder.join("config.json"), server),
    };
    match found {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(Credential::Password { user, password: Secret::new(password) }))
        }
        Ok(DockerCredential::IdentityToken(token)) => {
            Ok(Some(Credential::Identity(Secret::new(token))))
        }
        Err(error) => problem(&error).map_or(Ok(None), Err),
    }
}

/// Docker's configuration file, where docker looks for it.
fn configuration() -> Option<PathBuf> {
    let folder = environment::text("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(environment::text("HOME")?).join(".docker")));
    folder.map(|folder| folder.join("config.json"))
}

/// The credential for `server` in a configuration file; a file that is not there has none.
fn in_file(
    path: &Path,
    server: &str,
) -> std::result::Result<DockerCredential, CredentialRetrievalError> {
    match std::fs::read(path) {
        Ok(bytes) if bytes.trim_ascii().is_empty() => {
            Err(CredentialRetrievalError::NoCredentialConfigured)
        }
        Ok(bytes) => docker_credential::get_credential_from_reader(&*bytes, server),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(CredentialRetrievalError::ConfigNotFound)
        }
        Err(_) => Err(CredentialRetrievalError::ConfigReadError),
    }
}

/// What is wrong with docker's configuration; `None` when it only has nothing for this host. A
/// helper's own words are left out: they may repeat what it was to keep.
fn problem(error: &CredentialRetrievalError) -> Option<String> {
    match error {
        CredentialRetrievalError::ConfigNotFound
        | CredentialRetrievalError::NoCredentialConfigured => None,
        CredentialRetrievalError::ConfigReadError => {
            Some("docker's configuration cannot be read: `config.json`".to_owned())
        }
        // docker's helpers say so on standard output, with exit code 1.
        CredentialRetrievalError::HelperFailure { stdout, .. }
            if stdout.contains("credentials not found") =>
        {
            None
        }
        CredentialRetrievalError::HelperFailure { helper, .. } => {
            Some(format!("docker's credential helper `{helper}` failed"))
        }
        CredentialRetrievalError::HelperCommunicationError => {
            Some("docker's credential helper cannot be started".to_owned())
        }
        CredentialRetrievalError::MalformedHelperResponse => {
            Some("docker's credential helper gave an answer that cannot be read".to_owned())
        }
        CredentialRetrievalError::CredentialDecodingError
        | CredentialRetrievalError::CredentialMismatchError => {
            Some("docker's configuration has a credential that cannot be read".to_owned())
        }
    }
}

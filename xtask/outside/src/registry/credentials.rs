//! Credentials for registries: docker's configuration and its helper programs, or one from the caller for one
//! host. Each host is looked up once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::environment;
use crate::http::within;
use xtask_model::reference::Registry;
use xtask_model::remote::{RemoteError, Result};
use xtask_model::token::Secret;

/// Where credentials come from.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// No credentials.
    Anonymous,
    /// Docker's configuration: `DOCKER_CONFIG`, or `~/.docker`.
    Docker,
    /// These for this host only; for any other, docker's.
    Given { registry: Registry, user: String, password: Secret },
}

/// A proof of identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential {
    Password {
        user: String,
        password: Secret,
    },
    /// A refresh token of `OAuth2`, which docker calls an identity token.
    Identity(Secret),
}

/// The result of looking up one host.
type Lookup = Result<Option<Credential>>;

/// The credentials of each host, once found.
#[derive(Debug)]
pub(super) struct Credentials {
    source: CredentialSource,
    found: Mutex<BTreeMap<Registry, Arc<OnceLock<Lookup>>>>,
}

impl Credentials {
    pub fn new(source: CredentialSource) -> Self {
        Self { source, found: Mutex::default() }
    }

    /// The credential for `registry`, if there is one. Fails if a helper program fails.
    pub fn of(&self, registry: &Registry, deadline: Instant) -> Lookup {
        let slot = {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(found.entry(registry.clone()).or_default())
        };
        let (source, registry) = (self.source.clone(), registry.clone());
        // A helper program may wait for a person or a network, so it gets a thread and a time limit.
        within(deadline, move |_| slot.get_or_init(|| find(&source, &registry)).clone())?
    }
}

fn find(source: &CredentialSource, registry: &Registry) -> Lookup {
    // The key of Docker Hub in docker's configuration.
    let server = match registry.as_str() {
        "docker.io" => "https://index.docker.io/v1/",
        host => host,
    };
    let found = match source {
        CredentialSource::Anonymous => return Ok(None),
        CredentialSource::Given { registry: given, user, password } if given == registry => {
            let (user, password) = (user.clone(), password.clone());
            return Ok(Some(Credential::Password { user, password }));
        }
        CredentialSource::Docker | CredentialSource::Given { .. } => match configuration() {
            Some(file) => in_file(&file, server),
            None => return Ok(None),
        },
    };
    match found {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(Credential::Password { user, password: Secret::new(password) }))
        }
        Ok(DockerCredential::IdentityToken(token)) => {
            Ok(Some(Credential::Identity(Secret::new(token))))
        }
        Err(error) => match problem(&error) {
            Some(message) => Err(RemoteError::Unauthorized { message }),
            None => Ok(None),
        },
    }
}

/// Docker's configuration file, where docker looks for it.
fn configuration() -> Option<PathBuf> {
    let folder = environment::text("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(environment::text("HOME")?).join(".docker")));
    folder.map(|folder| folder.join("config.json"))
}

/// The credential for `server` in a configuration file, if the file exists.
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

/// What is wrong with docker's configuration; `None` if it only has no entry for this host. A helper's output
/// is left out, because it may contain the secret.
fn problem(error: &CredentialRetrievalError) -> Option<String> {
    match error {
        CredentialRetrievalError::ConfigNotFound
        | CredentialRetrievalError::NoCredentialConfigured => None,
        CredentialRetrievalError::ConfigReadError => {
            Some("cannot read docker's configuration: `config.json`".to_owned())
        }
        // docker's helpers print this on standard output, with exit code 1.
        CredentialRetrievalError::HelperFailure { stdout, .. }
            if stdout.contains("credentials not found") =>
        {
            None
        }
        CredentialRetrievalError::HelperFailure { helper, .. } => {
            Some(format!("docker's credential helper `{helper}` failed"))
        }
        CredentialRetrievalError::HelperCommunicationError => {
            Some("cannot start docker's credential helper".to_owned())
        }
        CredentialRetrievalError::MalformedHelperResponse => {
            Some("cannot read the answer of docker's credential helper".to_owned())
        }
        CredentialRetrievalError::CredentialDecodingError
        | CredentialRetrievalError::CredentialMismatchError => {
            Some("cannot read a credential in docker's configuration".to_owned())
        }
    }
}

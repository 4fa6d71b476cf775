//! The facts: everything a plan may know of the world, gathered once. They can be saved with
//! `--record-facts` and read back with `--facts`, so they hold no secret and depend on no type of
//! the effects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::config::{Config, SecretSource};
use super::failure::Failure;
use super::platform::Platform;
use super::published::PublishedState;
use super::reference::{Reference, Registry, Repository};
use super::release::ReleaseFacts;
use super::service::ServiceName;
use super::tier::{CachePlace, TierLook};

/// Version of the facts' shape; a file of another version is refused.
pub const SCHEMA: u32 = 1;

/// Everything a plan may know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub schema: u32,
    pub config: Config,
    /// In the order of their names.
    pub services: Vec<ServiceFacts>,
    pub git: Option<Git>,
    pub environment: Environment,
    pub engine: Engine,
    pub lab: Option<LabFacts>,
    /// What was seen of each service's cache tiers.
    #[serde(default)]
    pub tiers: BTreeMap<ServiceName, Vec<TierLook>>,
    /// What the registry has of each service, where a command publishes.
    #[serde(default)]
    pub published: BTreeMap<ServiceName, PublishedState>,
    /// What a release wants to know besides.
    #[serde(default)]
    pub release: Option<ReleaseFacts>,
}

impl Facts {
    /// What stands in files, with nothing else looked at.
    pub fn of_files(config: Config, services: Vec<ServiceFacts>) -> Self {
        Self {
            schema: SCHEMA,
            config,
            services,
            git: None,
            environment: Environment::default(),
            engine: Engine::Unasked,
            lab: None,
            tiers: BTreeMap::new(),
            published: BTreeMap::new(),
            release: None,
        }
    }

    /// The registry that images are published to.
    pub fn registry(&self) -> &Registry {
        self.lab.as_ref().map_or(&self.config.registry, |lab| &lab.registry)
    }

    /// `OWNER/REPO`, and who says so.
    pub fn repository(&self) -> Option<(Repository, &'static str)> {
        let lower = |text: &String| Repository::new(text.to_ascii_lowercase()).ok();
        if let Some(name) = &self.config.repository {
            return Some((name.clone(), "the configuration names it"));
        }
        if let Some(name) = self.environment.repository.as_ref().and_then(lower) {
            return Some((name, "`GITHUB_REPOSITORY` names it"));
        }
        let remote = self.git.as_ref().and_then(|git| git.remote.clone())?;
        Some((remote, "the git remote `origin` names it"))
    }

    /// The repository of a service's published images.
    pub fn published(&self, service: &ServiceName) -> Option<Reference> {
        let (repository, _) = self.repository()?;
        let path = repository.join(service.as_str()).ok()?;
        Some(Reference::new(self.registry().clone(), path))
    }

    /// Where a service's cache is.
    pub fn cache_place(&self, service: &ServiceName) -> Option<CachePlace> {
        let repository = self.published(service)?;
        Some(CachePlace { repository, service: service.clone() })
    }

    /// What was seen of a service's cache tiers.
    pub fn looks(&self, service: &ServiceName) -> &[TierLook] {
        self.tiers.get(service).map_or(&[], Vec::as_slice)
    }
}

/// The failure of a command that needs a repository to publish to.
pub fn no_repository() -> Failure {
    Failure::usage("no repository to publish to is known")
        .hint("set `repository = \"OWNER/REPO\"` under [workspace.metadata.images] in Cargo.toml")
}

/// One folder under `services/` that has a Dockerfile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceFacts {
    pub name: ServiceName,
    /// Relative to the root, with `/` between its parts.
    pub folder: String,
    pub dockerfile: String,
    /// Earlier builds that succeeded, newest first.
    #[serde(default)]
    pub earlier: Vec<EarlierBuild>,
}

/// A build that is over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EarlierBuild {
    pub channel: Channel,
    pub seconds: f64,
}

/// The checkout. `None` in [`Facts`] when the folder is no git repository or has no commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Git {
    /// The full hash of HEAD.
    pub revision: String,
    /// The committer's time, seconds since the epoch.
    pub time: u64,
    pub tags: Vec<String>,
    /// `OWNER/REPO` of the remote, lower case.
    pub remote: Option<Repository>,
    pub shallow: bool,
    /// Paths that differ from HEAD, untracked ones with them.
    pub dirty: Vec<String>,
    /// Git tree id of each service's folder at HEAD, by folder.
    pub trees: BTreeMap<String, String>,
    /// What differs from the revision of `--changed-since`.
    pub since: Option<Since>,
}

/// The difference between the working tree and another revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Since {
    /// As it was asked for.
    pub name: String,
    /// Changed paths, untracked ones with them.
    pub paths: Vec<String>,
    /// The configuration there; `None` when it has none that can be read.
    pub config: Option<Config>,
}

/// What the environment variables say. Of secrets only whether they are there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    pub github: Option<GitHub>,
    /// `GITHUB_REPOSITORY`, which may also be set where no GitHub job runs.
    #[serde(default)]
    pub repository: Option<String>,
    /// Sources of build secrets that are there: variables set and not empty, files that exist.
    pub secrets_present: Vec<SecretSource>,
}

/// The GitHub job this runs in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GitHub {
    /// `GITHUB_EVENT_NAME`
    pub event: String,
    /// `GITHUB_REF`, for instance `refs/heads/dev`.
    pub reference: String,
    /// `GITHUB_SERVER_URL`
    pub server_url: String,
}

impl GitHub {
    /// Whether the registry is that of the job's own GitHub. The job's token is for no other.
    pub fn owns(&self, registry: &Registry) -> bool {
        let server = self.server_url.split_once("://").map_or("", |(_, rest)| rest);
        let server = server.split('/').next().unwrap_or_default();
        registry.as_str() == "ghcr.io"
            || server != "github.com"
                && registry.as_str().strip_prefix("containers.").is_some_and(|rest| rest == server)
    }
}

/// The engine that `docker` reaches, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Engine {
    /// It was not looked at, because any builder can do what is wanted and looking costs more than
    /// a tenth of a second.
    Unasked,
    /// There is no `docker` on the PATH.
    NoClient,
    /// The client has no buildx plugin.
    NoBuildx {
        detail: String,
    },
    /// No engine answers, and no builder works without one.
    NotRunning {
        detail: String,
    },
    Ready {
        buildx: String,
        builders: Vec<Builder>,
    },
}

/// A buildx builder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Builder {
    pub name: String,
    /// `docker`, `docker-container`, `kubernetes` or `remote`.
    pub driver: String,
    /// The one that `docker buildx build` takes by itself.
    pub current: bool,
    pub nodes: Vec<BuilderNode>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuilderNode {
    pub name: String,
    /// `running`, `inactive`, `error` and so on.
    pub status: String,
    pub error: Option<String>,
    /// BuildKit's version; Debian's engine reports `v0.0.0+unknown`.
    pub buildkit: Option<String>,
    pub platforms: Vec<Platform>,
    /// Whether images are kept in containerd's store. Only the `docker` driver asks: without it
    /// there is no registry cache, no attestation and no image of several platforms.
    pub containerd_store: bool,
}

/// The lab, when the command runs in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabFacts {
    /// Value for `DOCKER_HOST`; `None` when the engine is the one already there.
    pub engine_host: Option<String>,
    pub registry: Registry,
    /// `http://…`: where the stand-in for GitHub's REST API is.
    pub github_api: String,
    /// Bases that stand in for ones that cannot be pulled: name in the Dockerfile → image to use,
    /// `None` when the engine finds it under that name by itself.
    pub stand_ins: BTreeMap<String, Option<Reference>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_a_job_goes_to_the_registry_of_its_own_github_alone() {
        let takes = |registry: &str, server_url: &str| {
            let job = GitHub { server_url: server_url.to_owned(), ..GitHub::default() };
            job.owns(&Registry::new(registry).unwrap())
        };
        assert!(takes("ghcr.io", "https://github.com"));
        assert!(takes("containers.git.example.com", "https://git.example.com"));
        assert!(takes("containers.octo.ghe.com", "https://octo.ghe.com/"));
        for other in
            ["registry.example.com", "docker.io", "containers.github.com", "ghcr.io.evil.com"]
        {
            assert!(!takes(other, "https://github.com"), "{other}");
        }
        assert!(!takes("containers.evil.com", "https://git.example.com"));
    }
}

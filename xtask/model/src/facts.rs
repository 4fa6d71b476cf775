//! The facts: everything that a plan may know about the world, gathered once. `--record-facts` saves them
//! and `--facts` reads them back, so they contain no secret and no type of `outside`.

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

/// Version of the format; a file of a different version is refused.
pub const SCHEMA: u32 = 2;

/// Everything that a plan may know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub schema: u32,
    pub config: Config,
    /// Sorted by name.
    pub services: Vec<ServiceFacts>,
    pub git: Option<Git>,
    pub environment: Environment,
    pub engine: Engine,
    pub lab: Option<LabFacts>,
    /// The state of each service's cache tiers.
    #[serde(default)]
    pub tiers: BTreeMap<ServiceName, Vec<TierLook>>,
    /// What the registry contains of each service, for a command that publishes.
    #[serde(default)]
    pub published: BTreeMap<ServiceName, PublishedState>,
    /// What only a release needs to know.
    #[serde(default)]
    pub release: Option<ReleaseFacts>,
}

impl Facts {
    /// The facts that files contain; git, the engine and the registry are not asked.
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

    /// `OWNER/REPO`, and where it comes from.
    pub fn repository(&self) -> Option<(Repository, &'static str)> {
        let lower = |text: &String| Repository::new(text.to_ascii_lowercase()).ok();
        if let Some(name) = &self.config.repository {
            return Some((name.clone(), "set in the configuration"));
        }
        if let Some(name) = self.environment.repository.as_ref().and_then(lower) {
            return Some((name, "from `GITHUB_REPOSITORY`"));
        }
        let remote = self.git.as_ref().and_then(|git| git.remote.clone())?;
        Some((remote, "from the git remote `origin`"))
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

    /// The state of a service's cache tiers.
    pub fn looks(&self, service: &ServiceName) -> &[TierLook] {
        self.tiers.get(service).map_or(&[], Vec::as_slice)
    }
}

/// The failure of a command that needs a repository to publish to.
pub fn no_repository() -> Failure {
    Failure::usage("cannot publish: the repository is not known")
        .hint("set `repository = \"OWNER/REPO\"` under [workspace.metadata.images] in Cargo.toml")
}

/// One folder under `services/` with a Dockerfile.
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

/// A finished build.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EarlierBuild {
    pub channel: Channel,
    pub seconds: f64,
}

/// The checkout. `None` in [`Facts`] when the folder is not a git repository or has no commit.
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
    /// Paths that differ from HEAD, including untracked files.
    pub dirty: Vec<String>,
    /// Git tree id of each service's folder at HEAD, by folder.
    pub trees: BTreeMap<String, String>,
    /// The difference from the revision of `--changed-since`.
    pub since: Option<Since>,
}

/// The difference between the working tree and another revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Since {
    /// As the user typed it.
    pub name: String,
    /// Changed paths, including untracked files.
    pub paths: Vec<String>,
    /// The configuration at that revision; `None` when it cannot be read.
    pub config: Option<Config>,
}

/// What the environment variables contain. For a secret, only whether it is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    pub github: Option<GitHubJob>,
    /// `GITHUB_REPOSITORY`, which may also be set outside a GitHub job.
    #[serde(default)]
    pub repository: Option<String>,
    /// Sources of build secrets that exist: variables that are not empty, and files.
    pub secrets_present: Vec<SecretSource>,
}

/// The GitHub job this runs in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GitHubJob {
    /// `GITHUB_EVENT_NAME`
    pub event: String,
    /// `GITHUB_REF`, for instance `refs/heads/dev`.
    pub reference: String,
    /// `GITHUB_SERVER_URL`
    pub server_url: String,
}

impl GitHubJob {
    /// Whether the registry belongs to the job's GitHub server. No other registry gets the job's token.
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
    /// Not asked: every builder can do the job, and asking takes more than a tenth of a second.
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
    /// Whether `docker buildx build` uses it by default.
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
    /// Whether the engine keeps images in containerd's store. The `docker` driver needs it for registry
    /// caches, attestations and multi-platform images.
    pub containerd_store: bool,
}

/// The lab, when the command runs in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabFacts {
    /// Value for `DOCKER_HOST`; `None` for the existing engine.
    pub engine_host: Option<String>,
    pub registry: Registry,
    /// Address of the stand-in for GitHub's REST API: `http://…`.
    pub github_api: String,
    /// Stand-ins for base images that cannot be pulled: name in the Dockerfile → image to use; `None` when
    /// the engine finds the stand-in under that name.
    pub stand_ins: BTreeMap<String, Option<Reference>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_jobs_own_registry_gets_its_token() {
        let takes = |registry: &str, server_url: &str| {
            let job = GitHubJob { server_url: server_url.to_owned(), ..GitHubJob::default() };
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

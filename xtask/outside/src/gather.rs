//! Gather: reads the world into [`Facts`], each part once and side by side. It decides nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use xtask_model::config::{Config, SecretSource};
use xtask_model::facts::{EarlierBuild, Facts, LabFacts, SCHEMA, ServiceFacts};
use xtask_model::failure::Failure;
use xtask_model::platform::Platform;
use xtask_model::record::{BuildResult, Record};
use xtask_model::reference::Digest;
use xtask_model::service::ServiceName;
use xtask_model::tier::TierLook;

use super::process::Runner;
use super::registry::{Client, CredentialSource};
use super::tiers::{self, Looker};
use super::{clock, environment, files, git, records};

/// Which facts a command needs.
#[derive(Debug, Clone, Default)]
pub struct GatherOptions<'a> {
    pub changed_since: Option<&'a str>,
    /// Secrets from the command line, looked up like those of the configuration.
    pub secrets: &'a [(String, SecretSource)],
    /// Whether to look at the cache tiers of these services, or of all if none is named.
    pub tiers: bool,
    pub services: &'a [String],
}

/// Reads everything that `wanted` asks for, below the runner's folder. It does not look at the engine, which
/// few plans need: see [`super::docker::read`].
pub fn gather(
    runner: &Runner,
    target: &Path,
    lab: Option<LabFacts>,
    wanted: &GatherOptions<'_>,
) -> Result<Facts> {
    let root = runner.folder();
    let (config, services) = services_and_config(root, target)?;
    let of_services = config.services.values().flat_map(|service| service.secrets.values());
    let secrets = of_services.chain(wanted.secrets.iter().map(|(_, source)| source));
    let environment = environment::read(root, secrets);
    let git = git::read(runner, SERVICES, wanted.changed_since)?;
    let mut facts = Facts { git, environment, lab, ..Facts::of_files(config, services) };
    if wanted.tiers {
        let asked = wanted.services;
        let chosen = |name: &ServiceName| {
            asked.is_empty() || asked.iter().any(|text| *text == name.as_str())
        };
        let services = facts.services.iter().map(|service| service.name.clone());
        let services: Vec<_> = services.filter(chosen).collect();
        facts.tiers = tiers(&facts, &client(&facts), &services, &BTreeMap::new())?;
    }
    Ok(facts)
}

/// A client with the job's own token, or else with docker's credentials.
pub fn client(facts: &Facts) -> Client {
    let credentials = match environment::job_login().filter(|_| is_job(facts)) {
        Some((user, password)) => {
            CredentialSource::Given { registry: facts.registry().clone(), user, password }
        }
        None => CredentialSource::Docker,
    };
    Client::new(credentials)
}

/// Whether the token of the job belongs to this registry. The lab's registry needs none.
pub fn is_job(facts: &Facts) -> bool {
    let job = facts.environment.github.as_ref();
    job.is_some_and(|job| job.owns(facts.registry())) && facts.lab.is_none()
}

/// The cache tiers of each service.
pub type Tiers = BTreeMap<ServiceName, Vec<TierLook>>;

/// Looks at the cache tiers of `services`. For images already `made` from the current inputs, it reads only
/// what a build of these inputs needs.
pub fn tiers(
    facts: &Facts,
    client: &Client,
    services: &[ServiceName],
    made: &BTreeMap<ServiceName, Digest>,
) -> Result<Tiers> {
    let places: Vec<_> = services.iter().filter_map(|name| facts.cache_place(name)).collect();
    let platforms = services.iter().map(|name| (name.clone(), platforms(facts, name))).collect();
    let looker = Looker {
        client,
        actions: &environment::actions_runtime(),
        platforms: &platforms,
        now: clock::now(),
        made,
        limit: tiers::LIMIT,
    };
    let mut tiers = Tiers::new();
    for look in looker.look(&places)? {
        tiers.entry(look.service.clone()).or_default().push(look);
    }
    Ok(tiers)
}

/// The platforms that a service's cache tiers must cover.
fn platforms(facts: &Facts, service: &ServiceName) -> Vec<Platform> {
    match facts.config.platforms(service) {
        [] => environment::own_platform().into_iter().collect(),
        platforms => platforms.to_vec(),
    }
}

/// The facts that files contain.
pub fn services_and_config(root: &Path, target: &Path) -> Result<(Config, Vec<ServiceFacts>)> {
    let config = Config::parse("Cargo.toml", &files::read(&root.join("Cargo.toml"))?)?;
    Ok((config, services(root, target)?))
}

/// The folder whose subfolders are services.
const SERVICES: &str = "services";

/// Every folder below `services/` that has a Dockerfile, by name.
fn services(root: &Path, target: &Path) -> Result<Vec<ServiceFacts>> {
    let folder = root.join(SERVICES);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot list `{}`", folder.display()))?;
    let mut services = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let dockerfile = path.join("Dockerfile");
        if !dockerfile.is_file() {
            continue;
        }
        let text = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = ServiceName::new(text).map_err(|error| {
            Failure::usage(format!("`{SERVICES}/`: {error}"))
                .hint("rename the folder; its name becomes part of the image's name")
        })?;
        services.push(ServiceFacts {
            folder: format!("{SERVICES}/{name}"),
            dockerfile: files::read(&dockerfile)?,
            earlier: earlier(&records::newest(target, root, &name, EARLIER)),
            name,
        });
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(services)
}

/// The most records for an expected duration.
const EARLIER: usize = 12;

/// A build that failed or was stopped says nothing about the duration of the next one.
fn earlier(records: &[Record]) -> Vec<EarlierBuild> {
    let built = records.iter().filter(|record| record.result == BuildResult::Built);
    built.map(|&Record { channel, seconds, .. }| EarlierBuild { channel, seconds }).collect()
}

/// Reads facts that `--record-facts` saved.
pub fn load(path: &Path) -> Result<Facts> {
    let text = files::read(path)?;
    let wrong = |problem: String| {
        Failure::usage(format!("`{}` contains no facts: {problem}", path.display()))
            .hint(format!("cargo xtask build --dry-run --record-facts {}", path.display()))
    };
    let facts: Facts = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if facts.schema == SCHEMA {
        Ok(facts)
    } else {
        let found = facts.schema;
        Err(wrong(format!("its schema is {found}, and this version reads {SCHEMA}")).into())
    }
}

/// Saves facts for `--facts`.
pub fn save(facts: &Facts, path: &Path) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(facts)?;
    text.push(b'\n');
    files::write_atomically(path, &text)
}

//! The configuration, `[workspace.metadata.images]` in the root Cargo.toml: its keys, its defaults and its
//! errors. It opens no file.

pub mod quantity;
mod reader;
mod smoke_test;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::inventory::Policy;
use super::platform::Platform;
use super::reference::{Registry, Repository, Tag};
use super::service::ServiceName;
use quantity::Bytes;
use reader::{Section, SourceFile};
pub use smoke_test::SmokeTest;
use values::plain;
pub use values::{SecretSource, build_argument, secret_source};

/// Everything that a repository configures about its images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub registry: Registry,
    /// `OWNER/REPO`; the default is `GITHUB_REPOSITORY`, then the git remote.
    pub repository: Option<Repository>,
    /// Platforms of published images; empty means the builder's own.
    pub platforms: Vec<Platform>,
    /// Largest compressed size of an image.
    pub size_limit: Option<Bytes>,
    /// Largest compressed size of an image without the layers of its base.
    #[serde(default)]
    pub own_size_limit: Option<Bytes>,
    /// Smallest share of steps that a warm build must take from the cache.
    pub minimum_hit_rate: f64,
    /// Name of the buildx builder to use.
    pub builder: Option<String>,
    /// Whether a published image gets an SBOM attestation.
    pub sbom: bool,
    /// How a published image must be signed.
    #[serde(default)]
    pub signed: Option<Signed>,
    /// Which published images are kept.
    pub retention: Retention,
    /// Branches that releases are made from.
    pub release_branches: Vec<String>,
    /// SPDX expression, from `workspace.package.license`.
    pub licenses: Option<String>,
    /// Configuration of single services, by name; a service need not be listed.
    pub services: BTreeMap<ServiceName, ServiceConfig>,
    /// Where each of them is configured, for the error about a service without a folder.
    #[serde(default)]
    pub places: BTreeMap<ServiceName, String>,
}

/// How published images are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signed {
    /// `cosign sign`, as `push --sign` does.
    Cosign,
    /// GitHub's artifact attestations, as `actions/attest-build-provenance` makes them.
    GitHub,
}

impl std::str::FromStr for Signed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cosign" => Ok(Self::Cosign),
            "github" => Ok(Self::GitHub),
            other => Err(format!("`{}`: expected `cosign` or `github`", other.escape_debug())),
        }
    }
}

/// How long published images are kept; `plan::retention` applies it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retention {
    /// Days for which the image of a commit is kept.
    pub days: u64,
    /// Hours for which an untagged version is kept.
    pub grace_hours: u64,
    /// How many images of the newest commits are kept for a rollback.
    pub keep_last: u64,
    /// Tags that are kept forever, besides `cache`, `dev`, `latest` and versions.
    pub keep: Vec<String>,
    /// The largest share of versions that one run may delete.
    pub max_share: f64,
    /// The largest number of versions that one run may delete.
    pub max_deletions: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            days: 30,
            grace_hours: 72,
            keep_last: 5,
            keep: Vec::new(),
            max_share: 0.9,
            max_deletions: None,
        }
    }
}

impl Retention {
    fn read(mut section: Section<'_>) -> Result<Self, Failure> {
        let defaults = Self::default();
        let config = Self {
            days: section.number("days", 1..=3650)?.unwrap_or(defaults.days),
            grace_hours: section.number("grace-hours", 1..=8760)?.unwrap_or(defaults.grace_hours),
            keep_last: section.number("keep-last", 0..=1000)?.unwrap_or(defaults.keep_last),
            keep: section
                .list("keep", |text| Tag::new(text).map(String::from))?
                .unwrap_or(defaults.keep),
            max_share: section.share("max-share")?.unwrap_or(defaults.max_share),
            max_deletions: section.number("max-deletions", 1..=1_000_000)?,
        };
        section.finish()?;
        Ok(config)
    }

    /// The policy for `plan::retention`, without the digests and commits that the repository adds.
    pub fn policy(&self) -> Policy {
        #[expect(clippy::cast_precision_loss, reason = "days and hours are small")]
        let seconds = |count: u64, each: f64| count as f64 * each;
        let defaults = Policy::default();
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Policy {
            keep: defaults.keep.into_iter().chain(self.keep.iter().cloned()).collect(),
            max_age_s: seconds(self.days, 86_400.0),
            grace_s: seconds(self.grace_hours, 3_600.0),
            keep_last: count(self.keep_last),
            max_fraction: self.max_share,
            max_deletions: self.max_deletions.map(count),
            ..Policy::default()
        }
    }
}

/// The configuration of one service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceConfig {
    pub description: Option<String>,
    pub licenses: Option<String>,
    pub build_args: BTreeMap<String, String>,
    /// Secrets that the build mounts: id → `env:NAME` or `file:PATH`.
    pub secrets: BTreeMap<String, SecretSource>,
    pub target: Option<String>,
    pub platforms: Option<Vec<Platform>>,
    pub size_limit: Option<Bytes>,
    #[serde(default)]
    pub own_size_limit: Option<Bytes>,
    pub smoke_test: Option<SmokeTest>,
}

impl Config {
    /// Reads the text of a root Cargo.toml. `file` names it in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, Failure> {
        let source = SourceFile { name: file, text };
        let root = source.parse(text)?;
        let mut root = Section::new(source, "", &root);
        let mut licenses = None;
        let mut images = None;
        if let Some(mut workspace) = root.section("workspace")? {
            if let Some(mut package) = workspace.section("package")? {
                licenses = package.parsed("license")?;
            }
            if let Some(mut metadata) = workspace.section("metadata")? {
                images = metadata.section("images")?;
            }
        }
        images
            .map_or_else(|| Ok(Self::default()), Self::read)
            .map(|config| Self { licenses, ..config })
    }

    fn read(mut images: Section<'_>) -> Result<Self, Failure> {
        let defaults = Self::default();
        let (services, places) = services(images.sections("services")?)?;
        let config = Self {
            registry: images.parsed("registry")?.unwrap_or(defaults.registry),
            repository: images.parsed("repository")?,
            platforms: images.list("platforms", str::parse)?.unwrap_or_default(),
            size_limit: images.parsed("size-limit")?,
            own_size_limit: images.parsed("own-size-limit")?,
            minimum_hit_rate: images
                .share("minimum-hit-rate")?
                .unwrap_or(defaults.minimum_hit_rate),
            builder: images.read("builder", plain)?,
            sbom: images.boolean("sbom")?.unwrap_or_default(),
            signed: images.parsed("signed")?,
            retention: images
                .section("retention")?
                .map_or(Ok(defaults.retention), Retention::read)?,
            release_branches: images
                .list("release-branches", plain)?
                .unwrap_or(defaults.release_branches),
            licenses: None,
            services,
            places,
        };
        images.finish()?;
        Ok(config)
    }

    /// The platforms of a service's published images; none means the builder's own.
    pub fn platforms(&self, service: &ServiceName) -> &[Platform] {
        let own = self.services.get(service).and_then(|own| own.platforms.as_ref());
        own.unwrap_or(&self.platforms)
    }

    /// The configuration of `service`, or the defaults.
    pub fn service(&self, service: &ServiceName) -> ServiceConfig {
        self.services.get(service).cloned().unwrap_or_default()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            registry: Registry::ghcr(),
            repository: None,
            platforms: Vec::new(),
            size_limit: None,
            own_size_limit: None,
            minimum_hit_rate: 0.7,
            builder: None,
            sbom: false,
            signed: None,
            retention: Retention::default(),
            release_branches: vec!["main".to_owned(), "dev".to_owned()],
            licenses: None,
            services: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }
}

/// The configuration of each service, and where it is.
type Services = (BTreeMap<ServiceName, ServiceConfig>, BTreeMap<ServiceName, String>);

fn services(sections: Vec<(&str, String, Section<'_>)>) -> Result<Services, Failure> {
    let (mut services, mut places) = Services::default();
    for (name, place, section) in sections {
        let name =
            ServiceName::new(name).map_err(|error| Failure::usage(format!("{place}: {error}")))?;
        services.insert(name.clone(), ServiceConfig::read(section)?);
        places.insert(name, place);
    }
    Ok((services, places))
}

impl ServiceConfig {
    fn read(mut section: Section<'_>) -> Result<Self, Failure> {
        let config = Self {
            description: section.parsed("description")?,
            licenses: section.parsed("licenses")?,
            build_args: section.pairs("build-args", |name, value| {
                build_argument(name, value).map(|()| value.to_owned())
            })?,
            secrets: section.pairs("secrets", secret_source)?,
            target: section.read("target", plain)?,
            platforms: section.list("platforms", str::parse)?,
            size_limit: section.parsed("size-limit")?,
            own_size_limit: section.parsed("own-size-limit")?,
            smoke_test: section.section("smoke-test")?.map(smoke_test::read).transpose()?,
        };
        section.finish()?;
        Ok(config)
    }
}

//! What a service's image is made from: its configuration, its Dockerfile, its arguments, platforms and
//! bases. Both a build and the comparison of inputs start here.

use std::collections::BTreeMap;

use xtask_model::channel::Channel;
use xtask_model::config::ServiceConfig;
use xtask_model::dockerfile::Dockerfile;
use xtask_model::facts::{Facts, ServiceFacts};
use xtask_model::failure::Failure;
use xtask_model::inputs::{self, Inputs};
use xtask_model::platform::Platform;

use super::needs::platforms;
use super::options::BuildOptions;

/// What one image is made from.
pub struct Recipe {
    pub config: ServiceConfig,
    /// The path of the Dockerfile, below the root.
    pub file: String,
    pub dockerfile: Dockerfile,
    pub build_args: BTreeMap<String, String>,
    /// None means the builder's own.
    pub platforms: Vec<Platform>,
    pub platforms_reason: &'static str,
    /// Names of all bases, as the Dockerfile resolves them.
    pub bases: Vec<String>,
    /// The base of the stage that is built.
    pub base: Option<String>,
}

impl Recipe {
    /// Reads the Dockerfile, which must have the stage that is to be built.
    pub fn new(
        facts: &Facts,
        options: &BuildOptions,
        channel: Channel,
        service: &ServiceFacts,
    ) -> Result<Self, Failure> {
        let config = facts.config.service(&service.name);
        let file = format!("{}/Dockerfile", service.folder);
        let dockerfile = Dockerfile::parse(&service.dockerfile)
            .map_err(|error| Failure::usage(format!("{file}:{}: {}", error.line, error.problem)))?;
        let target = config.target.as_deref();
        if let Some(target) = target.filter(|target| !dockerfile.has_stage(target)) {
            let place = format!("[workspace.metadata.images.services.{}]", service.name);
            return Err(Failure::usage(format!("{file} has no stage `{target}`"))
                .hint(format!("correct `target` under {place}")));
        }
        let mut build_args = config.build_args.clone();
        build_args.extend(options.build_args.clone());
        let (platforms, platforms_reason) = platforms(facts, options, channel, &service.name);
        Ok(Self {
            bases: dockerfile.bases(&build_args, target),
            base: dockerfile.final_base(&build_args, target),
            platforms: platforms.to_vec(),
            platforms_reason,
            config,
            file,
            dockerfile,
            build_args,
        })
    }

    /// The inputs of the image; `None` for a dirty tree, and where the digest of a base is unknown.
    pub fn inputs(&self, facts: &Facts, service: &ServiceFacts) -> Option<Inputs> {
        let git = facts.git.as_ref().filter(|git| git.dirty.is_empty())?;
        let resolved = &facts.published.get(&service.name)?.bases;
        let with_digest = |name: &String| Some((name.clone(), resolved.get(name)?.clone()));
        Some(Inputs {
            plan: inputs::PLAN,
            tree: git.trees.get(&service.folder)?.clone(),
            arguments: self.build_args.clone(),
            target: self.config.target.clone(),
            platforms: self.platforms.clone(),
            bases: self.bases.iter().map(with_digest).collect::<Option<_>>()?,
            sbom: facts.config.sbom,
        })
    }
}

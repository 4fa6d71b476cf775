//! The plan of one service: from its configuration, its Dockerfile and the channel to one [`BuildSpec`].

use std::collections::BTreeMap;

use crate::model::build::{BuildSpec, Output, Provenance};
use crate::model::channel::Channel;
use crate::model::config::{SecretSource, ServiceConfig};
use crate::model::dockerfile::Dockerfile;
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::failure::Failure;
use crate::model::inputs::{self, INPUTS, Inputs};
use crate::model::lab::STAND_IN_LABEL;
use crate::model::platform::Platform;
use crate::model::record;
use crate::model::reference::{Digest, Reference, Repository, Tag};
use crate::plan::Choice;
use crate::plan::builder::BuilderPlan;
use crate::plan::cache::{self, Export, NotExported, When};
use crate::plan::labels::{Subject, labels};

use super::{BuildOptions, ServicePlan, no_repository};

/// What is the same for all services of one plan.
pub(super) struct Context<'f> {
    pub facts: &'f Facts,
    pub options: &'f BuildOptions,
    pub channel: Channel,
    pub repository: Option<&'f (Repository, &'static str)>,
    pub builder: &'f BuilderPlan,
    pub project: &'f str,
}

impl Context<'_> {
    pub fn service(&self, service: &ServiceFacts, why: &str) -> Result<ServicePlan, Failure> {
        let config = self.facts.config.service(&service.name);
        let file = format!("{}/Dockerfile", service.folder);
        let dockerfile = Dockerfile::parse(&service.dockerfile)
            .map_err(|error| Failure::usage(format!("{file}:{}: {}", error.line, error.problem)))?;
        let build_args = self.build_args(&config);
        let target = config.target.as_deref();
        if let Some(target) = target.filter(|target| !dockerfile.has_stage(target)) {
            return Err(Failure::usage(format!("{file} has no stage `{target}`")).hint(format!(
                "correct `target` under [workspace.metadata.images.services.{}]",
                service.name
            )));
        }
        let bases = dockerfile.bases(&build_args, target);
        let base = dockerfile.final_base(&build_args, target);
        let mut choices = vec![Choice::new("service", &service.name, why)];
        let (platforms, platforms_why) = self.platforms(&config);
        choices.push(platforms_why);
        let place = self.facts.cache_place(&service.name);
        let tiers = cache::sources(place.as_ref(), self.facts.looks(&service.name));
        let (cache_to, exports, not_exported) = self.exports(service, &mut choices);
        let (output, output_why) = self.output(service)?;
        choices.push(output_why);
        let mut labels = self.labels(service, &config, base.as_deref());
        if let Some(names) = self.stood_in(&bases) {
            choices.push(Choice::new("stand-in", &names, "the lab cannot pull these bases"));
            labels.insert(STAND_IN_LABEL.to_owned(), names);
        }
        let inputs = self.inputs(service, &config, &build_args, &platforms, &bases);
        // Only the dev channel compares inputs; a release is a version of a commit.
        if let Some(inputs) = inputs.as_ref().filter(|_| self.channel == Channel::Dev) {
            labels.insert(INPUTS.to_owned(), inputs.text());
        }
        let provenance = match self.channel {
            Channel::Local | Channel::Pr => Provenance::None,
            Channel::Dev => Provenance::Min,
            Channel::Release => Provenance::Max,
        };
        let build = BuildSpec {
            builder: self.builder.name.clone(),
            context: service.folder.clone(),
            dockerfile: file,
            target: config.target.clone(),
            platforms,
            build_args,
            // The commit's time: the same commit gives the same configuration.
            created: self.facts.git.as_ref().map(|git| git.time),
            secrets: self.secrets(&config)?,
            contexts: self.contexts(&bases),
            annotations: if self.channel.publishes() { labels.clone() } else { BTreeMap::new() },
            labels,
            cache_from: tiers.iter().filter_map(|tier| tier.argument.clone()).collect(),
            cache_to,
            no_cache: self.options.no_cache,
            provenance,
            sbom: self.facts.config.sbom && self.channel.publishes(),
            output,
        };
        Ok(ServicePlan {
            service: service.name.clone(),
            choices,
            repository: self.facts.published(&service.name),
            bases,
            tiers,
            exports,
            not_exported,
            inputs,
            command: build.invocation(),
            build,
            smoke_test: self.options.test.then(|| config.smoke_test.unwrap_or_default()),
            expected_seconds: record::expected_seconds(&service.earlier, self.channel),
        })
    }
}

impl Context<'_> {
    fn build_args(&self, config: &ServiceConfig) -> BTreeMap<String, String> {
        let mut arguments = config.build_args.clone();
        arguments.extend(self.options.build_args.clone());
        arguments
    }

    /// The inputs; `None` for a dirty tree and where a base's digest is not known.
    fn inputs(
        &self,
        service: &ServiceFacts,
        config: &ServiceConfig,
        build_args: &BTreeMap<String, String>,
        platforms: &[Platform],
        bases: &[String],
    ) -> Option<Inputs> {
        let git = self.facts.git.as_ref().filter(|git| git.dirty.is_empty())?;
        let resolved = &self.facts.published.get(&service.name)?.bases;
        Some(Inputs {
            plan: inputs::PLAN,
            tree: git.trees.get(&service.folder)?.clone(),
            arguments: build_args.clone(),
            target: config.target.clone(),
            platforms: platforms.to_vec(),
            bases: bases
                .iter()
                .map(|name| Some((name.clone(), resolved.get(name)?.clone())))
                .collect::<Option<_>>()?,
        })
    }

    fn platforms(&self, config: &ServiceConfig) -> (Vec<Platform>, Choice) {
        let (platforms, reason) = if !self.options.platforms.is_empty() {
            (self.options.platforms.clone(), "`--platform` names it")
        } else if self.channel == Channel::Local {
            (Vec::new(), "an image for this machine")
        } else if let Some(platforms) = &config.platforms {
            (platforms.clone(), "the service's configuration names it")
        } else if !self.facts.config.platforms.is_empty() {
            (self.facts.config.platforms.clone(), "the configuration names it")
        } else {
            (Vec::new(), "none is configured")
        };
        let shown = if platforms.is_empty() {
            "the builder's own".to_owned()
        } else {
            platforms.iter().map(Platform::as_str).collect::<Vec<_>>().join(",")
        };
        (platforms, Choice::new("platform", shown, reason))
    }

    /// The exports that go with the image, as `--cache-to` takes them, those that follow it, and the
    /// tiers without one.
    fn exports(
        &self,
        service: &ServiceFacts,
        choices: &mut Vec<Choice>,
    ) -> (Vec<String>, Vec<Export>, Vec<NotExported>) {
        let place = self.facts.cache_place(&service.name);
        let looks = self.facts.looks(&service.name);
        let (exports, without) = cache::exports(self.channel, place.as_ref(), looks);
        for export in &exports {
            choices.push(Choice::new("cache to", &export.argument, export.reason.clone()));
        }
        for NotExported { tier, reason } in &without {
            choices.push(Choice::new("no cache to", tier, reason.clone()));
        }
        let (with_image, after): (Vec<_>, Vec<_>) =
            exports.into_iter().partition(|export| export.when == When::WithImage);
        (with_image.into_iter().map(|export| export.argument).collect(), after, without)
    }

    fn output(&self, service: &ServiceFacts) -> Result<(Output, Choice), Failure> {
        let name = &service.name;
        let (output, reason) = match self.channel {
            Channel::Local => {
                let tag = format!("{}-{name}:local", self.project);
                (Output::Load { tag: Some(tag) }, "the local channel loads into the engine")
            }
            Channel::Pr if self.options.test => {
                (Output::Load { tag: None }, "`--test` starts the image, which must be loaded")
            }
            Channel::Pr => (Output::CacheOnly, "a pull request's image goes nowhere"),
            Channel::Dev | Channel::Release => {
                let published = self.facts.published(name).ok_or_else(no_repository)?;
                let reference = published.with_tag(self.exact_tag()?);
                let told_to_be_lazy = !self.builder.lazy_by_itself;
                (Output::Push { reference, told_to_be_lazy }, "pushed lazily under its exact tag")
            }
        };
        let shown = match &output {
            Output::Load { tag } => format!("load {}", tag.as_deref().unwrap_or("by digest")),
            other => other.value(None),
        };
        Ok((output, Choice::new("output", shown, reason)))
    }

    /// The immutable tag under which an image is published first.
    fn exact_tag(&self) -> Result<Tag, Failure> {
        if let Some(tag) = &self.options.push_to {
            return Ok(tag.clone());
        }
        let git =
            self.facts.git.as_ref().ok_or_else(|| {
                Failure::usage("there is no commit to publish").hint("git commit")
            })?;
        crate::plan::publish::dev_tag(&crate::plan::labels::revision(git))
    }

    fn labels(
        &self,
        service: &ServiceFacts,
        config: &ServiceConfig,
        base: Option<&str>,
    ) -> BTreeMap<String, String> {
        let job = self.facts.environment.github.as_ref();
        labels(&Subject {
            service: &service.name,
            config,
            licenses: self.facts.config.licenses.as_deref(),
            repository: self.repository.map(|(name, _)| name),
            server_url: job.map_or("https://github.com", |job| job.server_url.as_str()),
            git: self.facts.git.as_ref(),
            version: self.options.version.as_deref(),
            base: base.map(|name| (name, self.base_digest(service, name))),
        })
    }

    fn base_digest(&self, service: &ServiceFacts, name: &str) -> Option<&Digest> {
        self.facts.published.get(&service.name)?.bases.get(name)
    }

    /// Secrets of the configuration and the command line. A source that is not there is an error:
    /// BuildKit itself would mount nothing and say nothing.
    fn secrets(&self, config: &ServiceConfig) -> Result<BTreeMap<String, SecretSource>, Failure> {
        let mut secrets = config.secrets.clone();
        secrets.extend(self.options.secrets.clone());
        let present = &self.facts.environment.secrets_present;
        let missing = secrets.iter().find(|(_, source)| !present.contains(source));
        match missing {
            None => Ok(secrets),
            Some((id, SecretSource::Env(name))) => {
                let message = format!("the build secret `{id}` is missing: `{name}` is not set");
                Err(Failure::usage(message).hint(format!("export {name}=…, then run it again")))
            }
            Some((id, SecretSource::File(path))) => {
                let message = format!("the build secret `{id}` is missing: no file `{path}`");
                Err(Failure::usage(message).hint(format!("ls -l {path}")))
            }
        }
    }

    /// The bases that are stand-ins. An image from scratch inherits no label of a stage that was
    /// built on one, so it is labelled here.
    fn stood_in(&self, bases: &[String]) -> Option<String> {
        let stand_ins = &self.facts.lab.as_ref()?.stand_ins;
        let names: Vec<&str> =
            bases.iter().filter(|name| stand_ins.contains_key(*name)).map(String::as_str).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }

    /// Stand-in bases that the engine does not find by itself.
    fn contexts(&self, bases: &[String]) -> BTreeMap<String, Reference> {
        let stand_ins = self.facts.lab.iter().flat_map(|lab| &lab.stand_ins);
        stand_ins
            .filter(|(name, _)| bases.contains(name))
            .filter_map(|(name, image)| Some((name.clone(), image.clone()?)))
            .collect()
    }
}

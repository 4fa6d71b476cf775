//! The plan of one service: its configuration, its Dockerfile and the channel become one [`BuildSpec`].

use std::collections::BTreeMap;

use crate::Choice;
use crate::builder::BuilderPlan;
use crate::cache::{self, Export, NotExported, When};
use crate::labels::{Subject, labels};
use xtask_model::build::{BuildSpec, Output, Provenance};
use xtask_model::channel::Channel;
use xtask_model::config::ServiceConfig;
use xtask_model::facts::{Facts, ServiceFacts, no_repository};
use xtask_model::failure::Failure;
use xtask_model::inputs::INPUTS;
use xtask_model::lab::STAND_IN_LABEL;
use xtask_model::platform::Platform;
use xtask_model::record;
use xtask_model::reference::{Digest, Reference, Repository, Tag};

use super::needs::loads;
use super::options::{BuildOptions, Purpose};
use super::recipe::Recipe;
use super::service_plan::ServicePlan;

/// The shared parts of all services of one plan.
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
        let recipe = Recipe::new(self.facts, self.options, self.channel, service)?;
        let Recipe { config, bases, build_args, platforms, .. } = &recipe;
        let mut choices = vec![Choice::new("service", &service.name, why), shown(&recipe)];
        let place = self.facts.cache_place(&service.name);
        let tiers = cache::sources(place.as_ref(), self.facts.looks(&service.name));
        let (cache_to, exports, not_exported) = self.exports(service, &mut choices);
        let (output, output_why) = self.output(service)?;
        choices.push(output_why);
        let mut labels = self.labels(service, config, recipe.base.as_deref());
        if let Some(names) = self.stood_in(bases) {
            choices.push(Choice::new("stand-in", &names, "the lab cannot pull these bases"));
            labels.insert(STAND_IN_LABEL.to_owned(), names);
        }
        let inputs = recipe.inputs(self.facts, service);
        // Only the dev channel compares inputs; a release is a version of a commit.
        if let Some(inputs) = inputs.as_ref().filter(|_| self.channel == Channel::Dev) {
            labels.insert(INPUTS.to_owned(), inputs.text());
        }
        let secrets = self.secrets(service, config, &recipe.dockerfile, build_args)?;
        let build = BuildSpec {
            builder: self.builder.name.clone(),
            context: service.folder.clone(),
            dockerfile: recipe.file.clone(),
            target: config.target.clone(),
            platforms: platforms.clone(),
            build_args: build_args.clone(),
            // The commit's time: the same commit gives the same configuration.
            created: self.facts.git.as_ref().map(|git| git.time),
            secrets,
            contexts: self.contexts(bases),
            annotations: if self.channel.publishes() { labels.clone() } else { BTreeMap::new() },
            labels,
            cache_from: tiers.iter().filter_map(|tier| tier.argument.clone()).collect(),
            cache_to,
            no_cache: self.options.no_cache,
            provenance: provenance(self.channel),
            sbom: self.facts.config.sbom && self.channel.publishes(),
            output,
        };
        Ok(ServicePlan {
            service: service.name.clone(),
            choices,
            repository: self.facts.published(&service.name),
            bases: recipe.bases,
            tiers,
            exports,
            not_exported,
            inputs,
            command: match self.options.purpose {
                Purpose::Check => build.check_invocation(),
                _ => build.invocation(),
            },
            build,
            smoke_test: (self.options.purpose == Purpose::Test)
                .then(|| recipe.config.smoke_test.unwrap_or_default()),
            expected_seconds: record::expected_seconds(&service.earlier, self.channel),
        })
    }
}

/// The choice of platforms.
fn shown(recipe: &Recipe) -> Choice {
    let names: Vec<_> = recipe.platforms.iter().map(Platform::as_str).collect();
    let names = if names.is_empty() { "the builder's own".to_owned() } else { names.join(",") };
    Choice::new("platform", names, recipe.platforms_reason)
}

fn provenance(channel: Channel) -> Provenance {
    match channel {
        Channel::Local | Channel::Pr => Provenance::None,
        Channel::Dev => Provenance::Min,
        Channel::Release => Provenance::Max,
    }
}

impl Context<'_> {
    /// The exports inside the image, as values of `--cache-to`; the exports after the build; and the tiers
    /// without an export.
    fn exports(
        &self,
        service: &ServiceFacts,
        choices: &mut Vec<Choice>,
    ) -> (Vec<String>, Vec<Export>, Vec<NotExported>) {
        if !self.options.purpose.makes_image() {
            return (Vec::new(), Vec::new(), Vec::new());
        }
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
            _ if !self.options.purpose.makes_image() => (Output::CacheOnly, "no image is made"),
            Channel::Local => {
                let tag = format!("{}-{name}:local", self.project);
                (
                    Output::Load { tag: Some(tag) },
                    "the local channel loads the image into the engine",
                )
            }
            Channel::Pr if loads(self.options, self.channel) => {
                (Output::Load { tag: None }, "`--test` starts the image, which must be loaded")
            }
            Channel::Pr => (Output::CacheOnly, "a pull request's image is not pushed"),
            Channel::Dev | Channel::Release => {
                let published = self.facts.published(name).ok_or_else(no_repository)?;
                let reference = published.with_tag(self.exact_tag()?);
                let lazy = !self.builder.lazy_by_itself;
                (Output::Push { reference, lazy }, "pushed lazily under its exact tag")
            }
        };
        let shown = match &output {
            Output::Load { tag } => format!("load {}", tag.as_deref().unwrap_or("by digest")),
            other => other.value(None),
        };
        Ok((output, Choice::new("output", shown, reason)))
    }

    /// The immutable tag that an image is pushed to first.
    fn exact_tag(&self) -> Result<Tag, Failure> {
        if let Some(tag) = &self.options.push_to {
            return Ok(tag.clone());
        }
        let git =
            self.facts.git.as_ref().ok_or_else(|| {
                Failure::usage("there is no commit to publish").hint("git commit")
            })?;
        let revision = crate::labels::revision(git);
        Tag::dev_commit(&revision).map_err(|error| Failure::usage(error.to_string()))
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

    /// The bases that are stand-ins. An image from scratch does not inherit the label of a stage that was
    /// built on one, so it gets the label here.
    fn stood_in(&self, bases: &[String]) -> Option<String> {
        let stand_ins = &self.facts.lab.as_ref()?.stand_ins;
        let names: Vec<&str> =
            bases.iter().filter(|name| stand_ins.contains_key(*name)).map(String::as_str).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }

    /// Stand-ins that the engine does not find under the name of the base.
    fn contexts(&self, bases: &[String]) -> BTreeMap<String, Reference> {
        let stand_ins = self.facts.lab.iter().flat_map(|lab| &lab.stand_ins);
        stand_ins
            .filter(|(name, _)| bases.contains(name))
            .filter_map(|(name, image)| Some((name.clone(), image.clone()?)))
            .collect()
    }
}

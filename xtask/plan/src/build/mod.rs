//! What `build` will do: for each service one [`BuildSpec`], with the reason of each choice.

#[cfg(test)]
mod driver_tests;
mod needs;
mod options;
mod recipe;
mod secrets;
mod service;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Choice;
use crate::builder::{self, BuilderPlan, builder};
use crate::cache::{self, Export, NotExported, TierPlan};
use crate::selection::{LeftOut, Selection, select};
use needs::needs;
pub use options::{BuildOptions, Purpose};
pub use recipe::Recipe;
use service::Context;
use xtask_model::build::{BuildSpec, Output, Provenance};
use xtask_model::channel::Channel;
use xtask_model::config::{SmokeTest, build_argument};
use xtask_model::facts::Facts;
use xtask_model::failure::Failure;
use xtask_model::inputs::Inputs;
use xtask_model::invocation::Invocation;
use xtask_model::record::{ExportOutcome, ExportRecord};
use xtask_model::reference::{Reference, Repository};
use xtask_model::service::ServiceName;

/// Everything `build` will do. Its JSON form is what `--dry-run --format json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BuildPlan {
    pub schema: u32,
    pub channel: Channel,
    pub choices: Vec<Choice>,
    pub builder: BuilderPlan,
    pub services: Vec<ServicePlan>,
    pub left_out: Vec<LeftOut>,
}

/// What will be done for one service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServicePlan {
    pub service: ServiceName,
    pub choices: Vec<Choice>,
    /// The repository of its published images, when one is known.
    pub repository: Option<Reference>,
    /// Names of the bases, as the Dockerfile resolves them.
    pub bases: Vec<String>,
    pub tiers: Vec<TierPlan>,
    pub build: BuildSpec,
    /// The command of `build`, to be run in the root.
    pub command: Invocation,
    /// Exports of the cache that follow the build.
    pub exports: Vec<Export>,
    /// Tiers that the cache is not exported to.
    pub not_exported: Vec<NotExported>,
    /// What the image is made from, where all of it is known.
    pub inputs: Option<Inputs>,
    pub smoke_test: Option<SmokeTest>,
    /// Seconds that builds like this one took before.
    pub expected_seconds: Option<f64>,
}

impl ServicePlan {
    /// The build with all its exports at once, for a tool that has no second phase.
    pub fn whole(&self) -> BuildSpec {
        let mut whole = self.build.clone();
        whole.cache_to.extend(self.exports.iter().map(|export| export.argument.clone()));
        whole
    }

    /// What exports the cache after the build, in which steps were `executed` or not; `None` when
    /// there is nothing to export.
    pub fn export(&self, executed: bool) -> Option<BuildSpec> {
        let after = cache::after(&self.exports, executed, |_| None);
        exporting(&self.build, &after)
    }
}

/// What makes the due exports of `after` once `built` is there. It repeats the cache sources, because
/// after a lazy hit the blobs are not with the builder; and what was made without a cache is in the
/// builder's own now.
pub fn exporting(built: &BuildSpec, after: &[ExportRecord]) -> Option<BuildSpec> {
    let due = after.iter().filter(|export| export.outcome == ExportOutcome::Exported);
    let cache_to: Vec<_> = due.filter_map(|export| export.to.clone()).collect();
    (!cache_to.is_empty()).then(|| BuildSpec {
        cache_to,
        output: Output::CacheOnly,
        provenance: Provenance::None,
        sbom: false,
        annotations: BTreeMap::new(),
        no_cache: false,
        ..built.clone()
    })
}

/// Decides everything `build` will do.
pub fn plan(facts: &Facts, options: &BuildOptions) -> Result<BuildPlan, Failure> {
    plan_some(facts, options, |_| true)
}

/// The same, with builds only for the selected services that also are `wanted`. Without any, no builder is
/// chosen.
pub fn plan_some(
    facts: &Facts,
    options: &BuildOptions,
    wanted: impl Fn(&ServiceName) -> bool,
) -> Result<BuildPlan, Failure> {
    let github = facts.environment.github.as_ref();
    let (channel, why) = crate::channel::channel(options.channel, github)?;
    let mut selection = select(facts, &options.services)?;
    selection.chosen.retain(|(service, _)| wanted(&service.name));
    check_arguments(options)?;
    let repository = facts.repository();
    let project = project(repository.as_ref().map(|(name, _)| name));
    let builder = chosen_builder(facts, options, channel, &selection)?;
    let context = Context {
        facts,
        options,
        channel,
        repository: repository.as_ref(),
        builder: &builder,
        project: &project,
    };
    let services = selection
        .chosen
        .iter()
        .map(|(service, reason)| context.service(service, reason))
        .collect::<Result<Vec<_>, _>>()?;
    let mut choices = vec![why];
    choices.extend((!services.is_empty()).then(|| builder.choice.clone()));
    choices
        .extend(repository.as_ref().map(|(name, reason)| Choice::new("repository", name, *reason)));
    Ok(BuildPlan { schema: 1, channel, choices, builder, services, left_out: selection.left_out })
}

/// The builder that a plan of `channel` runs on.
pub fn chosen_builder(
    facts: &Facts,
    options: &BuildOptions,
    channel: Channel,
    selection: &Selection<'_>,
) -> Result<BuilderPlan, Failure> {
    let asked = match (&options.builder, &facts.config.builder) {
        (Some(name), _) => Some((name.as_str(), "`--builder`")),
        (None, Some(name)) => Some((name.as_str(), "`workspace.metadata.images.builder`")),
        (None, None) => None,
    };
    let needs = needs(facts, options, channel, &selection.chosen);
    let repository = facts.repository();
    let project = project(repository.as_ref().map(|(name, _)| name));
    builder(&facts.engine, options.only_shown, asked, &needs, &project, facts.lab.is_some())
}

/// Whether the engine must be looked at before [`plan`] can choose a builder. It costs more than a
/// tenth of a second, which a developer would pay with every build.
pub fn must_look(facts: &Facts, options: &BuildOptions) -> bool {
    let asked = options.builder.is_some() || facts.config.builder.is_some();
    // A channel or services that cannot be told are `plan`'s to refuse.
    let github = facts.environment.github.as_ref();
    let channel = crate::channel::channel(options.channel, github);
    let (Ok((channel, _)), Ok(selection)) = (channel, select(facts, &options.services)) else {
        return false;
    };
    builder::must_look(asked, &needs(facts, options, channel, &selection.chosen))
}

/// The last part of the repository's name, which names local images and our own builder.
fn project(repository: Option<&Repository>) -> String {
    let last = repository.and_then(|name| name.as_str().rsplit('/').next());
    last.unwrap_or("local").to_owned()
}

fn check_arguments(options: &BuildOptions) -> Result<(), Failure> {
    let mut arguments = options.build_args.iter();
    arguments.try_for_each(|(name, value)| {
        build_argument(name, value)
            .map_err(|problem| Failure::usage(format!("`--build-arg {name}`: {problem}")))
    })
}

#[cfg(test)]
mod tests;

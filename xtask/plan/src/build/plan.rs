//! The plan of `build`: one [`BuildSpec`] for each service, with the reason of each choice.

use serde::Serialize;

use crate::Choice;
use crate::builder::{self, BuilderPlan, builder};
use crate::selection::{LeftOut, Selection, select};
use xtask_model::channel::Channel;
use xtask_model::config::build_argument;
use xtask_model::facts::Facts;
use xtask_model::failure::Failure;
use xtask_model::reference::Repository;
use xtask_model::service::ServiceName;

use super::needs::needs;
use super::options::BuildOptions;
use super::service::Context;
use super::service_plan::ServicePlan;

/// Everything that `build` will do. `--dry-run --format json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BuildPlan {
    pub schema: u32,
    pub channel: Channel,
    pub choices: Vec<Choice>,
    pub builder: BuilderPlan,
    pub services: Vec<ServicePlan>,
    pub left_out: Vec<LeftOut>,
}

/// Plans everything that `build` will do.
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

/// Whether [`plan`] needs facts about the engine to choose a builder. Asking the engine takes more than a
/// tenth of a second, which a developer would pay with every build.
pub fn must_look(facts: &Facts, options: &BuildOptions) -> bool {
    let asked = options.builder.is_some() || facts.config.builder.is_some();
    // `plan` reports an impossible channel or an unknown service.
    let github = facts.environment.github.as_ref();
    let channel = crate::channel::channel(options.channel, github);
    let (Ok((channel, _)), Ok(selection)) = (channel, select(facts, &options.services)) else {
        return false;
    };
    builder::must_look(asked, &needs(facts, options, channel, &selection.chosen))
}

/// The last part of the repository's name. Local images and our own builder are named after it.
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
#[path = "driver_tests.rs"]
mod driver_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;

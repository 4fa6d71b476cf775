//! What `push` will do: for each service whether it is built, only tagged, or only finished.

use serde::Serialize;

use xtask_model::build::{BuildSpec, Output, Provenance};
use xtask_model::channel::Channel;
use xtask_model::config::SecretSource;
use xtask_model::facts::{Facts, Git};
use xtask_model::failure::Failure;
use xtask_model::published::{PublishedState, Relation};
use xtask_model::reference::Reference;
use xtask_model::service::ServiceName;

use super::Choice;
use super::build::{BuildPlan, ServicePlan};
use super::publish::{Action, Request, Tags, action};
use super::tagging::movement;

/// Everything `push` or `release` will do. Its JSON form is what `--dry-run --format json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PublishPlan {
    pub schema: u32,
    pub channel: Channel,
    pub choices: Vec<Choice>,
    pub services: Vec<ServicePublication>,
}

/// What will be done for one service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServicePublication {
    pub service: ServiceName,
    pub repository: Reference,
    pub tags: Tags,
    pub action: Action,
    /// The build, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<ServicePlan>,
}

/// The commit, which must be one: what cannot be checked out again is not published. `allowed` is the
/// flag of a command that publishes a dirty tree, marked as such, when it is asked to.
pub fn commit(facts: &Facts, allowed: Option<bool>) -> Result<&Git, Failure> {
    let git = facts.git.as_ref().ok_or_else(|| {
        Failure::usage("there is no commit to publish").hint("git init && git add . && git commit")
    })?;
    let Some(first) = git.dirty.first().filter(|_| allowed != Some(true)) else {
        return Ok(git);
    };
    let more = match git.dirty.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let hint = match allowed {
        Some(_) => "git commit; or, to publish it marked as dirty: --allow-dirty",
        None => "git commit, or git stash --include-untracked",
    };
    let message = format!("the tree has changes that are not committed: `{first}`{more}");
    Err(Failure::refused(message).hint(hint))
}

/// Decides what to do for each service of `plan`, whose builds are those of the channel.
pub fn plan(facts: &Facts, plan: &BuildPlan, request: &Request) -> Result<PublishPlan, Failure> {
    let nothing = PublishedState::default();
    let services = plan.services.iter().map(|service| {
        let state = facts.published.get(&service.service).unwrap_or(&nothing);
        let repository = service.repository.clone().ok_or_else(super::build::no_repository)?;
        let action = action(state, service.inputs.as_ref(), request)?;
        if facts.lab.is_none() {
            check_real(state, &repository, &action)?;
        }
        check_moves(state, &repository, &action, request)?;
        let build = match action {
            Action::Build { .. } => Some(service.clone()),
            Action::Warm { .. } => Some(warming(service)),
            _ => None,
        };
        let (service, tags) = (service.service.clone(), request.tags.clone());
        Ok(ServicePublication { service, repository, tags, action, build })
    });
    Ok(PublishPlan {
        schema: 1,
        channel: plan.channel,
        choices: plan.choices.clone(),
        services: services.collect::<Result<_, Failure>>()?,
    })
}

/// The build of `service` that publishes no image, for the exports that follow it.
fn warming(service: &ServicePlan) -> ServicePlan {
    let build = BuildSpec {
        cache_to: Vec::new(),
        output: Output::CacheOnly,
        provenance: Provenance::None,
        sbom: false,
        annotations: std::collections::BTreeMap::new(),
        ..service.build.clone()
    };
    // What goes with an image is not chosen where none is made.
    let of_image = |choice: &&Choice| {
        choice.what == "output" || service.build.cache_to.contains(&choice.value)
    };
    let mut choices: Vec<_> =
        service.choices.iter().filter(|choice| !of_image(choice)).cloned().collect();
    choices.push(Choice::new("output", build.output.value(None), "the image is published already"));
    ServicePlan { choices, command: build.invocation(), build, ..service.clone() }
}

/// What the lab built on a stand-in gets no tag outside the lab.
fn check_real(
    state: &PublishedState,
    repository: &Reference,
    action: &Action,
) -> Result<(), Failure> {
    let Some(digest) = action.digest() else { return Ok(()) };
    let image = state.images.values().find(|image| image.digest == *digest);
    match image.and_then(|image| image.stand_in.as_deref()) {
        Some(base) => Err(stand_in(&repository.at(digest.clone()), base)),
        None => Ok(()),
    }
}

/// The refusal of an image that was built on the stand-in of `base`.
pub fn stand_in(image: &Reference, base: &str) -> Failure {
    Failure::refused(format!("`{image}` was built in a lab, on a stand-in of `{base}`"))
        .hint("delete the version, then publish another commit from an engine whose bases are real")
}

/// A floating tag that may not move is known before anything is built.
fn check_moves(
    state: &PublishedState,
    repository: &Reference,
    action: &Action,
    request: &Request,
) -> Result<(), Failure> {
    for tag in &request.tags.floating {
        let there = state
            .images
            .get(tag)
            .map(|image| (image, state.relations.get(tag).copied().unwrap_or(Relation::Unknown)));
        let digest = action.digest();
        if there.is_some_and(|(image, _)| Some(&image.digest) == digest) {
            continue;
        }
        let newer = state.newer.as_ref().filter(|_| tag.as_str() == "dev");
        movement(&repository.with_tag(tag.clone()), there, newer, digest, request)?;
    }
    Ok(())
}

/// What becomes public with a service's image, in which no value of a secret may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure<'p> {
    pub service: &'p ServiceName,
    /// Arguments, labels and the Dockerfile.
    pub texts: Vec<&'p str>,
    /// What the build mounts as secrets.
    pub secrets: Vec<&'p SecretSource>,
}

/// What each image that is built makes public.
pub fn exposures<'p>(plan: &'p PublishPlan, facts: &'p Facts) -> Vec<Exposure<'p>> {
    let built = plan.services.iter().filter_map(|service| Some((service, service.build.as_ref()?)));
    let exposure = |(service, planned): (&'p ServicePublication, &'p ServicePlan)| {
        let file = facts.services.iter().find(|facts| facts.name == service.service);
        // Where a secret is mounted from may be the value of a variable, and is no secret.
        let arguments = planned.command.arguments.iter().map(String::as_str);
        let arguments = arguments.filter(|argument| !argument.starts_with("--secret="));
        Exposure {
            service: &service.service,
            texts: arguments.chain(file.map(|facts| facts.dockerfile.as_str())).collect(),
            secrets: planned.build.secrets.values().collect(),
        }
    };
    built.map(exposure).collect()
}

//! What `push` and `release` will do: the decision for each service, the builds of those that need one,
//! and all steps in their order.

use serde::Serialize;

use xtask_model::build::{BuildSpec, Output, Provenance};
use xtask_model::channel::Channel;
use xtask_model::config::SecretSource;
use xtask_model::facts::{Facts, ServiceFacts};
use xtask_model::failure::Failure;
use xtask_model::reference::{Reference, Tag};
use xtask_model::service::ServiceName;

use super::action::{Action, Decision, decide};
use super::request::{Request, Tags};
use super::steps::{Extent, Requires, Step, move_tags, steps};
use crate::Choice;
use crate::build::{BuildOptions, BuildPlan, Recipe, ServicePlan};
use crate::builder::BuilderPlan;
use crate::channel::channel;
use crate::release::plan::{GitTag, ReleasePlan};
use crate::selection::select;

/// Everything `push` or `release` will do. Its JSON form is what `--dry-run --format json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PublishPlan {
    pub schema: u32,
    pub channel: Channel,
    pub choices: Vec<Choice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleasePlan>,
    /// Run before any service is published.
    pub first: Vec<Step>,
    /// Published side by side.
    pub services: Vec<ServicePublication>,
    /// Run when the images of all services are published.
    pub finally: Vec<Step>,
    /// What the builds run on.
    #[serde(skip)]
    pub builder: BuilderPlan,
}

/// What will be done for one service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServicePublication {
    pub service: ServiceName,
    pub repository: Reference,
    pub tags: Tags,
    pub action: Action,
    pub steps: Vec<Step>,
    /// The build, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<ServicePlan>,
}

/// Decides what each selected service needs. This plans no build.
pub fn decisions(
    facts: &Facts,
    options: &BuildOptions,
    request: &Request,
) -> Result<Vec<Decision>, Failure> {
    let (channel, _) = channel(options.channel, facts.environment.github.as_ref())?;
    let chosen = select(facts, &options.services)?.chosen;
    let decide = |(service, _): &(&ServiceFacts, String)| {
        let inputs = Recipe::new(facts, options, channel, service)?.inputs(facts, service);
        decide(facts, service, inputs, request)
    };
    chosen.iter().map(decide).collect()
}

/// Puts the decisions of all services and the `builds` of those that need one into one plan.
pub fn plan(
    facts: &Facts,
    decisions: Vec<Decision>,
    builds: &BuildPlan,
    request: &Request,
    release: Option<&ReleasePlan>,
) -> PublishPlan {
    let mut first: Vec<Step> =
        decisions.iter().filter_map(|decision| check_promoted(facts, decision)).collect();
    first.extend(release.and_then(git_tag));
    let mut finally = Vec::new();
    if let Some(release) = release {
        for Decision { repository, action, .. } in &decisions {
            finally.extend(move_tags(repository, action.digest(), request));
        }
        finally.extend(decisions.iter().filter_map(|decision| recheck(decision, request)));
        finally.extend(
            release.github_release.then(|| Step::CreateRelease {
                tag: release.name(),
                requires: Requires::NoRelease,
            }),
        );
    }
    let service = |decision: Decision| {
        let Decision { service, repository, action, .. } = decision;
        let planned = builds.services.iter().find(|build| build.service == service);
        let build = match action {
            Action::Build { .. } => planned.cloned(),
            Action::Warm { .. } => planned.map(warming),
            Action::Finish { .. } | Action::Retag { .. } | Action::Promote { .. } => None,
        };
        let steps = steps(&action, &repository, request);
        let tags = request.tags.clone();
        ServicePublication { service, repository, tags, action, steps, build }
    };
    PublishPlan {
        schema: 2,
        channel: builds.channel,
        choices: builds.choices.clone(),
        release: release.cloned(),
        first,
        services: decisions.into_iter().map(service).collect(),
        finally,
        builder: builds.builder.clone(),
    }
}

/// The check of a promoted image, which comes before anything is changed for any service.
fn check_promoted(facts: &Facts, decision: &Decision) -> Option<Step> {
    let Action::Promote { digest, .. } = &decision.action else { return None };
    let state = facts.published.get(&decision.service);
    let is_dev = state.is_some_and(|state| state.dev_has(digest));
    let extent = if is_dev { Extent::Manifests } else { Extent::All };
    let (repository, image) = (decision.repository.clone(), Some(digest.clone()));
    Some(Step::CheckImage { repository, image, extent })
}

/// The check after the floating tags of a release have moved.
fn recheck(decision: &Decision, request: &Request) -> Option<Step> {
    let tag = |tag: &Tag| decision.repository.with_tag(tag.clone());
    let tags: Vec<_> = request.tags.floating.iter().map(tag).collect();
    let requires = Requires::HighestVersion;
    (!tags.is_empty()).then_some(Step::Recheck { tags, requires })
}

/// The step for the git tag of a release.
pub fn git_tag(release: &ReleasePlan) -> Option<Step> {
    let (tag, revision) = (release.name(), release.revision.clone());
    let push = release.has_origin;
    match (release.git_tag, release.create_tag) {
        (GitTag::There, _) => None,
        (GitTag::OnlyHere, true) => Some(Step::PushGitTag { tag, revision, create: false, push }),
        (GitTag::Missing, true) => Some(Step::PushGitTag { tag, revision, create: true, push }),
        (GitTag::OnlyHere, false) => {
            let problem = format!("`origin` does not have the git tag `{tag}`");
            let hint = format!("git push origin {tag}, or add --create-tag");
            Some(Step::RequireGitTag { tag, problem, hint })
        }
        (GitTag::Missing, false) => {
            let problem = format!("there is no git tag `{tag}`");
            let hint = format!("git tag {tag} && git push origin {tag}, or add --create-tag");
            Some(Step::RequireGitTag { tag, problem, hint })
        }
    }
}

/// A build of `service` that publishes no image and only fills the cache.
fn warming(service: &ServicePlan) -> ServicePlan {
    let build = BuildSpec {
        cache_to: Vec::new(),
        output: Output::CacheOnly,
        provenance: Provenance::None,
        sbom: false,
        annotations: std::collections::BTreeMap::new(),
        ..service.build.clone()
    };
    // These choices are about the image.
    let of_image = |choice: &&Choice| {
        choice.what == "output" || service.build.cache_to.contains(&choice.value)
    };
    let mut choices: Vec<_> =
        service.choices.iter().filter(|choice| !of_image(choice)).cloned().collect();
    choices.push(Choice::new("output", build.output.value(None), "the image is published already"));
    ServicePlan { choices, command: build.invocation(), build, ..service.clone() }
}

/// What becomes public with a service's image, and so must not contain the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure<'p> {
    pub service: &'p ServiceName,
    /// Arguments, labels and the Dockerfile.
    pub texts: Vec<&'p str>,
    /// What the build mounts as secrets.
    pub secrets: Vec<&'p SecretSource>,
}

/// What the image of each build makes public.
pub fn exposures<'p>(plan: &'p PublishPlan, facts: &'p Facts) -> Vec<Exposure<'p>> {
    let built = plan.services.iter().filter_map(|service| Some((service, service.build.as_ref()?)));
    let exposure = |(service, planned): (&'p ServicePublication, &'p ServicePlan)| {
        let file = facts.services.iter().find(|facts| facts.name == service.service);
        // The path or variable that a secret is mounted from is not itself secret.
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

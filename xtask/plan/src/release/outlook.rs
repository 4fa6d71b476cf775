//! What a release would do to every tag: where it points now, and where it moves or why it stays.

use semver::Version;
use serde::Serialize;

use crate::publish::{Action, Request, action};
use crate::push::PublishPlan;
use xtask_model::facts::Facts;
use xtask_model::failure::Failure;
use xtask_model::published::PublishedState;
use xtask_model::reference::{Digest, Reference, Tag};
use xtask_model::service::ServiceName;

use super::{GitTag, ReleasePlan, floating};

/// What a dry run says. Its JSON form is that of the publication, with what a release adds.
#[derive(Debug, Serialize)]
pub struct Explanation<'p> {
    pub version: &'p Version,
    pub reason: &'p str,
    pub git_tag: GitTag,
    pub tags: Vec<ServiceOutlook>,
    /// `None` where it would be refused.
    #[serde(flatten)]
    pub publication: Option<&'p PublishPlan>,
}

impl<'p> Explanation<'p> {
    pub fn new(
        plan: &'p ReleasePlan,
        tags: Vec<ServiceOutlook>,
        publication: Option<&'p PublishPlan>,
    ) -> Self {
        let ReleasePlan { version, reason, git_tag, .. } = plan;
        Self { version, reason, git_tag: *git_tag, tags, publication }
    }
}

/// The tags of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceOutlook {
    pub service: ServiceName,
    pub repository: Reference,
    pub tags: Vec<Outlook>,
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outlook {
    pub tag: Tag,
    /// What it points at.
    pub now: Option<Digest>,
    pub becomes: Becomes,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Becomes {
    /// It is new.
    Set,
    Moves,
    Stays,
    /// The release would be refused.
    Refused,
}

/// What becomes of all tags of all services.
pub fn outlook(facts: &Facts, plan: &ReleasePlan, request: &Request) -> Vec<ServiceOutlook> {
    let nothing = PublishedState::default();
    let services = facts.services.iter().filter_map(|service| {
        let repository = facts.published(&service.name)?;
        let state = facts.published.get(&service.name).unwrap_or(&nothing);
        let action = action(state, None, request);
        let exact = plan.tags.exact.iter().map(|tag| exact_tag(tag, state, &action));
        let mut tags: Vec<_> = exact.collect();
        tags.extend(floating_tags(facts, plan, &service.name, &action));
        Some(ServiceOutlook { service: service.name.clone(), repository, tags })
    });
    services.collect()
}

fn exact_tag(tag: &Tag, state: &PublishedState, action: &Result<Action, Failure>) -> Outlook {
    let now = state.images.get(tag).map(|image| image.digest.clone());
    let (becomes, reason) = match (action, &now) {
        (Err(refused), _) => (Becomes::Refused, refused.message.clone()),
        (Ok(_), Some(_)) => (Becomes::Stays, "it is there, and never changes".to_owned()),
        (Ok(action), None) => {
            let what = action.digest().map_or("the image that is built", Digest::short);
            (Becomes::Set, format!("to {what}, for good"))
        }
    };
    Outlook { tag: tag.clone(), now, becomes, reason }
}

fn floating_tags(
    facts: &Facts,
    plan: &ReleasePlan,
    service: &ServiceName,
    action: &Result<Action, Failure>,
) -> Vec<Outlook> {
    let Some(release) = &facts.release else { return Vec::new() };
    let heads = release.heads.get(service);
    let digest = action.as_ref().ok().and_then(Action::digest);
    let tags = floating(&plan.version, &release.versions()).into_iter().map(|decided| {
        let now = heads.and_then(|heads| heads.get(&decided.tag)).cloned();
        let (becomes, reason) = if !decided.moves {
            (Becomes::Stays, decided.reason)
        } else if action.is_err() {
            (Becomes::Stays, "the exact tags are refused".to_owned())
        } else if now.is_some() && now.as_ref() == digest {
            (Becomes::Stays, "it is there".to_owned())
        } else {
            let becomes = if now.is_some() { Becomes::Moves } else { Becomes::Set };
            (becomes, decided.reason)
        };
        Outlook { tag: decided.tag, now, becomes, reason }
    });
    tags.collect()
}

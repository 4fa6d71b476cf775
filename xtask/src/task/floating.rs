//! The floating tags of a release, which move when the images of all services are there.

use anyhow::Result;
use semver::Version;

use crate::model::publication::{PublishResult, Published, TagResult};
use crate::model::reference::Tag;
use crate::outside::registry::RegistryError;
use crate::plan::push::{PublishPlan, ServicePublication};
use crate::plan::{release, tagging};

use super::publish::Publisher;

/// Moves the floating tags of every service to what was published. Another release may have ended since
/// this one chose its tags, and another one may write while this one does; so the versions are listed
/// again before and after, and what belongs to a higher version is left or given to it.
pub(super) fn release(
    by: &Publisher<'_>,
    plan: &PublishPlan,
    results: &mut [Published],
    fail: impl Fn(&ServicePublication, &mut Published, &anyhow::Error),
) {
    type Act<'a> = &'a dyn Fn(&ServicePublication, &mut Published) -> Result<()>;
    let each = |results: &mut [Published], act: Act<'_>| {
        for (service, published) in plan.services.iter().zip(results) {
            if let Err(error) = act(service, published) {
                fail(service, published, &error);
            }
        }
    };
    let before = match versions(by, plan) {
        Ok(before) => before,
        Err(error) => {
            return each(results, &|_, _| Err(anyhow::anyhow!("{error:#}")));
        }
    };
    each(results, &|service, published| move_to_ours(by, service, published, &before));
    match versions(by, plan) {
        Ok(after) if after != before => {
            each(results, &|service, published| give_to_higher(by, service, published, &after));
        }
        Ok(_) => {}
        Err(error) => each(results, &|_, _| Err(anyhow::anyhow!("{error:#}"))),
    }
}

/// The versions that any service has now.
fn versions(by: &Publisher<'_>, plan: &PublishPlan) -> Result<Vec<Version>> {
    let mut versions = Vec::new();
    for service in &plan.services {
        let tags = by.again(|| match by.client.tags(&service.repository) {
            Err(RegistryError::NotFound) => Ok(Vec::new()),
            other => other,
        })?;
        versions.extend(release::published(&tags));
    }
    versions.sort();
    versions.dedup();
    Ok(versions)
}

fn move_to_ours(
    by: &Publisher<'_>,
    service: &ServicePublication,
    published: &mut Published,
    versions: &[Version],
) -> Result<()> {
    let Some(digest) = published.digest.clone() else { return Ok(()) };
    let stored = by.stored(&service.repository, &digest)?;
    for tag in &service.tags.floating {
        let reference = service.repository.with_tag(tag.clone());
        // No tag can have what was only built now.
        let may_be_there = published.result != PublishResult::Built;
        let (set, reason) = if let Some(higher) = tagging::higher(tag, by.request, versions) {
            (false, overtaken(higher))
        } else if may_be_there && by.digest_at(&reference)?.as_ref() == Some(&digest) {
            (false, "it is there".to_owned())
        } else {
            by.put(&reference, &stored)?;
            (true, "the highest version of its line".to_owned())
        };
        published.tags.push(TagResult { tag: tag.clone(), set, reason });
    }
    Ok(())
}

fn overtaken(higher: &Version) -> String {
    format!("v{higher} is higher, and was released meanwhile")
}

fn give_to_higher(
    by: &Publisher<'_>,
    service: &ServicePublication,
    published: &mut Published,
    versions: &[Version],
) -> Result<()> {
    let floating = &service.tags.floating;
    for result in published.tags.iter_mut().filter(|result| floating.contains(&result.tag)) {
        let Some(higher) = tagging::higher(&result.tag, by.request, versions) else { continue };
        let other = Tag::new(format!("v{higher}"))?;
        let reference = service.repository.with_tag(result.tag.clone());
        // A service that the higher version does not have yet gets its tag from that release.
        if by.digest_at(&reference.with_tag(other.clone()))?.is_some() {
            by.give(&reference, &other)?;
        }
        result.set = false;
        result.reason = overtaken(higher);
    }
    Ok(())
}

//! Whether the images that are promoted are what they should be: looked at for all services before
//! anything is changed for one.

use anyhow::Result;

use crate::model::facts::Facts;
use crate::model::failure::Failure;
use crate::outside::registry::Client;
use crate::outside::{parallel, published};
use crate::plan::publish::{Action, Request};
use crate::plan::push::PublishPlan;
use crate::plan::release;
use crate::task::publish::again;

pub(super) fn verify(
    client: &Client,
    facts: &Facts,
    request: &Request,
    plan: &PublishPlan,
) -> Result<()> {
    let looked = parallel::each(&plan.services, |service| {
        let Action::Promote { digest, .. } = &service.action else { return Ok(()) };
        let image = service.repository.at(digest.clone());
        let state = facts.published.get(&service.service);
        release::promotable(&image, state, request)?;
        // The layers of an image that `dev` has were looked at when `dev` got it, and a registry keeps what
        // a manifest with a tag refers to; only manifests are lost, to those who delete what has no tag.
        let repository = &service.repository;
        let closure = if state.is_some_and(|state| state.has("dev", digest)) {
            again(|| published::manifests(client, repository, digest))?.0
        } else {
            again(|| published::closure(client, repository, digest))?
        };
        match closure.missing.first() {
            None => Ok(()),
            Some(missing) => Err(Failure::refused(format!(
                "`{image}` is not whole: `{missing}`, to which it refers, is not there"
            ))
            .hint("cargo xtask push --rebuild; or release without --promote")
            .into()),
        }
    });
    looked.into_iter().collect()
}

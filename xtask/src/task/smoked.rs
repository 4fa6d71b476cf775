//! `cargo xtask verify --smoke`: published images are started by their digests, asked and stopped.

use std::collections::BTreeMap;

use crate::model::facts::{Facts, ServiceFacts};
use crate::model::inspection::Package;
use crate::model::reference::{Digest, Tag};
use crate::outside::smoke::{self, Passed};
use crate::plan::verify::{Finding, Level, tags};
use crate::report;

use super::Start;

/// Starts each image that is judged, once for all of its tags.
pub(super) fn findings(
    start: &Start,
    facts: &Facts,
    service: &ServiceFacts,
    package: &Package,
) -> Vec<Finding> {
    let mut images: BTreeMap<&Digest, Tag> = BTreeMap::new();
    for tag in tags::judged(package.listing.tags()) {
        if let Some(digest) = package.points.get(&tag) {
            images.entry(digest).or_insert(tag);
        }
    }
    if images.is_empty() {
        let detail = "there is no image to start";
        return vec![Finding::new(service.name.as_str(), "smoke", Level::Skip, detail)];
    }
    let of = |(digest, tag): (&Digest, Tag)| one(start, facts, service, package, digest, &tag);
    images.into_iter().map(of).collect()
}

fn one(
    start: &Start,
    facts: &Facts,
    service: &ServiceFacts,
    package: &Package,
    digest: &Digest,
    tag: &Tag,
) -> Finding {
    let finding = |level, detail: String| {
        Finding::new(format!("{}:{tag}", service.name), "smoke", level, detail)
    };
    let image = package.repository.at(digest.clone()).to_string();
    // An engine that does not answer or a pull that fails says nothing about the image.
    if let Err(error) = smoke::pull(&start.runner, &image) {
        let detail = format!("it cannot be pulled: {}", causes(&error));
        return finding(Level::Unknown, detail).remedy("cargo xtask doctor");
    }
    let contract = facts.config.service(&service.name).smoke_test.unwrap_or_default();
    match smoke::test(&start.runner, &service.name, &image, &contract, |_| ()) {
        Ok(Passed { seconds_to_healthy, user }) => {
            let time = report::quantity::seconds(seconds_to_healthy);
            let user = user.map(|user| format!(", runs as {user}")).unwrap_or_default();
            finding(Level::Pass, format!("healthy after {time}, answers{user}, and stops"))
        }
        Err(error) => finding(Level::Fail, causes(&error))
            .remedy(format!("cargo xtask build {} --test", service.name)),
    }
}

/// What went wrong, the cause before what came of it.
fn causes(error: &anyhow::Error) -> String {
    let texts: Vec<String> = error.chain().map(ToString::to_string).collect();
    texts.into_iter().rev().collect::<Vec<_>>().join("; ")
}

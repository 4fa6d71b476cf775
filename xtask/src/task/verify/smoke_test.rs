//! `cargo xtask verify --smoke`: starts each published image by its digest, checks its answers and stops
//! it.

use std::collections::BTreeMap;

use crate::command::Command;
use crate::model::facts::{Facts, ServiceFacts};
use crate::model::inspection::Package;
use crate::model::reference::{Digest, Tag};
use crate::outside::smoke::{self, SmokeResult};
use crate::plan::finding::{Finding, Level};
use crate::plan::verify::tags;
use crate::report;

/// Starts each judged image once, however many tags it has.
pub(super) fn findings(
    command: &Command,
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
        let detail = "no image to start";
        return vec![Finding::new(service.name.as_str(), "smoke", Level::Skip, detail)];
    }
    let of = |(digest, tag): (&Digest, Tag)| one(command, facts, service, package, digest, &tag);
    images.into_iter().map(of).collect()
}

fn one(
    command: &Command,
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
    // A failed pull proves nothing about the image.
    if let Err(error) = smoke::pull(&command.runner, &image) {
        let detail = format!("cannot pull the image: {}", causes(&error));
        return finding(Level::Unknown, detail).remedy("cargo xtask doctor");
    }
    let contract = facts.config.service(&service.name).smoke_test.unwrap_or_default();
    match smoke::test(&command.runner, &service.name, &image, &contract, |_| ()) {
        Ok(SmokeResult { seconds_to_healthy, user }) => {
            let time = report::quantity::seconds(seconds_to_healthy);
            let user = user.map(|user| format!(", runs as {user}")).unwrap_or_default();
            finding(Level::Pass, format!("healthy after {time}, answers{user}, stops"))
        }
        Err(error) => finding(Level::Fail, causes(&error))
            .remedy(format!("cargo xtask build {} --test", service.name)),
    }
}

/// The error with its root cause first.
fn causes(error: &anyhow::Error) -> String {
    let texts: Vec<String> = error.chain().map(ToString::to_string).collect();
    texts.into_iter().rev().collect::<Vec<_>>().join("; ")
}

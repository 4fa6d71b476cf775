//! Judges the package of one service: visibility, tags, images and attestations.

use xtask_model::facts::{Facts, ServiceFacts};
use xtask_model::inspection::{Listing, Package, Untagged};
use xtask_model::platform::Platform;
use xtask_model::reference::Tag;

use super::review::Review;
use super::tags;
use super::{attestation, image, size};
use crate::finding::{Finding, Level};

/// All findings about one package.
pub fn findings(
    facts: &Facts,
    service: &ServiceFacts,
    package: &Package,
    own_platform: Option<&Platform>,
) -> Vec<Finding> {
    let review = Review { facts, service, package, own_platform };
    let tags = match &package.listing {
        Listing::Tags(tags) if !tags.is_empty() => tags,
        Listing::Tags(_) | Listing::NotThere => {
            let detail = format!("nothing is published at {}", package.repository);
            return vec![
                review.finding("published", Level::Fail, detail).remedy("cargo xtask push"),
            ];
        }
        Listing::Denied { message } => {
            let remedy = format!("docker login {}", package.repository.registry);
            return vec![review.finding("login", Level::Fail, message.clone()).remedy(remedy)];
        }
        Listing::Unknown { message } => {
            return vec![
                review
                    .finding("published", Level::Unknown, message.clone())
                    .remedy("cargo xtask doctor"),
            ];
        }
    };
    let mut findings = vec![visibility(&review)];
    findings.extend(tags::findings(&review, tags));
    findings.push(untagged(&review));
    for tag in tags::judged(tags) {
        if let Some(digest) = package.points.get(&tag) {
            findings.extend(image::findings(&review, &tag, digest));
            findings.extend(attestation::findings(&review, &tag, digest));
        }
    }
    let tag = Tag::dev();
    if let Some(digest) = package.points.get(&tag) {
        if !package.images(digest).is_empty() {
            findings.push(image::freshness(&review, &tag, digest));
        }
        findings.extend(size::growth(&review, &tag, digest));
        findings.extend(image::bases(&review, &tag, digest));
    }
    findings
}

fn visibility(review: &Review<'_>) -> Finding {
    let finding = |level, detail| review.finding("visibility", level, detail);
    match review.package.public {
        Some(true) => finding(Level::Pass, "public"),
        Some(false) => finding(Level::Skip, "private: pulling needs a login"),
        None => finding(Level::Unknown, "an anonymous request got no answer")
            .remedy("cargo xtask verify"),
    }
}

/// Untagged versions that `prune` would delete.
fn untagged(review: &Review<'_>) -> Finding {
    let finding = |level, detail: String| review.finding("untagged", level, detail);
    match &review.package.untagged {
        Untagged::Count(0) => finding(Level::Pass, "no untagged versions to delete".to_owned()),
        Untagged::Count(count) => {
            let remedy = format!("cargo xtask prune {}", review.service.name);
            finding(Level::Warn, format!("untagged versions to delete: {count}")).remedy(remedy)
        }
        Untagged::Unlisted => {
            let detail = "cannot count untagged versions: only GitHub lists them, and only with a \
                          token that may read packages";
            finding(Level::Skip, detail.to_owned())
        }
        Untagged::Unknown { message } => {
            finding(Level::Unknown, message.clone()).remedy("cargo xtask prune")
        }
    }
}

#[cfg(test)]
#[path = "package_tests.rs"]
mod tests;

//! What is published of one service, judged: its tags, its images, and what speaks about them.

use xtask_model::config::Config;
use xtask_model::facts::{Facts, ServiceFacts};
use xtask_model::inspection::{Listing, Package, Untagged};
use xtask_model::reference::Tag;

use super::tags::{self, dev};
use super::{Finding, Level, attestation, image, size};

/// What the judges of one package look at.
pub(super) struct Subject<'a> {
    pub facts: &'a Facts,
    pub service: &'a ServiceFacts,
    pub package: &'a Package,
    /// `linux/…` of this machine, for which an image is built when no platform is configured.
    pub own_platform: Option<&'a xtask_model::platform::Platform>,
}

impl Subject<'_> {
    pub fn config(&self) -> &Config {
        &self.facts.config
    }

    /// A finding about the package.
    pub fn finding(&self, check: &'static str, level: Level, detail: impl Into<String>) -> Finding {
        Finding::new(self.service.name.as_str(), check, level, detail)
    }

    /// A finding about the image under a tag.
    pub fn of(
        &self,
        tag: &Tag,
        check: &'static str,
        level: Level,
        detail: impl Into<String>,
    ) -> Finding {
        Finding::new(format!("{}:{tag}", self.service.name), check, level, detail)
    }
}

/// The command that mends most of what can be wrong with a dev image.
pub(super) const REBUILD: &str = "cargo xtask push --rebuild";

/// Judges one package.
pub fn package(
    facts: &Facts,
    service: &ServiceFacts,
    package: &Package,
    own_platform: Option<&xtask_model::platform::Platform>,
) -> Vec<Finding> {
    let subject = Subject { facts, service, package, own_platform };
    let tags = match &package.listing {
        Listing::Tags(tags) if !tags.is_empty() => tags,
        Listing::Tags(_) | Listing::NotThere => {
            let detail = format!("nothing at {}", package.repository);
            return vec![
                subject.finding("published", Level::Fail, detail).remedy("cargo xtask push"),
            ];
        }
        Listing::Denied { message } => {
            let remedy = format!("docker login {}", package.repository.registry);
            return vec![subject.finding("login", Level::Fail, message.clone()).remedy(remedy)];
        }
        Listing::Unknown { message } => {
            return vec![
                subject
                    .finding("published", Level::Unknown, message.clone())
                    .remedy("cargo xtask doctor"),
            ];
        }
    };
    let mut findings = vec![visibility(&subject)];
    findings.extend(tags::findings(&subject, tags));
    findings.push(untagged(&subject));
    for tag in tags::judged(tags) {
        if let Some(digest) = package.points.get(&tag) {
            findings.extend(image::findings(&subject, &tag, digest));
            findings.extend(attestation::findings(&subject, &tag, digest));
        }
    }
    if let (Some(tag), Some(digest)) = (dev(), dev().and_then(|tag| package.points.get(&tag))) {
        if !package.images(digest).is_empty() {
            findings.push(image::freshness(&subject, &tag, digest));
        }
        findings.extend(size::growth(&subject, &tag, digest));
        findings.extend(image::bases(&subject, &tag, digest));
    }
    findings
}

fn visibility(subject: &Subject<'_>) -> Finding {
    match subject.package.public {
        Some(true) => subject.finding("visibility", Level::Pass, "everybody may pull it"),
        Some(false) => {
            subject.finding("visibility", Level::Skip, "only who is logged in may pull it")
        }
        None => subject
            .finding("visibility", Level::Unknown, "nobody answered without credentials")
            .remedy("cargo xtask verify"),
    }
}

/// What has no tag and is needed by nothing.
fn untagged(subject: &Subject<'_>) -> Finding {
    let finding = |level, detail: String| subject.finding("untagged", level, detail);
    match &subject.package.untagged {
        Untagged::Count(0) => {
            finding(Level::Pass, "nothing without a tag is to be deleted".to_owned())
        }
        Untagged::Count(count) => {
            let detail = format!("{count} versions without a tag are needed by nothing");
            let remedy = format!("cargo xtask prune {}", subject.service.name);
            finding(Level::Warn, detail).remedy(remedy)
        }
        Untagged::Unlisted => finding(
            Level::Skip,
            "only GitHub lists what has no tag, with a token that may read packages".to_owned(),
        ),
        Untagged::Unknown { message } => {
            finding(Level::Unknown, message.clone()).remedy("cargo xtask prune")
        }
    }
}

#[cfg(test)]
#[path = "package_tests.rs"]
mod tests;

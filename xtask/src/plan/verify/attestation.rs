//! What speaks about an image: provenance, SBOM and signature.
//!
//! Source: "Attestation storage" of moby/buildkit, and the in-toto statement 0.1 and 1.

use serde::Deserialize;
use serde_json::Value;

use crate::model::inspection::Package;
use crate::model::manifest::{Descriptor, Manifest};
use crate::model::reference::{Digest, Tag};

use super::package::{REBUILD, Subject};
use super::{Finding, Level};

/// The part of an in-toto statement that is read.
#[derive(Debug, Deserialize)]
struct Statement {
    #[serde(default)]
    subject: Vec<About>,
    #[serde(default)]
    predicate: Value,
}

#[derive(Debug, Deserialize)]
struct About {
    #[serde(default)]
    digest: std::collections::BTreeMap<String, String>,
}

pub(super) fn findings(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let Some(Manifest::Index(index)) = subject.package.manifest(digest) else { return Vec::new() };
    let mut findings = Vec::new();
    for image in index.images() {
        let attests = |entry: &&Descriptor| entry.attests() == Some(image.digest.as_str());
        let Some(entry) = index.attestations().find(attests) else {
            let detail = format!("nothing says how {} was built", image.digest.short());
            findings.push(subject.of(tag, "provenance", Level::Warn, detail).remedy(REBUILD));
            continue;
        };
        findings.extend(provenance(subject, tag, digest, &image.digest, entry));
        findings.extend(sbom(subject, tag, entry));
    }
    findings.extend(signature(subject, tag, digest));
    findings
}

fn statements(package: &Package, entry: &Descriptor) -> Vec<Descriptor> {
    match package.manifest(&entry.digest) {
        Some(Manifest::Image(image)) => image.layers,
        _ => Vec::new(),
    }
}

fn kind(statement: &Descriptor) -> &str {
    statement.annotations.get("in-toto.io/predicate-type").map_or("", String::as_str)
}

/// The provenance speaks about this image and of the commit that the image names.
fn provenance(
    subject: &Subject<'_>,
    tag: &Tag,
    digest: &Digest,
    image: &Digest,
    entry: &Descriptor,
) -> Option<Finding> {
    let statements = statements(subject.package, entry);
    let found = statements.iter().find(|layer| kind(layer).starts_with("https://slsa.dev/"))?;
    let wrong =
        |detail: String| Some(subject.of(tag, "provenance", Level::Fail, detail).remedy(REBUILD));
    // One that is gone is told with all else that is gone.
    let text = subject.package.document(&found.digest)?;
    let Ok(statement) = serde_json::from_str::<Statement>(text) else {
        return wrong("the provenance cannot be read".to_owned());
    };
    let hex = image.as_str().strip_prefix("sha256:");
    let speaks =
        statement.subject.iter().any(|about| about.digest.get("sha256").map(String::as_str) == hex);
    if !speaks {
        return wrong(format!("the provenance is not about {}", image.short()));
    }
    let said = revision(&statement.predicate);
    let named = super::image::revision(subject.package, digest);
    match (said, named) {
        (Some(said), Some(named)) if !named.starts_with(said.trim_end_matches("-dirty")) => {
            wrong(format!("the provenance says {said}, and the image says {named}"))
        }
        (Some(_), _) => {
            Some(subject.of(tag, "provenance", Level::Pass, "about this image and its commit"))
        }
        (None, _) => Some(subject.of(tag, "provenance", Level::Pass, "about this image")),
    }
}

/// The commit in a provenance's predicate, wherever its version keeps it.
fn revision(predicate: &Value) -> Option<&str> {
    match predicate {
        Value::Object(fields) => fields
            .get("vcs")
            .and_then(|vcs| vcs.get("revision")?.as_str())
            .or_else(|| fields.values().find_map(revision)),
        Value::Array(values) => values.iter().find_map(revision),
        _ => None,
    }
}

fn sbom(subject: &Subject<'_>, tag: &Tag, entry: &Descriptor) -> Option<Finding> {
    if !subject.config().sbom {
        return None;
    }
    let statements = statements(subject.package, entry);
    Some(if statements.iter().any(|layer| kind(layer).starts_with("https://spdx.dev/")) {
        subject.of(tag, "sbom", Level::Pass, "it is there")
    } else {
        subject.of(tag, "sbom", Level::Fail, "configured, and not there").remedy(REBUILD)
    })
}

/// cosign keeps a signature under a tag that is named after the digest.
fn signature(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Option<Finding> {
    if !subject.config().signed {
        return None;
    }
    let name = format!("{}.sig", digest.as_str().replace(':', "-"));
    let tags = subject.package.listing.tags();
    Some(if tags.iter().any(|tag| tag.as_str() == name) {
        subject.of(tag, "signature", Level::Pass, "it is signed; who did: cosign verify")
    } else {
        let image = subject.package.repository.at(digest.clone());
        subject
            .of(tag, "signature", Level::Fail, "configured, and not there")
            .remedy(format!("cosign sign {image}"))
    })
}

//! Judges what vouches for an image: provenance, SBOM and signature.
//!
//! Source: "Attestation storage" of moby/buildkit, and the in-toto statement 0.1 and 1.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use xtask_model::config::Signed;
use xtask_model::inspection::{Package, Signature};
use xtask_model::manifest::{Descriptor, Manifest};
use xtask_model::reference::{Digest, Tag};

use super::review::{REBUILD, Review};
use crate::finding::{Finding, Level};

/// The fields of an in-toto statement that are checked.
#[derive(Debug, Deserialize)]
struct Statement {
    #[serde(default)]
    subject: Vec<StatementSubject>,
    #[serde(default)]
    predicate: Value,
}

#[derive(Debug, Deserialize)]
struct StatementSubject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

pub(super) fn findings(review: &Review<'_>, tag: &Tag, digest: &Digest) -> Vec<Finding> {
    let mut findings = Vec::new();
    let images = match review.package.manifest(digest) {
        Some(Manifest::Index(index)) => {
            let attests = |image: &Digest| {
                let mut entries = index.attestations();
                entries.find(|entry| entry.attests() == Some(image.as_str())).cloned()
            };
            index.images().map(|image| (image.digest.clone(), attests(&image.digest))).collect()
        }
        // Without an index there is no place for attestations.
        Some(Manifest::Image(_)) => vec![(digest.clone(), None)],
        _ => return findings,
    };
    for (image, entry) in images {
        let statements =
            entry.as_ref().map_or(Some(Vec::new()), |entry| statements(review.package, entry));
        // A missing attestation is a finding of the check `closure`.
        let Some(statements) = statements else { continue };
        findings.extend(provenance(review, tag, digest, &image, &statements));
        findings.extend(sbom(review, tag, &image, &statements));
    }
    findings.extend(signature(review, tag, digest));
    findings
}

fn statements(package: &Package, entry: &Descriptor) -> Option<Vec<Descriptor>> {
    match package.manifest(&entry.digest)? {
        Manifest::Image(image) => Some(image.layers),
        _ => None,
    }
}

fn kind(statement: &Descriptor) -> &str {
    statement.annotations.get("in-toto.io/predicate-type").map_or("", String::as_str)
}

/// The provenance must describe this image and the commit that the image names.
fn provenance(
    review: &Review<'_>,
    tag: &Tag,
    digest: &Digest,
    image: &Digest,
    statements: &[Descriptor],
) -> Option<Finding> {
    let of_build = |layer: &&Descriptor| kind(layer).starts_with("https://slsa.dev/");
    let Some(found) = statements.iter().find(of_build) else {
        let detail = format!("{} has no provenance", image.short());
        return Some(review.of_tag(tag, "provenance", Level::Warn, detail).remedy(REBUILD));
    };
    let wrong = |detail: String| {
        Some(review.of_tag(tag, "provenance", Level::Fail, detail).remedy(REBUILD))
    };
    // A missing statement is a finding of the check `closure`.
    let text = review.package.document(&found.digest)?;
    let Ok(statement) = serde_json::from_str::<Statement>(text) else {
        return wrong("the provenance cannot be read".to_owned());
    };
    let hex = image.as_str().strip_prefix("sha256:");
    let is_subject =
        |subject: &StatementSubject| subject.digest.get("sha256").map(String::as_str) == hex;
    if !statement.subject.iter().any(is_subject) {
        return wrong(format!("the provenance does not describe {}", image.short()));
    }
    let attested = revision(&statement.predicate);
    let named = super::image::revision(review.package, digest);
    match (attested, named) {
        (Some(attested), Some(named))
            if !named.starts_with(attested.trim_end_matches("-dirty")) =>
        {
            wrong(format!("the provenance names commit {attested}, but the image names {named}"))
        }
        (Some(_), Some(_)) => Some(review.of_tag(
            tag,
            "provenance",
            Level::Pass,
            "describes this image and its commit",
        )),
        (None, _) | (_, None) => Some(review.of_tag(
            tag,
            "provenance",
            Level::Pass,
            "describes this image, names no commit",
        )),
    }
}

/// The commit in the predicate; its place depends on the version of the format.
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

fn sbom(
    review: &Review<'_>,
    tag: &Tag,
    image: &Digest,
    statements: &[Descriptor],
) -> Option<Finding> {
    if !review.config().sbom {
        return None;
    }
    Some(if statements.iter().any(|layer| kind(layer).starts_with("https://spdx.dev/")) {
        review.of_tag(tag, "sbom", Level::Pass, "present")
    } else {
        let detail = format!("configured, but missing for {}", image.short());
        review.of_tag(tag, "sbom", Level::Fail, detail).remedy(REBUILD)
    })
}

/// The signature as cosign or gh verified it. Without cosign the check can only look for the tag that
/// holds a signature: it is named after the digest, with `.sig` up to cosign 2.
fn signature(review: &Review<'_>, tag: &Tag, digest: &Digest) -> Option<Finding> {
    let signed = review.config().signed?;
    let image = review.package.repository.at(digest.clone());
    let finding = |level, detail: String| review.of_tag(tag, "signature", level, detail);
    let program = match signed {
        Signed::Cosign => "cosign",
        Signed::GitHub => "gh",
    };
    let with_remedy = |finding: Finding| match signed {
        Signed::Cosign => finding.remedy(format!("cosign sign {image}")),
        Signed::GitHub => {
            finding.hint("run actions/attest-build-provenance in the job that publishes")
        }
    };
    let name = digest.as_str().replace(':', "-");
    let tags = review.package.listing.tags().iter().map(Tag::as_str);
    let has_tag =
        tags.filter_map(|tag| tag.strip_prefix(&name)).any(|rest| matches!(rest, "" | ".sig"));
    Some(match review.package.signatures.get(digest) {
        Some(Signature::Verified) => finding(Level::Pass, format!("verified by {program}")),
        Some(Signature::Refused { message }) => {
            with_remedy(finding(Level::Fail, format!("{program} rejects it: {message}")))
        }
        Some(Signature::NoProgram) | None if signed == Signed::Cosign && !has_tag => {
            with_remedy(finding(Level::Fail, "configured, but missing".to_owned()))
        }
        Some(Signature::NoProgram) | None => {
            finding(Level::Unknown, format!("not verified: `{program}` is not installed"))
                .hint(format!("install {program} and run verify again"))
        }
    })
}

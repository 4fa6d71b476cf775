//! What speaks about an image: provenance, SBOM and signature.
//!
//! Source: "Attestation storage" of moby/buildkit, and the in-toto statement 0.1 and 1.

use serde::Deserialize;
use serde_json::Value;

use xtask_model::config::Signed;
use xtask_model::inspection::{Package, Signature};
use xtask_model::manifest::{Descriptor, Manifest};
use xtask_model::reference::{Digest, Tag};

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
    let mut findings = Vec::new();
    let images = match subject.package.manifest(digest) {
        Some(Manifest::Index(index)) => {
            let attests = |image: &Digest| {
                let mut entries = index.attestations();
                entries.find(|entry| entry.attests() == Some(image.as_str())).cloned()
            };
            index.images().map(|image| (image.digest.clone(), attests(&image.digest))).collect()
        }
        // An image without an index has nothing beside it.
        Some(Manifest::Image(_)) => vec![(digest.clone(), None)],
        _ => return findings,
    };
    for (image, entry) in images {
        let statements =
            entry.as_ref().map_or(Some(Vec::new()), |entry| statements(subject.package, entry));
        // An attestation that is gone is told with all else that is gone.
        let Some(statements) = statements else { continue };
        findings.extend(provenance(subject, tag, digest, &image, &statements));
        findings.extend(sbom(subject, tag, &image, &statements));
    }
    findings.extend(signature(subject, tag, digest));
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

/// The provenance speaks about this image and of the commit that the image names.
fn provenance(
    subject: &Subject<'_>,
    tag: &Tag,
    digest: &Digest,
    image: &Digest,
    statements: &[Descriptor],
) -> Option<Finding> {
    let of_build = |layer: &&Descriptor| kind(layer).starts_with("https://slsa.dev/");
    let Some(found) = statements.iter().find(of_build) else {
        let detail = format!("nothing says how {} was built", image.short());
        return Some(subject.of(tag, "provenance", Level::Warn, detail).remedy(REBUILD));
    };
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
        (Some(_), Some(_)) => {
            Some(subject.of(tag, "provenance", Level::Pass, "about this image and its commit"))
        }
        (None, _) | (_, None) => {
            Some(subject.of(tag, "provenance", Level::Pass, "about this image; of no commit"))
        }
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

fn sbom(
    subject: &Subject<'_>,
    tag: &Tag,
    image: &Digest,
    statements: &[Descriptor],
) -> Option<Finding> {
    if !subject.config().sbom {
        return None;
    }
    Some(if statements.iter().any(|layer| kind(layer).starts_with("https://spdx.dev/")) {
        subject.of(tag, "sbom", Level::Pass, "it is there")
    } else {
        let detail = format!("configured, and not there for {}", image.short());
        subject.of(tag, "sbom", Level::Fail, detail).remedy(REBUILD)
    })
}

/// Who signed the image, by the program that can tell. Without it only the place is known where cosign
/// keeps a signature: a tag that is named after the digest, with `.sig` until version 2.
fn signature(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Option<Finding> {
    let signed = subject.config().signed?;
    let image = subject.package.repository.at(digest.clone());
    let finding = |level, detail: String| subject.of(tag, "signature", level, detail);
    let program = match signed {
        Signed::Cosign => "cosign",
        Signed::GitHub => "gh",
    };
    let mended = |finding: Finding| match signed {
        Signed::Cosign => finding.remedy(format!("cosign sign {image}")),
        Signed::GitHub => {
            finding.hint("let the job that publishes run actions/attest-build-provenance")
        }
    };
    let name = digest.as_str().replace(':', "-");
    let tags = subject.package.listing.tags().iter().map(Tag::as_str);
    let has_tag =
        tags.filter_map(|tag| tag.strip_prefix(&name)).any(|rest| matches!(rest, "" | ".sig"));
    Some(match subject.package.signatures.get(digest) {
        Some(Signature::Verified) => finding(Level::Pass, format!("{program} has verified it")),
        Some(Signature::Refused { said }) => {
            mended(finding(Level::Fail, format!("{program} does not verify it: {said}")))
        }
        Some(Signature::NoProgram) | None if signed == Signed::Cosign && !has_tag => {
            mended(finding(Level::Fail, "configured, and not there".to_owned()))
        }
        Some(Signature::NoProgram) | None => {
            finding(Level::Unknown, format!("nobody has verified it: there is no `{program}`"))
                .hint(format!("install {program}, and verify again"))
        }
    })
}

//! Tests of the findings about a published package: a complete one, and one with one damage at a time.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::*;
use crate::verify::sample::{REVISION, facts};
use xtask_model::inspection::{Commit, Object, Signature, Untagged};
use xtask_model::manifest::media_type::{OCI_CONFIGURATION, OCI_INDEX, OCI_MANIFEST};
use xtask_model::platform::Platform;
use xtask_model::published::Relation;
use xtask_model::reference::{Digest, Tag};

fn digest(name: &str) -> Digest {
    // Names that begin differently get different digests.
    let mut hex = String::new();
    for byte in name.bytes() {
        let _ = write!(hex, "{byte:02x}");
    }
    Digest::new(format!("sha256:{hex:0<64}")).unwrap()
}

fn entry(media_type: &str, name: &str, size: u64) -> Value {
    json!({ "mediaType": media_type, "digest": digest(name), "size": size })
}

fn manifest(media_type: &str, value: &Value) -> Object {
    Object::Manifest { media_type: media_type.to_owned(), text: value.to_string() }
}

fn document(value: &Value) -> Object {
    Object::Document { text: value.to_string() }
}

/// The provenance of the image `image`: an attestation manifest and its statement.
fn provenance() -> [(&'static str, Object); 3] {
    let mut statement = entry("application/vnd.in-toto+json", "statement", 700);
    statement["annotations"] =
        json!({ "in-toto.io/predicate-type": "https://slsa.dev/provenance/v1" });
    let attested = json!({
        "schemaVersion": 2,
        "config": entry(OCI_CONFIGURATION, "void", 2),
        "layers": [statement],
    });
    let provenance = json!({
        "subject": [{ "digest": { "sha256": digest("image").as_str().trim_start_matches("sha256:") } }],
        "predicate": { "metadata": { "vcs": { "revision": REVISION } } },
    });
    [
        ("attestation", manifest(OCI_MANIFEST, &attested)),
        ("void", document(&json!({}))),
        ("statement", document(&provenance)),
    ]
}

/// A complete image of one platform with provenance, tagged `dev` and `dev-<sha>`.
fn complete() -> Package {
    let labels = json!({
        "org.opencontainers.image.revision": REVISION,
        "org.opencontainers.image.source": "https://github.com/o/r",
    });
    let mut child = entry(OCI_MANIFEST, "image", 500);
    child["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let mut attestation = entry(OCI_MANIFEST, "attestation", 500);
    attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    attestation["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": digest("image"),
    });
    let index =
        json!({ "schemaVersion": 2, "manifests": [child, attestation], "annotations": labels });
    let image = json!({
        "schemaVersion": 2,
        "config": entry(OCI_CONFIGURATION, "configuration", 900),
        "layers": [entry("application/vnd.oci.image.layer.v1.tar+gzip", "layer", 3_000_000)],
    });
    let configuration = json!({
        "os": "linux", "architecture": "amd64", "config": { "Labels": labels },
        "history": [{ "created_by": "RUN /bin/sh -c make # buildkit" }],
    });
    let objects = [
        ("index", manifest(OCI_INDEX, &index)),
        ("image", manifest(OCI_MANIFEST, &image)),
        ("configuration", document(&configuration)),
        ("layer", Object::There),
    ];
    let objects = objects.into_iter().chain(provenance());
    let exact = format!("dev-{REVISION}");
    let tags: Vec<Tag> = ["dev", &exact].iter().map(|tag| Tag::new(*tag).unwrap()).collect();
    let commit = Commit { relation: Relation::Same, touched: None };
    Package {
        repository: "ghcr.io/o/r/web".parse().unwrap(),
        unread: BTreeMap::new(),
        releases: BTreeMap::new(),
        points: tags.iter().map(|tag| (tag.clone(), digest("index"))).collect(),
        listing: Listing::Tags(tags),
        objects: objects.map(|(name, object)| (digest(name), object)).collect(),
        bases: BTreeMap::new(),
        commits: [(REVISION.to_owned(), commit)].into(),
        previous: None,
        newer: None,
        public: Some(true),
        base_layers: BTreeMap::new(),
        signatures: BTreeMap::new(),
        untagged: Untagged::Unlisted,
    }
}

/// The findings above `skip`, each as `check: detail`.
#[track_caller]
fn check_in(images: &str, damage: impl FnOnce(&mut Package), expected: &[&str]) {
    check_with(&facts(images), damage, expected);
}

#[track_caller]
fn check_with(facts: &Facts, damage: impl FnOnce(&mut Package), expected: &[&str]) {
    let mut damaged = complete();
    damage(&mut damaged);
    let own: Platform = "linux/amd64".parse().unwrap();
    let found = findings(facts, facts.services.first().unwrap(), &damaged, Some(&own));
    let shown: Vec<String> = found
        .iter()
        .filter(|finding| finding.level > Level::Skip)
        .map(|finding| format!("{}: {}", finding.check, finding.detail))
        .collect();
    assert_eq!(shown, expected, "{found:#?}");
    let helps = |f: &Finding| f.level <= Level::Skip || f.remedy.is_some() || f.hint.is_some();
    assert!(found.iter().all(helps), "{found:#?}");
}

#[track_caller]
fn check(damage: impl FnOnce(&mut Package), expected: &[&str]) {
    check_in("", damage, expected);
}

fn set(package: &mut Package, name: &str, object: Object) {
    package.objects.insert(digest(name), object);
}

/// Changes the JSON of an object.
fn edit(package: &mut Package, name: &str, change: impl FnOnce(&mut Value)) {
    let (Object::Manifest { text, .. } | Object::Document { text }) =
        package.objects.get_mut(&digest(name)).unwrap()
    else {
        unreachable!("{name} has no text");
    };
    let mut value: Value = serde_json::from_str(text).unwrap();
    change(&mut value);
    *text = value.to_string();
}

#[test]
fn a_complete_package_has_no_findings() {
    check(|_| {}, &[]);
}

#[test]
fn a_missing_object_is_named() {
    let missing =
        |name: &'static str| move |package: &mut Package| set(package, name, Object::Missing);
    check(missing("image"), &["closure: the platform manifest 696d61676500 is missing"]);
    check(missing("configuration"), &["closure: the configuration 636f6e666967 is missing"]);
    check(missing("layer"), &["closure: the layer 6c6179657200 is missing"]);
    check(missing("attestation"), &["closure: the attestation 617474657374 is missing"]);
    check(missing("statement"), &["closure: the attestation statement 73746174656d is missing"]);
}

#[test]
fn an_unreadable_object_is_not_called_missing() {
    check(
        |package| set(package, "layer", Object::Unknown { message: "error 500".to_owned() }),
        &["closure: the layer 6c6179657200 cannot be read: error 500"],
    );
}

#[test]
fn an_object_with_wrong_content_is_damaged() {
    let corrupt = || Object::Corrupt { detail: "it has 3 bytes instead of 4".to_owned() };
    check(
        |package| set(package, "layer", corrupt()),
        &["closure: the layer 6c6179657200 is damaged: it has 3 bytes instead of 4"],
    );
    let text = "{}".to_owned();
    check(
        |package| {
            let media_type = OCI_MANIFEST.to_owned();
            set(package, "image", Object::Manifest { media_type, text });
        },
        &["closure: the platform manifest 696d61676500 is damaged: not a manifest: missing field \
           `schemaVersion` at line 1 column 2"],
    );
    check(
        |package| edit(package, "index", |value| value["manifests"] = json!([])),
        &["kind: the index contains no image"],
    );
}

/// Adds tags to the package, each with the name of its image.
fn release(package: &mut Package, tags: &[(&str, &str)]) {
    let Listing::Tags(listed) = &mut package.listing else { unreachable!() };
    for (name, image) in tags {
        let tag = Tag::new(*name).unwrap();
        listed.push(tag.clone());
        package.points.insert(tag, digest(image));
    }
}

#[test]
fn provenance_must_describe_the_image_and_commit() {
    check(
        |package| edit(package, "statement", |value| value["subject"] = json!([])),
        &["provenance: the provenance does not describe 696d61676500"],
    );
    check(
        |package| {
            edit(package, "statement", |value| {
                value["predicate"]["metadata"]["vcs"]["revision"] = "other".into();
            });
        },
        &[
            "provenance: the provenance names commit other, but the image names 1111111111111111111111111111111111111111",
        ],
    );
    check(
        |package| {
            edit(package, "index", |value| drop(value["manifests"].as_array_mut().unwrap().pop()));
        },
        &["provenance: 696d61676500 has no provenance"],
    );
}

#[test]
fn configured_attestations_must_exist() {
    check_in("sbom = true\n", |_| {}, &["sbom: configured, but missing for 696d61676500"]);
    // Without an index there is no place for attestations.
    check_in(
        "sbom = true\nsigned = \"cosign\"\n",
        |package| package.points.values_mut().for_each(|point| *point = digest("image")),
        &[
            "provenance: 696d61676500 has no provenance",
            "sbom: configured, but missing for 696d61676500",
            "signature: configured, but missing",
        ],
    );
}

#[test]
fn only_a_verified_signature_passes() {
    let result = |signature: Signature| {
        move |package: &mut Package| drop(package.signatures.insert(digest("index"), signature))
    };
    let tagged = |suffix: &'static str| {
        move |package: &mut Package| {
            let name = format!("{}{suffix}", digest("index").as_str().replace(':', "-"));
            release(package, &[(&name, "signature")]);
        }
    };
    let (cosign, github) = ("signed = \"cosign\"\n", "signed = \"github\"\n");
    check_in(cosign, |_| {}, &["signature: configured, but missing"]);
    let unverified = "signature: not verified: `cosign` is not installed";
    check_in(cosign, tagged(".sig"), &[unverified]);
    check_in(cosign, tagged(""), &[unverified]);
    check_in(cosign, tagged(".att"), &["signature: configured, but missing"]);
    check_in(cosign, result(Signature::Verified), &[]);
    let refused = || Signature::Refused { message: "no matching signatures".to_owned() };
    let why = "rejects it: no matching signatures";
    check_in(cosign, result(refused()), &[&format!("signature: cosign {why}")]);
    check_in(github, result(refused()), &[&format!("signature: gh {why}")]);
    check_in(github, result(Signature::Verified), &[]);
    check_in(
        github,
        result(Signature::NoProgram),
        &["signature: not verified: `gh` is not installed"],
    );
}

#[test]
fn a_cache_in_place_of_the_image_fails() {
    check(
        |package| {
            let config = entry("application/vnd.buildkit.cacheconfig.v0", "void", 2);
            let cache = json!({ "schemaVersion": 2, "config": config, "layers": [] });
            set(package, "index", manifest(OCI_MANIFEST, &cache));
        },
        &["kind: the tag points to a cache instead of an image"],
    );
    check(
        |package| package.listing = Listing::NotThere,
        &["published: nothing is published at ghcr.io/o/r/web"],
    );
}

#[path = "image_tests.rs"]
mod of_images;

#[path = "tag_tests.rs"]
mod of_tags;

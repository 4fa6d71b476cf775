//! Tests of what is said about a published package: a whole one, and one damage at a time.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::*;
use crate::verify::tests::{REVISION, facts};
use xtask_model::inspection::{Commit, Object, Signature, Untagged};
use xtask_model::manifest::media_type::{OCI_CONFIGURATION, OCI_INDEX, OCI_MANIFEST};
use xtask_model::platform::Platform;
use xtask_model::published::Relation;
use xtask_model::reference::Digest;

fn digest(name: &str) -> Digest {
    // Each name its own digits, as long as names begin differently.
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

/// An image of one platform with provenance, under `dev` and the tag of its commit, all there.
fn whole() -> Package {
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
    let document = |value: &Value| Object::Document { text: value.to_string() };
    let objects = [
        ("index", manifest(OCI_INDEX, &index)),
        ("image", manifest(OCI_MANIFEST, &image)),
        ("configuration", document(&configuration)),
        ("layer", Object::There),
        ("attestation", manifest(OCI_MANIFEST, &attested)),
        ("void", document(&json!({}))),
        ("statement", document(&provenance)),
    ];
    let exact = format!("dev-{REVISION}");
    let tags: Vec<Tag> = ["dev", &exact].iter().map(|tag| Tag::new(*tag).unwrap()).collect();
    let commit = Commit { relation: Relation::Same, touched: None };
    Package {
        repository: "ghcr.io/o/r/web".parse().unwrap(),
        unread: BTreeMap::new(),
        releases: BTreeMap::new(),
        points: tags.iter().map(|tag| (tag.clone(), digest("index"))).collect(),
        listing: Listing::Tags(tags),
        objects: objects.into_iter().map(|(name, object)| (digest(name), object)).collect(),
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

/// The findings that are worth a look, each as `check: detail`.
#[track_caller]
fn check_in(images: &str, damage: impl FnOnce(&mut Package), expected: &[&str]) {
    check_with(&facts(images), damage, expected);
}

#[track_caller]
fn check_with(facts: &Facts, damage: impl FnOnce(&mut Package), expected: &[&str]) {
    let mut seen = whole();
    damage(&mut seen);
    let own: Platform = "linux/amd64".parse().unwrap();
    let found = package(facts, facts.services.first().unwrap(), &seen, Some(&own));
    let worth: Vec<String> = found
        .iter()
        .filter(|finding| finding.level > Level::Skip)
        .map(|finding| format!("{}: {}", finding.check, finding.detail))
        .collect();
    assert_eq!(worth, expected, "{found:#?}");
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
fn a_whole_package_gives_no_finding() {
    check(|_| {}, &[]);
}

#[test]
fn what_is_gone_is_named_by_what_it_was() {
    let gone =
        |name: &'static str| move |package: &mut Package| set(package, name, Object::Missing);
    check(gone("image"), &["closure: the platform's manifest 696d61676500 is gone"]);
    check(gone("configuration"), &["closure: the configuration 636f6e666967 is gone"]);
    check(gone("layer"), &["closure: the layer 6c6179657200 is gone"]);
    check(gone("attestation"), &["closure: the attestation 617474657374 is gone"]);
    check(gone("statement"), &["closure: the attestation's statement 73746174656d is gone"]);
}

#[test]
fn what_cannot_be_looked_at_is_unknown_and_not_gone() {
    check(
        |package| set(package, "layer", Object::Unknown { message: "error 500".to_owned() }),
        &["closure: the layer 6c6179657200 cannot be looked at: error 500"],
    );
}

#[test]
fn what_is_not_what_it_should_be_is_damaged() {
    let corrupt = || Object::Corrupt { detail: "it has 3 bytes, and should have 4".to_owned() };
    check(
        |package| set(package, "layer", corrupt()),
        &["closure: the layer 6c6179657200 is damaged: it has 3 bytes, and should have 4"],
    );
    let text = "{}".to_owned();
    check(
        |package| {
            let media_type = OCI_MANIFEST.to_owned();
            set(package, "image", Object::Manifest { media_type, text });
        },
        &[
            "closure: the platform's manifest 696d61676500 is damaged: not a manifest: missing field \
           `schemaVersion` at line 1 column 2",
        ],
    );
    check(
        |package| edit(package, "index", |value| value["manifests"] = json!([])),
        &["kind: it has no image"],
    );
}

/// Publishes versions, each with an image of its own unless it is named as another's.
fn release(package: &mut Package, tags: &[(&str, &str)]) {
    let Listing::Tags(listed) = &mut package.listing else { unreachable!() };
    for (name, image) in tags {
        let tag = Tag::new(*name).unwrap();
        listed.push(tag.clone());
        package.points.insert(tag, digest(image));
    }
}

#[test]
fn provenance_must_be_about_the_image_and_its_commit() {
    check(
        |package| edit(package, "statement", |value| value["subject"] = json!([])),
        &["provenance: the provenance is not about 696d61676500"],
    );
    check(
        |package| {
            edit(package, "statement", |value| {
                value["predicate"]["metadata"]["vcs"]["revision"] = "other".into();
            });
        },
        &[
            "provenance: the provenance says other, and the image says 1111111111111111111111111111111111111111",
        ],
    );
    check(
        |package| {
            edit(package, "index", |value| drop(value["manifests"].as_array_mut().unwrap().pop()));
        },
        &["provenance: nothing says how 696d61676500 was built"],
    );
}

#[test]
fn what_is_configured_must_be_there() {
    check_in("sbom = true\n", |_| {}, &["sbom: configured, and not there for 696d61676500"]);
    // An image without an index has nothing beside it.
    check_in(
        "sbom = true\nsigned = \"cosign\"\n",
        |package| package.points.values_mut().for_each(|point| *point = digest("image")),
        &[
            "provenance: nothing says how 696d61676500 was built",
            "sbom: configured, and not there for 696d61676500",
            "signature: configured, and not there",
        ],
    );
}

#[test]
fn a_signature_passes_only_when_somebody_has_verified_it() {
    let said = |signature: Signature| {
        move |package: &mut Package| drop(package.signatures.insert(digest("index"), signature))
    };
    let tagged = |suffix: &'static str| {
        move |package: &mut Package| {
            let name = format!("{}{suffix}", digest("index").as_str().replace(':', "-"));
            release(package, &[(&name, "signature")]);
        }
    };
    let (cosign, github) = ("signed = \"cosign\"\n", "signed = \"github\"\n");
    check_in(cosign, |_| {}, &["signature: configured, and not there"]);
    let unverified = "signature: nobody has verified it: there is no `cosign`";
    check_in(cosign, tagged(".sig"), &[unverified]);
    check_in(cosign, tagged(""), &[unverified]);
    check_in(cosign, tagged(".att"), &["signature: configured, and not there"]);
    check_in(cosign, said(Signature::Verified), &[]);
    let refused = || Signature::Refused { said: "no matching signatures".to_owned() };
    let why = "does not verify it: no matching signatures";
    check_in(cosign, said(refused()), &[&format!("signature: cosign {why}")]);
    check_in(github, said(refused()), &[&format!("signature: gh {why}")]);
    check_in(github, said(Signature::Verified), &[]);
    check_in(
        github,
        said(Signature::NoProgram),
        &["signature: nobody has verified it: there is no `gh`"],
    );
}

#[test]
fn a_cache_or_nothing_in_place_of_the_image_is_found() {
    check(
        |package| {
            let config = entry("application/vnd.buildkit.cacheconfig.v0", "void", 2);
            let cache = json!({ "schemaVersion": 2, "config": config, "layers": [] });
            set(package, "index", manifest(OCI_MANIFEST, &cache));
        },
        &["kind: a cache stands where the image should be"],
    );
    check(
        |package| package.listing = Listing::NotThere,
        &["published: nothing at ghcr.io/o/r/web"],
    );
}

#[path = "image_tests.rs"]
mod of_images;

#[path = "tag_tests.rs"]
mod of_tags;

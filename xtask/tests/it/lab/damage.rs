//! `cargo xtask verify --lab` on a package with one damage at a time: each has its own finding.

use crate::support::Fixture;
use crate::support::verified::{Package, findings, published};
use serde_json::Value;

/// A kind of damage, the function that does it, and the words of its finding.
type Damage<'d> = (&'static str, Box<dyn Fn() + 'd>, &'static str);

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn verify_names_each_kind_of_damage() {
    let (fixture, lab) = published();
    let repository = format!("{}/web", fixture.repository);
    let revision = |name: &str| format!("dev-{}", fixture.git(&["rev-parse", name]));
    let (exact, old) = (revision("HEAD"), revision("HEAD~1"));
    let package = Package::new(&lab, &repository, &["dev", "cache", &exact, &old]);
    assert_eq!(findings(&fixture, &[]), [] as [&str; 0], "a clean set gives no finding");

    let parts = Parts::of(&package);
    let mut damages = deletions(&package, &parts);
    damages.extend(replacements(&package, &parts.image, &exact, &old));
    damages.extend(changed_labels(&package, &exact));
    let found = check_each(&fixture, &package, &damages);
    fixture.configure("size-limit = \"1MB\"\n");
    fixture.commit("smaller");
    let reported = findings(&fixture, &[]);
    assert!(
        reported.iter().any(|line| line.contains("exceeds the limit of 1.00 MB")),
        "oversized: {reported:#?}"
    );
    // The test fails if a damage has no finding or a different one.
    println!("{} kinds tried, {} found, 0 false alarms", damages.len() + 1, found + 1);
}

/// Digests of the published package.
struct Parts {
    image: String,
    configuration: String,
    layer: String,
    attestation: String,
    statement: String,
    cache_configuration: String,
    /// A layer of the cache that the image does not have.
    cache_layer: String,
}

impl Parts {
    fn of(package: &Package<'_>) -> Self {
        let text = |value: &Value| value["digest"].as_str().unwrap().to_owned();
        let layers = |manifest: &Value| -> Vec<String> {
            manifest["layers"].as_array().unwrap().iter().map(text).collect()
        };
        let index = package.parsed(&package.tags["dev"]);
        let (image, attestation) = (text(&index["manifests"][0]), text(&index["manifests"][1]));
        let manifest = package.parsed(&image);
        let cache = package.parsed(&package.tags["cache"]);
        let in_image = layers(&manifest);
        let only_cached = layers(&cache).into_iter().find(|digest| !in_image.contains(digest));
        Self {
            configuration: text(&manifest["config"]),
            layer: in_image.last().unwrap().clone(),
            statement: text(&package.parsed(&attestation)["layers"][0]),
            cache_configuration: text(&cache["config"]),
            cache_layer: only_cached.unwrap(),
            image,
            attestation,
        }
    }
}

/// One part is missing.
fn deletions<'d>(package: &'d Package<'_>, parts: &'d Parts) -> Vec<Damage<'d>> {
    let delete = |kind, digest: &'d str, expected| -> Damage<'d> {
        (kind, Box::new(move || package.delete(digest)), expected)
    };
    vec![
        delete("manifest child", &parts.image, "the platform manifest"),
        delete("configuration", &parts.configuration, "the configuration"),
        delete("layer", &parts.layer, "the layer"),
        delete("attestation", &parts.attestation, "the attestation "),
        delete("statement", &parts.statement, "the attestation statement"),
        delete("cache configuration", &parts.cache_configuration, "the cache configuration"),
        delete("cache manifest", &package.tags["cache"], "nothing is published there"),
        delete("cache layer", &parts.cache_layer, "the cache layer"),
        delete("dev gone", &package.tags["dev"], "`dev` is not published"),
    ]
}

/// A tag points to a different image.
fn replacements<'d>(
    package: &'d Package<'_>,
    image: &'d str,
    exact: &'d str,
    old: &'d str,
) -> Vec<Damage<'d>> {
    let put = |tag: &'d str, digest: &'d str| -> Box<dyn Fn() + 'd> {
        Box::new(move || {
            let (_, kind, bytes) = &package.objects[digest];
            package.put("manifests", kind, Some(tag), bytes);
        })
    };
    let old = package.tags[old].as_str();
    let is_image = "the tag points to an image, not to a cache";
    vec![
        ("cache replaced by an image", put("cache", image), is_image),
        ("tag moved", put("dev", old), "`dev` is older than"),
        ("exact tag moved", put(exact, old), "not the same image as `dev-"),
    ]
}

/// The image of `dev` has a different configuration.
fn changed_labels<'d>(package: &'d Package<'_>, exact: &'d str) -> Vec<Damage<'d>> {
    let label = |key, value| label(package, exact, key, value);
    let platform = Box::new(move || {
        package.changed(&["dev", exact], |value| value["architecture"] = "riscv64".into());
    });
    vec![
        ("label wrong", label("revision", "x"), "revision labels disagree: x"),
        ("source wrong", label("source", "https://github.com/x/y"), "the source label is"),
        ("version wrong", label("version", "newest"), "the version label `newest`"),
        ("wrong platform", platform, "but the image is for linux/riscv64"),
    ]
}

/// Publishes the image of `dev` again, with a different label in its configuration.
fn label<'d>(
    package: &'d Package<'_>,
    exact: &'d str,
    key: &'static str,
    value: &'static str,
) -> Box<dyn Fn() + 'd> {
    let key = format!("org.opencontainers.image.{key}");
    Box::new(move || {
        package.changed(&["dev", exact], |image| image["config"]["Labels"][&key] = value.into());
    })
}

/// Each damage has its own finding, and no finding remains after the repair.
fn check_each(fixture: &Fixture, package: &Package<'_>, damages: &[Damage<'_>]) -> usize {
    let mut found = 0;
    for (kind, damage, expected) in damages {
        damage();
        let reported = findings(fixture, &[]);
        assert!(reported.iter().any(|line| line.contains(expected)), "{kind}: {reported:#?}");
        found += 1;
        let others = damages.iter().filter(|(other, ..)| other != kind);
        for (other, _, words) in others.filter(|(_, _, words)| !expected.contains(words.trim())) {
            let named = reported.iter().any(|line| line.contains(words));
            assert!(!named || follows(kind, other), "{kind} was taken for {other}: {reported:#?}");
        }
        package.restore();
        assert_eq!(findings(fixture, &[]), [] as [&str; 0], "{kind} was repaired");
    }
    found
}

/// Whether one damage includes the other: the cache has the layers of the image too.
fn follows(kind: &str, other: &str) -> bool {
    matches!((kind, other), ("layer", "cache layer"))
}

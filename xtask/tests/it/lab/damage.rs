//! `cargo xtask verify --lab` on a package with one damage at a time: each is found, named and told apart.

use crate::support::Fixture;
use crate::support::verified::{Package, findings, published};
use serde_json::Value;

/// A kind of damage, what is done for it, and what must be found.
type Damage<'d> = (&'static str, Box<dyn Fn() + 'd>, &'static str);

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn verify_tells_every_kind_of_damage_apart() {
    let (fixture, lab) = published();
    let repository = format!("{}/web", fixture.repository);
    let head = fixture.git(&["rev-parse", "HEAD"]);
    let before = fixture.git(&["rev-parse", "HEAD~1"]);
    let (exact, old) = (format!("dev-{head}"), format!("dev-{before}"));
    let package = Package::new(&lab, &repository, &["dev", "cache", &exact, &old]);
    assert_eq!(findings(&fixture, &[]), [] as [&str; 0], "a clean set gives no finding");

    let index = package.parsed(&package.tags["dev"]);
    let text = |value: &Value| value["digest"].as_str().unwrap().to_owned();
    let (image, attestation) = (text(&index["manifests"][0]), text(&index["manifests"][1]));
    let manifest = package.parsed(&image);
    let layers = manifest["layers"].as_array().unwrap();
    let statement = text(&package.parsed(&attestation)["layers"][0]);
    let cache = package.parsed(&package.tags["cache"]);
    let in_image: Vec<String> = layers.iter().map(&text).collect();
    let cached = cache["layers"].as_array().unwrap().iter().map(&text);
    let only_cached = cached.into_iter().find(|digest| !in_image.contains(digest)).unwrap();
    let exact = exact.as_str();
    let label = |key, value| label(&package, exact, key, value);

    let damages: Vec<Damage<'_>> = vec![
        ("manifest child", Box::new(|| package.delete(&image)), "the platform manifest"),
        (
            "configuration",
            Box::new(|| package.delete(&text(&manifest["config"]))),
            "the configuration",
        ),
        ("layer", Box::new(|| package.delete(&text(layers.last().unwrap()))), "the layer"),
        ("attestation", Box::new(|| package.delete(&attestation)), "the attestation "),
        ("statement", Box::new(|| package.delete(&statement)), "the attestation statement"),
        (
            "cache configuration",
            Box::new(|| package.delete(&text(&cache["config"]))),
            "the cache configuration",
        ),
        (
            "cache manifest",
            Box::new(|| package.delete(&package.tags["cache"])),
            "nothing is published there",
        ),
        (
            "cache replaced by an image",
            Box::new(|| {
                let (_, kind, bytes) = &package.objects[&image];
                package.put("manifests", kind, Some("cache"), bytes);
            }),
            "the tag points to an image, not to a cache",
        ),
        (
            "tag moved",
            Box::new(|| {
                let (_, kind, bytes) = &package.objects[&package.tags[&old]];
                package.put("manifests", kind, Some("dev"), bytes);
            }),
            "`dev` is older than",
        ),
        (
            "exact tag moved",
            Box::new(|| {
                let (_, kind, bytes) = &package.objects[&package.tags[&old]];
                package.put("manifests", kind, Some(exact), bytes);
            }),
            "not the same image as `dev-",
        ),
        ("label wrong", label("revision", "x"), "revision labels disagree: x"),
        ("source wrong", label("source", "https://github.com/x/y"), "the source label is"),
        ("version wrong", label("version", "newest"), "the version label `newest`"),
        (
            "wrong platform",
            Box::new(|| {
                package.changed(&["dev", exact], |value| value["architecture"] = "riscv64".into());
            }),
            "but the image is for linux/riscv64",
        ),
        ("cache layer", Box::new(|| package.delete(&only_cached)), "the cache layer"),
        ("dev gone", Box::new(|| package.delete(&package.tags["dev"])), "`dev` is not published"),
    ];
    let found = tell_apart(&fixture, &package, &damages);
    fixture.configure("size-limit = \"1MB\"\n");
    fixture.commit("smaller");
    let said = findings(&fixture, &[]);
    assert!(
        said.iter().any(|line| line.contains("exceeds the limit of 1.00 MB")),
        "oversized: {said:#?}"
    );
    // Each was found and nothing else, or the test would have ended.
    println!("{} kinds tried, {} found, 0 false alarms", damages.len() + 1, found + 1);
}

/// Publishes the image of `dev` anew, with another label in its configuration alone.
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

/// Each damage has its own finding, and after the repair there is none.
fn tell_apart(fixture: &Fixture, package: &Package<'_>, damages: &[Damage<'_>]) -> usize {
    let mut found = 0;
    for (kind, damage, expected) in damages {
        damage();
        let said = findings(fixture, &[]);
        assert!(said.iter().any(|line| line.contains(expected)), "{kind}: {said:#?}");
        found += 1;
        // Nothing else that was damaged before or after may be named.
        let others = damages.iter().filter(|(other, ..)| other != kind);
        for (other, _, words) in others.filter(|(_, _, words)| !expected.contains(words.trim())) {
            let named = said.iter().any(|line| line.contains(words));
            // A configuration that is gone takes the import of the cache with it.
            assert!(!named || follows(kind, other), "{kind} was taken for {other}: {said:#?}");
        }
        package.restore();
        assert_eq!(findings(fixture, &[]), [] as [&str; 0], "{kind} was repaired");
    }
    found
}

/// Damages of which one brings the other: the cache has the layers of the image too.
fn follows(kind: &str, other: &str) -> bool {
    matches!((kind, other), ("layer", "cache layer"))
}

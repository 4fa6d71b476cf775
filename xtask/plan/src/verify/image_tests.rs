//! Tests of what is said about one image: platforms, labels, sizes, freshness.

use super::*;

#[test]
fn an_image_is_fresh_until_a_commit_changes_its_folder() {
    let with = |touched: Option<u64>, relation: Relation| {
        move |package: &mut Package| {
            package.commits.insert(REVISION.to_owned(), Commit { relation, touched });
        }
    };
    check_in_tree(with(Some(0), Relation::Older), &[]);
    check_in_tree(with(None, Relation::Same), &[]);
    check_in_tree(
        with(Some(1), Relation::Older),
        &["freshness: 1 commit since has changed the folder"],
    );
    check_in_tree(
        with(None, Relation::Older),
        &["freshness: it does not tell what it was built from, and git does not know its commit"],
    );
}

/// The same where git has the folder of the service.
#[track_caller]
fn check_in_tree(damage: impl FnOnce(&mut Package), expected: &[&str]) {
    let mut facts = facts("");
    let trees = &mut facts.git.as_mut().unwrap().trees;
    trees.insert("services/web".to_owned(), "a".repeat(40));
    check_with(&facts, damage, expected);
}

#[test]
fn an_image_for_another_platform_is_found() {
    check(
        |package| edit(package, "configuration", |value| value["architecture"] = "arm64".into()),
        &["platform: the index says linux/amd64, and the image is for linux/arm64"],
    );
    check(
        |package| {
            edit(package, "index", |value| {
                value["manifests"][0]["platform"]["architecture"] = "arm64".into();
            });
            edit(package, "configuration", |value| value["architecture"] = "arm64".into());
        },
        &["platform: there is no image for linux/amd64"],
    );
    check_in(
        "platforms = [\"linux/arm64\"]\n",
        |_| {},
        &[
            "platform: there is no image for linux/arm64",
            "platform: there is an image for linux/amd64 too, which is not configured",
        ],
    );
}

#[test]
fn a_label_that_disagrees_is_found() {
    check(
        |package| {
            edit(package, "configuration", |value| {
                value["config"]["Labels"]["org.opencontainers.image.revision"] = "other".into();
            });
        },
        &[
            "labels: the label says other, and the index says 1111111111111111111111111111111111111111",
        ],
    );
    check(
        |package| {
            edit(package, "index", |value| {
                value["annotations"]["org.opencontainers.image.source"] = "https://x/y/z".into();
            });
        },
        &["labels: its source is `https://x/y/z`, and this repository is `o/r`"],
    );
    // Hidden below an index that says what it should.
    check(
        label("org.opencontainers.image.source", Some("https://x/y/z")),
        &["labels: its source is `https://x/y/z`, and this repository is `o/r`"],
    );
    let version = "org.opencontainers.image.version";
    check(label(version, Some("latest")), &["labels: it says that it is version latest"]);
    check(label(version, Some(REVISION)), &[]);
    check(
        label("org.opencontainers.image.revision", None),
        &["labels: an image has no label for its commit"],
    );
}

#[test]
fn a_release_must_say_its_own_version_unless_it_was_promoted() {
    let released = |version: &'static str| {
        move |package: &mut Package| {
            let all = ["v1.0.0", "1.0", "1", "latest"].map(|name| (name, "index"));
            release(package, &all);
            package.points.remove(&dev().unwrap());
            edit(package, "configuration", |value| {
                value["config"]["Labels"]["org.opencontainers.image.version"] = version.into();
            });
        }
    };
    check(released("1.0.0"), &[]);
    check(released(REVISION), &[]);
    check(released("0.9.0"), &["labels: it says that it is version 0.9.0"]);
}

/// Sets a label of the image, without its index.
fn label(key: &'static str, value: Option<&'static str>) -> impl FnOnce(&mut Package) {
    move |package| {
        edit(package, "configuration", |configuration| {
            let labels = configuration["config"]["Labels"].as_object_mut().unwrap();
            labels.remove(key);
            labels.extend(value.map(|value| (key.to_owned(), value.into())));
        });
    }
}

#[test]
fn an_image_that_is_too_large_names_its_largest_step() {
    check_in(
        "size-limit = \"1MB\"\n",
        |_| {},
        &["size: 3.00 MB, more than 1.00 MB; 3.00 MB are `RUN make`"],
    );
    check_in(
        "size-limit = \"1MB\"\n",
        |package| layers(package, &[1, 4_000_000, 2_000_000, 3_000_000]),
        &[
            "size: 9.00 MB, more than 1.00 MB; 4.00 MB are `RUN 1`, 3.00 MB are `RUN 3`, 2.00 MB are \
             `RUN 2`",
        ],
    );
}

/// Gives the image layers of these sizes, each with a step.
fn layers(package: &mut Package, sizes: &[u64]) {
    let layer = |(at, size): (usize, &u64)| {
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        package.objects.insert(digest(&format!("{at}layer")), Object::There);
        entry(media_type, &format!("{at}layer"), *size)
    };
    let layers: Vec<Value> = sizes.iter().enumerate().map(layer).collect();
    edit(package, "image", |image| image["layers"] = layers.into());
    edit(package, "configuration", |configuration| {
        let step = |at: usize| json!({ "created_by": format!("RUN {at}") });
        configuration["history"] = (0..sizes.len()).map(step).collect();
    });
}

#[test]
fn our_own_layers_have_a_limit_of_their_own() {
    let own = "own-size-limit = \"1MB\"\n";
    let on_a_base = |package: &mut Package, base: &[&str]| {
        layers(package, &[4_000_000, 2_000_000]);
        let base = base.iter().map(|name| digest(name)).collect();
        package.base_layers.insert(digest("index"), base);
    };
    check_in(
        own,
        |package| on_a_base(package, &["0layer"]),
        &["own size: 2.00 MB, more than 1.00 MB; 2.00 MB are `RUN 1`"],
    );
    check_in(own, |package| on_a_base(package, &["0layer", "1layer"]), &[]);
    check_in(own, |_| {}, &["own size: it does not tell its base"]);
}

#[test]
fn an_image_that_grows_by_more_than_a_tenth_at_once_is_told() {
    let grown = |before: u64| {
        move |package: &mut Package| {
            let image = json!({
                "schemaVersion": 2,
                "config": entry(OCI_CONFIGURATION, "configuration", 900),
                "layers": [entry("application/vnd.oci.image.layer.v1.tar+gzip", "old", before)],
            });
            set(package, "previous", manifest(OCI_MANIFEST, &image));
            let tag = Tag::new("dev-0000000000000000000000000000000000000000").unwrap();
            package.points.insert(tag.clone(), digest("previous"));
            package.previous = Some(tag);
        }
    };
    check(grown(2_800_000), &[]);
    check(grown(9_000_000), &[]);
    check(grown(2_000_000), &["growth: 1.00 MB larger than the published commit before"]);
}

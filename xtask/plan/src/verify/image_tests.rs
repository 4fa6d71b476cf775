//! Tests of the findings about one image: platforms, labels, sizes and freshness.

use super::*;

#[test]
fn an_image_is_fresh_until_its_folder_changes() {
    let with = |touched: Option<u64>, relation: Relation| {
        move |package: &mut Package| {
            package.commits.insert(REVISION.to_owned(), Commit { relation, touched });
        }
    };
    check_in_tree(with(Some(0), Relation::Older), &[]);
    check_in_tree(with(None, Relation::Same), &[]);
    check_in_tree(
        with(Some(1), Relation::Older),
        &["freshness: 1 later commit changed the folder"],
    );
    check_in_tree(
        with(None, Relation::Older),
        &["freshness: the image does not record its inputs, and git does not know its commit"],
    );
}

/// The same in a repository where the service's folder is committed.
#[track_caller]
fn check_in_tree(damage: impl FnOnce(&mut Package), expected: &[&str]) {
    let mut facts = facts("");
    let trees = &mut facts.git.as_mut().unwrap().trees;
    trees.insert("services/web".to_owned(), "a".repeat(40));
    check_with(&facts, damage, expected);
}

#[test]
fn an_image_for_another_platform_fails() {
    check(
        |package| edit(package, "configuration", |value| value["architecture"] = "arm64".into()),
        &["platform: the index says linux/amd64, but the image is for linux/arm64"],
    );
    check(
        |package| {
            edit(package, "index", |value| {
                value["manifests"][0]["platform"]["architecture"] = "arm64".into();
            });
            edit(package, "configuration", |value| value["architecture"] = "arm64".into());
        },
        &["platform: no image for linux/amd64"],
    );
    check_in(
        "platforms = [\"linux/arm64\"]\n",
        |_| {},
        &[
            "platform: no image for linux/arm64",
            "platform: extra image for linux/amd64, which is not configured",
        ],
    );
}

#[test]
fn labels_must_agree_with_index_and_git() {
    check(
        |package| {
            edit(package, "configuration", |value| {
                value["config"]["Labels"]["org.opencontainers.image.revision"] = "other".into();
            });
        },
        &["labels: revision labels disagree: other and 1111111111111111111111111111111111111111"],
    );
    check(
        |package| {
            edit(package, "index", |value| {
                value["annotations"]["org.opencontainers.image.source"] = "https://x/y/z".into();
            });
        },
        &["labels: the source label is `https://x/y/z`, but this repository is `o/r`"],
    );
    // The label of the image, below an index with the right annotation.
    check(
        label("org.opencontainers.image.source", Some("https://x/y/z")),
        &["labels: the source label is `https://x/y/z`, but this repository is `o/r`"],
    );
    let version = "org.opencontainers.image.version";
    check(
        label(version, Some("latest")),
        &["labels: the version label `latest` does not fit the tag"],
    );
    check(label(version, Some(REVISION)), &[]);
    check(
        label("org.opencontainers.image.revision", None),
        &["labels: an image has no revision label"],
    );
}

#[test]
fn a_release_has_its_version_unless_promoted() {
    let released = |version: &'static str| {
        move |package: &mut Package| {
            let all = ["v1.0.0", "1.0", "1", "latest"].map(|name| (name, "index"));
            release(package, &all);
            package.points.remove(&Tag::dev());
            edit(package, "configuration", |value| {
                value["config"]["Labels"]["org.opencontainers.image.version"] = version.into();
            });
        }
    };
    check(released("1.0.0"), &[]);
    check(released(REVISION), &[]);
    check(released("0.9.0"), &["labels: the version label `0.9.0` does not fit the tag"]);
}

/// Sets or removes a label of the image, but no annotation of the index.
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
fn a_too_large_image_names_its_largest_steps() {
    check_in(
        "size-limit = \"1MB\"\n",
        |_| {},
        &["size: 3.00 MB exceeds the limit of 1.00 MB; largest layers: 3.00 MB `RUN make`"],
    );
    check_in(
        "size-limit = \"1MB\"\n",
        |package| layers(package, &[1, 4_000_000, 2_000_000, 3_000_000]),
        &["size: 9.00 MB exceeds the limit of 1.00 MB; largest layers: 4.00 MB `RUN 1`, 3.00 MB \
             `RUN 3`, 2.00 MB `RUN 2`"],
    );
}

/// Gives the image layers of these sizes, each made by one step.
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
fn own_layers_have_a_separate_size_limit() {
    let own = "own-size-limit = \"1MB\"\n";
    let on_a_base = |package: &mut Package, base: &[&str]| {
        layers(package, &[4_000_000, 2_000_000]);
        let base = base.iter().map(|name| digest(name)).collect();
        package.base_layers.insert(digest("index"), base);
    };
    check_in(
        own,
        |package| on_a_base(package, &["0layer"]),
        &["own size: 2.00 MB exceeds the limit of 1.00 MB; largest layers: 2.00 MB `RUN 1`"],
    );
    check_in(own, |package| on_a_base(package, &["0layer", "1layer"]), &[]);
    check_in(own, |_| {}, &["own size: the image does not name its base image"]);
}

#[test]
fn growth_by_more_than_a_tenth_warns() {
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
    check(grown(2_000_000), &["growth: 1.00 MB larger than the previous published commit"]);
}

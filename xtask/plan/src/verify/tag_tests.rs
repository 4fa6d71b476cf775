//! Tests of the findings about the tags of a package.

use super::*;

#[test]
fn dev_must_match_the_tag_of_its_commit() {
    check(
        |package| {
            let exact = Tag::new(format!("dev-{REVISION}")).unwrap();
            package.points.insert(exact, digest("image"));
        },
        &["tags agree: not the same image as `dev-1111111111111111111111111111111111111111`"],
    );
}

/// Publishes a newer commit, whose tag points to the image `there`.
fn with_newer(package: &mut Package, there: Option<&str>) {
    let newer = Tag::new("dev-2222222222222222222222222222222222222222").unwrap();
    package.points.extend(there.map(|name| (newer.clone(), digest(name))));
    package.newer = Some(newer);
}

#[test]
fn dev_is_outdated_if_a_newer_commit_differs() {
    let older = "tags agree: `dev` is older than the published \
                 `dev-2222222222222222222222222222222222222222`";
    check(|package| with_newer(package, Some("image")), &[older]);
    // An unchanged service keeps its image and gets another tag.
    check(|package| with_newer(package, Some("index")), &[]);
    check(|package| with_newer(package, None), &[]);
}

#[test]
fn an_unreadable_tag_is_unknown() {
    check(
        |package| {
            let dev = Tag::dev();
            package.points.remove(&dev);
            package.unread.insert(dev, "error 500".to_owned());
        },
        &["tags: error 500"],
    );
}

#[test]
fn floating_tags_point_to_their_highest_version() {
    // Only the image `index` exists; the others are just names.
    let whole = [
        ("v1.0.0", "old"),
        ("1.0", "old"),
        ("v1.1.0", "index"),
        ("1.1", "index"),
        ("1", "index"),
        ("latest", "index"),
    ];
    check(|package| release(package, &whole), &[]);
    let without = |name: &'static str| whole.into_iter().filter(move |(tag, _)| *tag != name);
    let with = |name: &'static str, image: &'static str| {
        without(name).chain([(name, image)]).collect::<Vec<_>>()
    };
    check(
        |package| release(package, &without("1").collect::<Vec<_>>()),
        &["tags agree: `1` is missing and should point to v1.1.0"],
    );
    check(
        |package| release(package, &with("latest", "old")),
        &["tags agree: `latest` points to 6f6c64000000, not to v1.1.0"],
    );
    // An older line.
    check(
        |package| release(package, &with("1.0", "image")),
        &["tags agree: `1.0` points to 696d61676500, not to v1.0.0"],
    );
}

#[test]
fn every_version_in_git_needs_its_tags() {
    let tagged = |package: &mut Package, names: &[&str]| {
        let all = ["v1.0.0", "1.0", "1", "latest"].map(|name| (name, "index"));
        release(package, &all);
        let commit = |name: &&str| (Tag::new(*name).unwrap(), "c".repeat(40));
        package.releases = names.iter().map(commit).collect();
    };
    let no_commit = "tags agree: `cccccccccccc` is missing and should point to v1.0.0";
    check(|package| tagged(package, &[]), &[]);
    check(|package| tagged(package, &["v1.0.0"]), &[no_commit]);
    check(
        |package| {
            tagged(package, &["v1.0.0"]);
            release(package, &[("cccccccccccccccccccccccccccccccccccccccc", "index")]);
        },
        &[],
    );
    // Versions older than the first published one are not expected.
    check(|package| tagged(package, &["v0.9.0"]), &[]);
    check(
        |package| tagged(package, &["v1.1.0", "v1.2.0"]),
        &["release: 2 versions are tagged in git but have no image, such as v1.2.0"],
    );
}

#[test]
fn untagged_versions_are_counted() {
    check(
        |package| package.untagged = Untagged::Count(3),
        &["untagged: untagged versions to delete: 3"],
    );
    check(|package| package.untagged = Untagged::Count(0), &[]);
    let message = "error 500".to_owned();
    check(|package| package.untagged = Untagged::Unknown { message }, &["untagged: error 500"]);
}

#[test]
fn an_unrecognized_tag_is_a_warning() {
    check(
        |package| {
            if let Listing::Tags(tags) = &mut package.listing {
                tags.push(Tag::new("test-of-mine").unwrap());
            }
        },
        &["stray tags: unrecognized tag `test-of-mine`, kept forever"],
    );
}

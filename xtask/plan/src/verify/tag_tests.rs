//! Tests of what is said about the tags of a package.

use super::*;

#[test]
fn a_tag_that_moved_is_found() {
    check(
        |package| {
            let exact = Tag::new(format!("dev-{REVISION}")).unwrap();
            package.points.insert(exact, digest("image"));
        },
        &["tags agree: it is not the image of `dev-1111111111111111111111111111111111111111`"],
    );
}

/// A newer commit is published, whose tag points there.
fn with_newer(package: &mut Package, there: Option<&str>) {
    let newer = Tag::new("dev-2222222222222222222222222222222222222222").unwrap();
    package.points.extend(there.map(|name| (newer.clone(), digest(name))));
    package.newer = Some(newer);
}

#[test]
fn dev_is_older_only_if_a_newer_commit_has_another_image() {
    let older = "tags agree: `dev` is older than `dev-2222222222222222222222222222222222222222`, which is \
                 published too";
    check(|package| with_newer(package, Some("image")), &[older]);
    // An unchanged service keeps its image, and gets a tag.
    check(|package| with_newer(package, Some("index")), &[]);
    check(|package| with_newer(package, None), &[]);
}

#[test]
fn a_tag_that_cannot_be_looked_up_is_unknown_and_all_else_is_judged() {
    check(
        |package| {
            let dev = dev().unwrap();
            package.points.remove(&dev);
            package.unread.insert(dev, "error 500".to_owned());
        },
        &["tags: error 500"],
    );
}

#[test]
fn every_floating_tag_is_the_highest_version_of_its_line() {
    // `index` is the image that is judged; of the others only their places matter.
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
        &["tags agree: `1` is missing, and should be v1.1.0"],
    );
    check(
        |package| release(package, &with("latest", "old")),
        &["tags agree: `latest` is 6f6c64000000, and not v1.1.0"],
    );
    // A line that is not the highest.
    check(
        |package| release(package, &with("1.0", "image")),
        &["tags agree: `1.0` is 696d61676500, and not v1.0.0"],
    );
}

#[test]
fn a_version_of_git_without_an_image_or_without_the_tag_of_its_commit_is_told() {
    let tagged = |package: &mut Package, names: &[&str]| {
        let all = ["v1.0.0", "1.0", "1", "latest"].map(|name| (name, "index"));
        release(package, &all);
        let commit = |name: &&str| (Tag::new(*name).unwrap(), "c".repeat(40));
        package.releases = names.iter().map(commit).collect();
    };
    let no_commit = "tags agree: `cccccccccccc` is missing, and should be v1.0.0";
    check(|package| tagged(package, &[]), &[]);
    check(|package| tagged(package, &["v1.0.0"]), &[no_commit]);
    check(
        |package| {
            tagged(package, &["v1.0.0"]);
            release(package, &[("cccccccccccccccccccccccccccccccccccccccc", "index")]);
        },
        &[],
    );
    // Before the first image there was none to publish.
    check(|package| tagged(package, &["v0.9.0"]), &[]);
    check(
        |package| tagged(package, &["v1.1.0", "v1.2.0"]),
        &["release: 2 versions are tagged in git and have no image, such as v1.2.0"],
    );
}

#[test]
fn what_has_no_tag_is_counted() {
    check(
        |package| package.untagged = Untagged::Count(3),
        &["untagged: 3 versions without a tag are needed by nothing"],
    );
    check(|package| package.untagged = Untagged::Count(0), &[]);
    let message = "error 500".to_owned();
    check(|package| package.untagged = Untagged::Unknown { message }, &["untagged: error 500"]);
}

#[test]
fn a_tag_that_nobody_knows_is_told() {
    check(
        |package| {
            if let Listing::Tags(tags) = &mut package.listing {
                tags.push(Tag::new("test-of-mine").unwrap());
            }
        },
        &["stray tags: nobody knows `test-of-mine`; it is kept for ever"],
    );
}

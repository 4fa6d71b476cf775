//! Tests of references.

use super::*;

fn problem<T: FromStr<Err = TextError>>(text: &str) -> String {
    match text.parse::<T>() {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn repository_names_follow_the_distribution_grammar() {
    for good in ["a", "a/b-c/d__e", "tzervas/autogit/git-server", "a--b", "0.1"] {
        assert_eq!(problem::<Repository>(good), "ok", "{good}");
    }
    for bad in ["", "a//b", "/a", "a/", "-a", "a_", "a___b", "a..b", "a._b", "ä", "a b"] {
        assert_ne!(problem::<Repository>(bad), "ok", "{bad}");
    }
    assert_eq!(
        problem::<Repository>("Tzervas/x"),
        "`Tzervas/x` is not a repository name: `T` is upper case; did you mean `tzervas`?"
    );
}

#[test]
fn a_reference_never_contains_commas_or_newlines() {
    assert!(problem::<Repository>("a,type=local").contains("`,` is not allowed"));
    assert!(problem::<Tag>("v1\n").contains(r"`\n` is not allowed"));
    assert!(problem::<Registry>("ghcr.io,x").contains("expected a lower-case host"));
}

#[test]
fn registries_follow_the_rules_of_docker() {
    for good in ["ghcr.io", "localhost", "localhost:5000", "registry:443", "[::1]", "[::1]:5000"] {
        assert_eq!(problem::<Registry>(good), "ok", "{good}");
    }
    assert!(problem::<Registry>("myregistry").contains("a host has a dot or a port"));
    for bad in ["ghcr.io:+5", "ghcr.io:0", "ghcr.io:", "ghcr.io:65536", "GHCR.io", "[::g]", ""] {
        assert_ne!(problem::<Registry>(bad), "ok", "{bad}");
    }
}

#[test]
fn a_tag_has_at_most_128_characters() {
    assert_eq!(problem::<Tag>(&"a".repeat(128)), "ok");
    assert!(problem::<Tag>(&"a".repeat(129)).ends_with("129 characters, more than 128"));
}

#[test]
fn a_reference_reads_back_as_it_was_written() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    for text in [
        "ghcr.io/o/r/s".to_owned(),
        "127.0.0.1:5000/o/r:v1".to_owned(),
        "[::1]:5000/o/r:v1".to_owned(),
        format!("ghcr.io/o/r/s:dev@{digest}"),
    ] {
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
    }
}

#[test]
fn a_bare_name_belongs_to_docker_hub() {
    let shown = |text| Reference::normalized(text).unwrap().to_string();
    assert_eq!(shown("debian:bookworm"), "docker.io/library/debian:bookworm");
    assert_eq!(shown("gitlab/gitlab-ce:16"), "docker.io/gitlab/gitlab-ce:16");
    assert_eq!(shown("localhost/x"), "localhost/x");
}

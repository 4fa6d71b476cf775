//! Tests of manifests.

use super::*;

fn digest(of: char) -> String {
    format!("sha256:{}", of.to_string().repeat(64))
}

fn descriptor(media_type: &str, of: char, size: u64, rest: &str) -> String {
    let digest = digest(of);
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{rest}}}"#)
}

fn image(config: &str, layer: &str) -> String {
    let config = descriptor(config, 'c', 10, "");
    let layers = [descriptor(layer, '1', 100, ""), descriptor(layer, '2', 23, "")].join(",");
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#)
}

fn index(entries: &[String]) -> String {
    let entries = entries.join(",");
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{entries}]}}"#,
        media_type::OCI_INDEX
    )
}

fn check(content_type: &str, text: &str, expected: &str) {
    let shown = match Manifest::parse(content_type, text.as_bytes()) {
        Ok(Manifest::Index(index)) => {
            let (images, attestations) = (index.images().count(), index.attestations().count());
            format!("index of {images} images and {attestations} attestations")
        }
        Ok(Manifest::Image(image)) if image.is_attestation() => "attestation".to_owned(),
        Ok(Manifest::Image(image)) => format!("image of {} bytes", image.compressed_size()),
        Ok(Manifest::Cache(cache)) => format!("cache of {} bytes", cache.compressed_size()),
        Ok(Manifest::Other { media_type, .. }) => format!("other {media_type}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, expected);
}

#[test]
fn the_configuration_decides_the_kind_of_manifest() {
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let oci = media_type::OCI_MANIFEST;
    check(oci, &image(media_type::OCI_CONFIGURATION, layer), "image of 123 bytes");
    check(oci, &image(media_type::DOCKER_CONFIGURATION, layer), "image of 123 bytes");
    check(oci, &image(media_type::CACHE_CONFIGURATION, layer), "cache of 123 bytes");
    check(oci, &image(media_type::OCI_CONFIGURATION, media_type::IN_TOTO), "attestation");
    check(
        oci,
        &image("application/vnd.oci.empty.v1+json", layer),
        "other application/vnd.oci.empty.v1+json",
    );
}

#[test]
fn an_index_lists_images_and_attestations() {
    let platform = |os: &str, architecture: &str, more: &str| {
        let rest = format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"}}{more}"#);
        rest
    };
    let attests = format!(
        r#","annotations":{{"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":"{}"}}"#,
        digest('a')
    );
    let manifest = media_type::OCI_MANIFEST;
    let text = index(&[
        descriptor(manifest, 'a', 1, &platform("linux", "amd64", "")),
        descriptor(manifest, 'b', 1, &platform("linux", "arm64", "")),
        descriptor(manifest, 'd', 1, &platform("unknown", "unknown", &attests)),
    ]);
    check(media_type::OCI_INDEX, &text, "index of 2 images and 1 attestations");
    let Ok(Manifest::Index(index)) = Manifest::parse("", text.as_bytes()) else {
        panic!("not an index")
    };
    let found = |text: &str| {
        let found = index.image_for(&Platform::new(text).unwrap());
        found.map(|entry| entry.digest.to_string())
    };
    assert_eq!(found("linux/arm64/v8"), Some(digest('b')));
    assert_eq!(found("linux/arm"), None);
    assert_eq!(index.attestations().next().unwrap().attests(), Some(digest('a').as_str()));
}

#[test]
fn an_index_of_cache_layers_is_a_cache() {
    let layer = "application/vnd.oci.image.layer.v1.tar+zstd";
    let text = index(&[
        descriptor(layer, '1', 7, ""),
        descriptor(media_type::CACHE_CONFIGURATION, 'c', 10, ""),
    ]);
    check(media_type::OCI_INDEX, &text, "cache of 7 bytes");
}

#[test]
fn a_document_without_one_kind_is_refused() {
    let config = descriptor(media_type::OCI_CONFIGURATION, 'c', 10, "");
    let both = format!(r#"{{"schemaVersion":2,"config":{config},"manifests":[]}}"#);
    check("", &both, "not a manifest: it is both an index and an image");
    check("", r#"{"schemaVersion":2}"#, "not a manifest: it has neither `manifests` nor `config`");
    check("", r#"{"schemaVersion":1}"#, "not a manifest: its schema version is 1; expected 2");
    let served = Manifest::parse(media_type::OCI_MANIFEST, index(&[]).as_bytes()).unwrap_err();
    assert!(served.to_string().contains("but it was served as"), "{served}");
    check("text/plain; charset=utf-8", &index(&[]), "index of 0 images and 0 attestations");
}

#[test]
fn the_sum_of_huge_sizes_never_overflows() {
    let layers = [descriptor("l", '1', u64::MAX, ""), descriptor("l", '2', 5, "")].join(",");
    let config = descriptor(media_type::OCI_CONFIGURATION, 'c', 10, "");
    let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#);
    check("", &text, &format!("image of {} bytes", u64::MAX));
}

#[test]
fn the_children_are_configuration_and_layers() {
    let text = image(media_type::OCI_CONFIGURATION, "l");
    let manifest = Manifest::parse("", text.as_bytes()).unwrap();
    let children: Vec<_> = manifest.children().iter().map(|child| child.size).collect();
    assert_eq!(children, [10, 100, 23]);
}

#[test]
fn an_artifact_and_an_index_have_subjects() {
    let subject = descriptor(media_type::OCI_MANIFEST, 'f', 9, "");
    let with_subject = |text: String| {
        text.replacen(
            r#""schemaVersion":2"#,
            &format!(r#""schemaVersion":2,"subject":{subject}"#),
            1,
        )
    };
    let artifact = image("application/vnd.oci.empty.v1+json", "application/vnd.example.sbom");
    let entry = descriptor(media_type::OCI_MANIFEST, 'a', 9, "");
    for (text, children) in [
        (artifact, vec![digest('c'), digest('1'), digest('2')]),
        (index(&[entry]), vec![digest('a')]),
    ] {
        let manifest = Manifest::parse("", with_subject(text.clone()).as_bytes()).unwrap();
        assert_eq!(manifest.subject().map(|subject| subject.digest.to_string()), Some(digest('f')));
        let found: Vec<_> =
            manifest.children().iter().map(|child| child.digest.to_string()).collect();
        assert_eq!(found, children);
        assert_eq!(Manifest::parse("", text.as_bytes()).unwrap().subject(), None);
    }
}

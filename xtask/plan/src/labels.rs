//! Labels and annotations of an image, by the keys of the OCI image specification's
//! `annotations.md`. The same commit gives the same labels: no clock, no environment.

use std::collections::BTreeMap;

use xtask_model::config::ServiceConfig;
use xtask_model::facts::Git;
use xtask_model::reference::{Digest, Reference, Repository};
use xtask_model::service::ServiceName;

const PREFIX: &str = "org.opencontainers.image";

/// What the labels of one image are made from.
pub struct Subject<'f> {
    pub service: &'f ServiceName,
    pub config: &'f ServiceConfig,
    /// SPDX expression of the repository.
    pub licenses: Option<&'f str>,
    pub repository: Option<&'f Repository>,
    /// `https://github.com`, or the server of the job.
    pub server_url: &'f str,
    pub git: Option<&'f Git>,
    /// The version of a release; otherwise the revision is the version.
    pub version: Option<&'f str>,
    /// The base as the Dockerfile names it, with its digest if known.
    pub base: Option<(&'f str, Option<&'f Digest>)>,
}

/// The labels, sorted by key, without those whose value is unknown.
pub fn labels(subject: &Subject<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            labels.insert(format!("{PREFIX}.{key}"), value);
        }
    };
    let owned = |text: &str| Some(text.to_owned());
    let licenses = subject.config.licenses.as_deref().or(subject.licenses);
    let revision = subject.git.map(revision);
    put("title", owned(subject.service.as_str()));
    put("description", subject.config.description.clone());
    put("licenses", licenses.map(str::to_owned));
    put("source", subject.repository.map(|name| format!("{}/{name}", subject.server_url)));
    put("version", subject.version.map(str::to_owned).or_else(|| revision.clone()));
    put("revision", revision);
    put("created", subject.git.map(|git| timestamp(git.time)));
    if let Some((name, digest)) = subject.base {
        let full = Reference::normalized(name).ok();
        // The name itself may contain the digest.
        let stated = full.as_ref().and_then(|full| full.digest.as_ref());
        put("base.digest", stated.or(digest).map(ToString::to_string));
        // The specification asks for the full name, with the registry.
        put("base.name", Some(full.map_or_else(|| name.to_owned(), |full| full.to_string())));
    }
    labels
}

/// The commit, marked when the working tree differs from it.
pub fn revision(git: &Git) -> String {
    if git.dirty.is_empty() { git.revision.clone() } else { format!("{}-dirty", git.revision) }
}

/// Seconds since the epoch as RFC 3339 in UTC.
fn timestamp(seconds: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(subject: &Subject<'_>, expected: &Expect) {
        let lines = labels(subject).into_iter().map(|(key, value)| {
            format!("{} {value}\n", key.trim_start_matches("org.opencontainers.image."))
        });
        expected.assert_eq(&lines.collect::<String>());
    }

    fn subject<'f>(service: &'f ServiceName, config: &'f ServiceConfig) -> Subject<'f> {
        Subject {
            service,
            config,
            licenses: None,
            repository: None,
            server_url: "https://github.com",
            git: None,
            version: None,
            base: None,
        }
    }

    #[test]
    fn unknown_values_are_left_out() {
        let service = ServiceName::new("web").unwrap();
        let config = ServiceConfig::default();
        check(&subject(&service, &config), &expect![["title web\n"]]);
    }

    #[test]
    fn a_services_license_overrides_the_repositorys() {
        let service = ServiceName::new("web").unwrap();
        let config = ServiceConfig {
            description: Some("The web".to_owned()),
            licenses: Some("MIT".to_owned()),
            ..ServiceConfig::default()
        };
        let repository = Repository::new("o/r").unwrap();
        let git = Git { revision: "abc".to_owned(), time: 1_767_323_045, ..Git::default() };
        let digest = Digest::new(format!("sha256:{}", "0".repeat(64))).unwrap();
        let known = Subject {
            licenses: Some("Apache-2.0"),
            repository: Some(&repository),
            git: Some(&git),
            base: Some(("debian:bookworm", Some(&digest))),
            ..subject(&service, &config)
        };
        check(
            &known,
            &expect![[r"
            base.digest sha256:0000000000000000000000000000000000000000000000000000000000000000
            base.name docker.io/library/debian:bookworm
            created 2026-01-02T03:04:05Z
            description The web
            licenses MIT
            revision abc
            source https://github.com/o/r
            title web
            version abc
        "]],
        );
        let dirty = Git { dirty: vec!["a".to_owned()], ..git.clone() };
        let released =
            Subject { git: Some(&dirty), version: Some("1.2.3"), ..subject(&service, &config) };
        check(
            &released,
            &expect![[r"
            created 2026-01-02T03:04:05Z
            description The web
            licenses MIT
            revision abc-dirty
            title web
            version 1.2.3
        "]],
        );
    }

    #[test]
    fn a_base_label_has_full_name_and_digest() {
        let service = ServiceName::new("web").unwrap();
        let config = ServiceConfig::default();
        let of = |name: &str| {
            let labels =
                labels(&Subject { base: Some((name, None)), ..subject(&service, &config) });
            let label = |key: &str| labels.get(&format!("{PREFIX}.base.{key}")).cloned();
            (label("name").unwrap(), label("digest"))
        };
        assert_eq!(of("debian"), ("docker.io/library/debian".to_owned(), None));
        assert_eq!(of("gitlab/ce:16"), ("docker.io/gitlab/ce:16".to_owned(), None));
        assert_eq!(of("ghcr.io/o/r:1"), ("ghcr.io/o/r:1".to_owned(), None));
        let digest = Digest::new(format!("sha256:{}", "0".repeat(64))).unwrap().to_string();
        let pinned = format!("debian:12@{digest}");
        assert_eq!(of(&pinned), (format!("docker.io/library/{pinned}"), Some(digest)));
    }
}

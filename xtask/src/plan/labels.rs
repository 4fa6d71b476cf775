//! Labels and annotations of an image, by the keys of the OCI image specification's
//! `annotations.md`. The same commit gives the same labels: no clock, no environment.

use std::collections::BTreeMap;

use crate::model::config::ServiceConfig;
use crate::model::facts::Git;
use crate::model::reference::{Digest, Repository};
use crate::model::service::ServiceName;

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
    /// A release's version; otherwise the image has the revision for one.
    pub version: Option<&'f str>,
    /// The base as the Dockerfile names it, with its digest where known.
    pub base: Option<(&'f str, Option<&'f Digest>)>,
}

/// The labels, sorted by key. What is not known is left out rather than made up.
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
    put("base.name", subject.base.map(|(name, _)| name.to_owned()));
    put("base.digest", subject.base.and_then(|(_, digest)| digest.map(ToString::to_string)));
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

//! An image's configuration: how it runs, its labels and its history. Only the fields used here are read.
//! It must not know where the bytes come from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::cache_records::{CacheRecords, CacheRecordsError};
use super::manifest::null_is_default;

/// The configuration blob of an image, as the OCI image specification and Docker write it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfiguration {
    /// RFC 3339.
    #[serde(default)]
    pub created: Option<String>,
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: ContainerConfiguration,
    #[serde(default, deserialize_with = "null_is_default")]
    pub rootfs: RootFilesystem,
    #[serde(default, deserialize_with = "null_is_default")]
    pub history: Vec<HistoryEntry>,
    /// Inline cache data in base64, if the image was pushed with `--cache-to type=inline`.
    #[serde(rename = "moby.buildkit.cache.v0", default, skip_serializing_if = "Option::is_none")]
    pub inline_cache: Option<String>,
}

/// How a container of the image starts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfiguration {
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub user: String,
    #[serde(deserialize_with = "null_is_default")]
    pub entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub cmd: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub working_dir: String,
    #[serde(deserialize_with = "set_of_keys")]
    pub exposed_ports: BTreeSet<String>,
    #[serde(deserialize_with = "set_of_keys")]
    pub volumes: BTreeSet<String>,
    pub healthcheck: Option<Healthcheck>,
    pub stop_signal: Option<String>,
}

/// Docker's health check; times in nanoseconds, as Go writes a duration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    #[serde(deserialize_with = "null_is_default")]
    pub test: Vec<String>,
    pub interval: Option<u64>,
    pub timeout: Option<u64>,
    pub start_period: Option<u64>,
    pub retries: Option<u64>,
}

/// The uncompressed digests of the layers, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RootFilesystem {
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<String>,
}

/// One step that made the image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// RFC 3339.
    pub created: Option<String>,
    /// The step of the Dockerfile, as the builder spells it.
    pub created_by: String,
    pub comment: String,
    /// Whether the step left no layer, as `LABEL` does.
    pub empty_layer: bool,
}

impl ImageConfiguration {
    /// Reads a configuration blob.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The records of the inline cache, if there is one.
    pub fn inline_cache(&self) -> Result<Option<CacheRecords>, CacheRecordsError> {
        self.inline_cache.as_deref().map(CacheRecords::of_inline).transpose()
    }

    /// The steps that left a layer, in the order of the layers.
    pub fn layer_steps(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.history.iter().filter(|entry| !entry.empty_layer)
    }
}

/// Docker writes a set as an object whose values are empty objects.
fn set_of_keys<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeSet<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Shape {
        Keys(BTreeMap<String, serde_json::Value>),
        List(BTreeSet<String>),
    }
    Ok(match Option::deserialize(deserializer)? {
        Some(Shape::Keys(keys)) => keys.into_keys().collect(),
        Some(Shape::List(list)) => list,
        None => BTreeSet::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_that_docker_writes_are_read() {
        let bytes = br#"{"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05Z",
            "config":{"Labels":null,"Env":["A=b"],"User":"app","Cmd":["x"],"Entrypoint":null,
                "ExposedPorts":{"80/tcp":{}},"Volumes":null,"WorkingDir":"/",
                "Healthcheck":{"Test":["CMD","curl"],"Interval":30000000000}},
            "rootfs":{"type":"layers","diff_ids":["sha256:aa"]},
            "history":[{"created_by":"COPY a /a"},{"created_by":"LABEL a=b","empty_layer":true}]}"#;
        let read = ImageConfiguration::parse(bytes).unwrap();
        assert_eq!(read.config.exposed_ports, BTreeSet::from(["80/tcp".to_owned()]));
        assert_eq!(read.config.healthcheck.as_ref().unwrap().interval, Some(30_000_000_000));
        assert!(read.config.labels.is_empty() && read.config.volumes.is_empty());
        let steps: Vec<_> = read.layer_steps().map(|step| step.created_by.as_str()).collect();
        assert_eq!(steps, ["COPY a /a"]);
        assert_eq!(read.inline_cache().unwrap(), None);
        let again = serde_json::to_vec(&read).unwrap();
        assert_eq!(ImageConfiguration::parse(&again).unwrap(), read);
    }

    #[test]
    fn a_configuration_without_a_container_part_is_read() {
        let read = ImageConfiguration::parse(br#"{"config":null,"history":null}"#).unwrap();
        assert_eq!(read, ImageConfiguration::default());
    }
}

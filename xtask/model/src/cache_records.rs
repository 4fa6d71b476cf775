//! The records of a BuildKit cache: which steps it can answer. It reads them and finds out when one cache
//! makes another one redundant; it must not fetch anything.
//!
//! A record is one step: the digest of its operation, and links to the records of its inputs. An input may
//! have several equivalent records (by content, by definition). The digest alone does not identify the
//! step: `COPY src /src` keeps its digest when `src` changes, and only its link points to a different
//! record. A record may contain a result (layers). An inline cache contains results for the steps of the
//! final stage only, and links for the others. Measured on BuildKit 0.25: after the same build,
//! `type=inline` and `mode=max` contain the same records, and the former contains fewer results.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use serde::{Deserialize, Serialize};

/// The largest configuration that BuildKit imports. It exports a larger one without an error and never uses it.
pub const IMPORT_LIMIT: u64 = 1 << 20;

/// The records of one cache; links are positions in this list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CacheRecords(Vec<CacheRecord>);

/// One step that a cache knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CacheRecord {
    /// The first twelve digits of the operation's digest.
    digest: String,
    /// Whether the cache contains the step's result; otherwise the record only links other records.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    result: bool,
    /// When its newest result was created, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<u64>,
    /// For each input of the step, the equivalent records that it may come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Vec<CacheLink>>,
}

/// An input: the record it comes from, and the part of it that matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CacheLink {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    selector: String,
    link: usize,
}

/// Why bytes are not cache data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRecordsError(String);

impl fmt::Display for CacheRecordsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not BuildKit cache data: {}", self.0)
    }
}

impl std::error::Error for CacheRecordsError {}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default, deserialize_with = "super::manifest::null_is_default")]
    records: Vec<WrittenRecord>,
}

#[derive(Deserialize)]
struct WrittenRecord {
    digest: String,
    #[serde(default, deserialize_with = "super::manifest::null_is_default")]
    inputs: Vec<Vec<CacheLink>>,
    #[serde(default, deserialize_with = "super::manifest::null_is_default")]
    layers: Vec<WrittenResult>,
    /// Results whose layers are not one chain, such as those of `COPY --link`.
    #[serde(default, deserialize_with = "super::manifest::null_is_default")]
    chains: Vec<WrittenResult>,
}

#[derive(Deserialize)]
struct WrittenResult {
    #[serde(default, rename = "createdAt")]
    created_at: String,
}

impl CacheRecords {
    /// Reads the configuration of a cache exported to a registry.
    pub fn of_configuration(bytes: &[u8]) -> Result<Self, CacheRecordsError> {
        let read: Configuration = serde_json::from_slice(bytes).map_err(wrong)?;
        Self::checked(read.records)
    }

    /// Reads the inline cache of an image configuration: base64 of a list of records.
    pub fn of_inline(text: &str) -> Result<Self, CacheRecordsError> {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(wrong)?;
        Self::checked(serde_json::from_slice(&bytes).map_err(wrong)?)
    }

    fn checked(written: Vec<WrittenRecord>) -> Result<Self, CacheRecordsError> {
        let count = written.len();
        let dangling = |record: &WrittenRecord| {
            record.inputs.iter().flatten().any(|input| input.link >= count)
        };
        if written.iter().any(dangling) {
            return Err(wrong("a record points to one that does not exist"));
        }
        Ok(Self(written.into_iter().map(CacheRecord::of).collect()))
    }

    /// These records and `more` as one cache: an index has one inline cache for each platform.
    #[must_use]
    pub fn with(mut self, more: Self) -> Self {
        let offset = self.0.len();
        self.0.extend(more.0.into_iter().map(|mut record| {
            record.inputs.iter_mut().flatten().for_each(|input| input.link += offset);
            record
        }));
        self
    }

    /// The number of records with a result: the steps that the cache can answer.
    pub fn results(&self) -> usize {
        self.0.iter().filter(|record| record.result).count()
    }

    /// When the newest result was created, in seconds since 1970.
    pub fn created(&self) -> Option<u64> {
        self.0.iter().filter_map(|record| record.created).max()
    }

    /// The positions of the results that `other` contains too, with all the inputs that they have here.
    pub fn results_also_in(&self, other: &Self) -> BTreeSet<usize> {
        let known = self.reached_in(other);
        let held = |&(mine, theirs): &(usize, usize)| {
            let result =
                |records: &Self, at: usize| records.0.get(at).is_some_and(|record| record.result);
            (result(self, mine) && result(other, theirs)).then_some(mine)
        };
        known.iter().filter_map(held).collect()
    }

    /// Pairs of a record here and a record in `other` for the same step, where the other record has at least
    /// the same inputs. It starts with all pairs of equal digests and removes those with an input that has
    /// no partner, until none is left to remove.
    fn reached_in(&self, other: &Self) -> BTreeSet<(usize, usize)> {
        let mut by_digest: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (position, record) in other.0.iter().enumerate() {
            by_digest.entry(&record.digest).or_default().push(position);
        }
        let partners = |(mine, record): (usize, &CacheRecord)| {
            let theirs = by_digest.get(record.digest.as_str()).cloned().unwrap_or_default();
            theirs.into_iter().map(move |theirs| (mine, theirs))
        };
        let mut pairs: BTreeSet<(usize, usize)> =
            self.0.iter().enumerate().flat_map(partners).collect();
        loop {
            let before = pairs.clone();
            pairs.retain(|&(mine, theirs)| match (self.0.get(mine), other.0.get(theirs)) {
                (Some(mine), Some(theirs)) => mine.ways_are_in(theirs, &before),
                _ => false,
            });
            if pairs.len() == before.len() {
                return pairs;
            }
        }
    }
}

impl CacheRecord {
    fn of(written: WrittenRecord) -> Self {
        let hex = written.digest.split_once(':').map_or(written.digest.as_str(), |(_, hex)| hex);
        let results = || written.layers.iter().chain(&written.chains);
        Self {
            digest: hex.get(..12).unwrap_or(hex).to_owned(),
            result: results().next().is_some(),
            created: results().filter_map(|result| seconds(&result.created_at)).max(),
            inputs: written.inputs,
        }
    }

    fn ways_are_in(&self, other: &Self, pairs: &BTreeSet<(usize, usize)>) -> bool {
        let way_in = |mine: &CacheLink, theirs: &[CacheLink]| {
            theirs.iter().any(|theirs| {
                mine.selector == theirs.selector && pairs.contains(&(mine.link, theirs.link))
            })
        };
        self.inputs.len() == other.inputs.len()
            && self
                .inputs
                .iter()
                .zip(&other.inputs)
                .all(|(mine, theirs)| mine.iter().all(|link| way_in(link, theirs)))
    }
}

/// Seconds since 1970 of an RFC 3339 time; `None` for Go's zero time and for no time at all.
fn seconds(text: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(text).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fn wrong(problem: impl fmt::Display) -> CacheRecordsError {
    CacheRecordsError(problem.to_string())
}

#[cfg(test)]
#[path = "cache_records_tests.rs"]
mod tests;

//! The result of a publication: for each service its digest and the result of each tag. `push` and
//! `release` print it as JSON.

use serde::Serialize;

use super::failure::Exit;
use super::record::Record;
use super::reference::{Digest, Reference, Tag};
use super::service::ServiceName;

/// The outcome for one service.
#[derive(Debug, Clone, Serialize)]
pub struct Published {
    pub service: ServiceName,
    pub repository: Reference,
    pub result: PublishResult,
    /// Why it was built, tagged or refused.
    pub reason: String,
    /// The inputs that changed, if that is why it was built.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    pub digest: Option<Digest>,
    pub tags: Vec<TagResult>,
    /// Compressed bytes of all layers.
    pub size: Option<u64>,
    /// The same for the image that the floating tag pointed to before.
    pub size_before: Option<u64>,
    pub seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublishResult {
    /// Built and published.
    Built,
    /// Nothing changed: the published image got the new tags.
    Unchanged,
    /// The tested image got the tags.
    Promoted,
    /// It was published already, and this run added what was missing.
    Finished,
    Refused,
    Failed,
    /// Another run interfered: run it again.
    Unfinished,
}

impl Published {
    /// Whether its images are in the repository of `reference`.
    pub fn is_in(&self, reference: &Reference) -> bool {
        self.repository.repository == reference.repository
    }

    /// Whether its image is published under its exact tags.
    pub fn is_there(&self) -> bool {
        use PublishResult::{Failed, Refused, Unfinished};
        !matches!(self.result, Refused | Failed | Unfinished)
    }
}

/// The exit code of a publication: a failure outranks a refusal.
pub fn exit(results: &[Published]) -> Exit {
    let has = |result| results.iter().any(|published| published.result == result);
    if has(PublishResult::Failed) {
        Exit::Failed
    } else if has(PublishResult::Refused) {
        Exit::Refused
    } else if has(PublishResult::Unfinished) {
        Exit::Unfinished
    } else {
        Exit::Done
    }
}

/// The result of one tag.
#[derive(Debug, Clone, Serialize)]
pub struct TagResult {
    pub tag: Tag,
    /// Whether this run set it; otherwise it existed already.
    pub set: bool,
    pub reason: String,
}

impl std::fmt::Display for PublishResult {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Built => "built",
            Self::Unchanged => "unchanged",
            Self::Promoted => "promoted",
            Self::Finished => "published",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
        })
    }
}

//! The record of one build: what was planned, what happened, and what each cache tier gave. Records
//! are kept as JSON under `target/xtask/records/` and hold no secret.

use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::reference::{Digest, Reference};
use super::service::ServiceName;
use super::solve::{Solve, Steps, VertexKind, Warning};
use super::tier::{CacheTier, TierOutcome};

/// Version of the record's shape.
pub const SCHEMA: u32 = 1;

/// What one build of one service did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    pub service: ServiceName,
    /// The folder of the checkout it was built from: several can share a target folder.
    pub root: String,
    pub channel: Channel,
    /// The commit, marked when the working tree differed from it.
    pub revision: Option<String>,
    /// Seconds since 1970.
    pub started: u64,
    pub seconds: f64,
    pub result: BuildResult,
    /// Attempts before the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// The error of a build that failed, in buildx's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub tiers: Vec<TierRecord>,
    /// Why the cache was not exported, where that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_error: Option<String>,
    /// The steps that were needed, in the order in which BuildKit named them.
    pub steps: Vec<StepRecord>,
    pub totals: Steps,
    /// Compressed bytes downloaded, by BuildKit's progress stream.
    pub bytes_pulled: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRecord>,
    /// Path of the full log.
    pub log: String,
    /// The whole plan of the service, as `--dry-run --format json` prints it.
    pub plan: serde_json::Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildResult {
    Built,
    Failed,
    /// The image was built, and its smoke test failed.
    TestFailed,
    /// A builder that hung in a cache import was freed.
    Hung,
    Interrupted,
}

impl std::fmt::Display for BuildResult {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Built => "built",
            Self::Failed => "failed",
            Self::TestFailed => "test failed",
            Self::Hung => "hung",
            Self::Interrupted => "interrupted",
        })
    }
}

/// An attempt that failed and was made again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub error: String,
    /// Why it was worth another one.
    pub reason: String,
    pub seconds: f64,
    /// Seconds before the next one.
    pub waited: f64,
}

/// The image that came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    pub digest: Digest,
    /// What the engine calls it.
    pub id: String,
    /// Compressed bytes of all layers, where they are known.
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// One tier: whether it was offered, and whether BuildKit could read it then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierRecord {
    pub tier: CacheTier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    pub outcome: TierOutcome,
    pub detail: String,
    pub seconds: f64,
}

/// One step of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    pub name: String,
    pub cached: bool,
    /// Seconds from the start of the build.
    pub started: Option<f64>,
    pub seconds: f64,
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Record {
    /// The steps of a solve that were needed.
    pub fn steps(solve: &Solve) -> Vec<StepRecord> {
        let needed = solve.vertices.iter().filter(|vertex| vertex.is_needed_step());
        needed
            .map(|vertex| StepRecord {
                name: vertex.name.clone(),
                cached: vertex.is_hit(),
                started: vertex.started,
                seconds: vertex.seconds,
                bytes: vertex.transfers.values().map(|transfer| transfer.current).sum(),
                error: vertex.error.clone(),
            })
            .collect()
    }
}

impl TierRecord {
    /// Corrects what was planned by what BuildKit said: an import that failed, and how long it took.
    pub fn imported(&mut self, solve: &Solve) {
        let reference = self.reference.as_ref().map(ToString::to_string);
        let import = solve.vertices.iter().find(|vertex| match (&vertex.kind, &reference) {
            (VertexKind::Import { reference }, Some(ours)) => reference == ours,
            (VertexKind::Import { reference }, None) => reference.starts_with("gha:"),
            _ => false,
        });
        if let (Some(import), TierOutcome::Offered) = (import, self.outcome) {
            self.seconds += import.seconds;
            if let Some(error) = &import.error {
                (self.outcome, self.detail) = (TierOutcome::Failed, error.clone());
            } else if import.is_open() {
                self.outcome = TierOutcome::Hung;
                "BuildKit waited for it and got no answer".clone_into(&mut self.detail);
            }
        }
    }
}

/// How long the next build may take: the median of earlier ones, so that a cold one among many warm
/// ones does not frighten.
pub fn expected_seconds(earlier: &[f64]) -> Option<f64> {
    let mut sorted = earlier.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_earlier_builds_is_expected() {
        assert_eq!(expected_seconds(&[]), None);
        assert_eq!(expected_seconds(&[100.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn an_offered_tier_that_could_not_be_read_is_told_as_failed() {
        let mut solve = Solve::default();
        let line = r#"{"vertexes":[{"digest":"a","name":"importing cache manifest from r.io/o/s:cache","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:02Z","error":"unexpected EOF"}]}"#;
        solve.absorb(line, 0.0);
        let mut tier = TierRecord {
            tier: CacheTier::Cache,
            reference: Some("r.io/o/s:cache".parse().unwrap()),
            outcome: TierOutcome::Offered,
            detail: "3 results".to_owned(),
            seconds: 0.5,
        };
        tier.imported(&solve);
        assert_eq!((tier.outcome, tier.detail.as_str()), (TierOutcome::Failed, "unexpected EOF"));
        assert!((tier.seconds - 2.5).abs() < 1e-9);
    }
}

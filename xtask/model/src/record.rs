//! The record of one build: what was planned, what happened, and what each cache tier gave. Records
//! are kept as JSON under `target/xtask/records/` and contain no secret.

use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::facts::EarlierBuild;
use super::reference::{Digest, Reference};
use super::service::ServiceName;
use super::solve::{Solve, Steps, Vertex, VertexKind, Warning};
use super::tier::{CacheTier, TierOutcome};

/// Version of the format.
pub const SCHEMA: u32 = 1;

/// What one build of one service did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    pub service: ServiceName,
    /// The folder of the checkout: several checkouts can share a target folder.
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
    /// The error of a build that failed, in buildx's words, or why it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the last attempt failed in a way that may pass, such as a registry's 503.
    #[serde(default)]
    pub may_pass: bool,
    pub tiers: Vec<TierRecord>,
    /// Where the cache was exported to, or why not.
    #[serde(default)]
    pub exports: Vec<ExportRecord>,
    /// The steps that were needed, in the order in which BuildKit named them.
    pub steps: Vec<StepRecord>,
    /// The base images that were needed.
    #[serde(default)]
    pub bases: Vec<StepRecord>,
    pub totals: Steps,
    /// Compressed bytes downloaded, according to BuildKit's progress stream.
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
    /// It was stopped because the builder waited for something that might never come.
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

/// A failed attempt that was followed by another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub error: String,
    /// Why another attempt was worth it.
    pub reason: String,
    pub seconds: f64,
    /// Seconds before the next attempt.
    pub waited: f64,
    /// The cache sources that the next attempt left out, as values of `--cache-from`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
}

/// The image that the build made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    pub digest: Digest,
    /// What the engine calls it.
    pub id: String,
    /// Compressed bytes of all layers, if known.
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// One cache tier: whether buildx got it, and whether BuildKit could read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierRecord {
    pub tier: CacheTier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    pub outcome: TierOutcome,
    pub detail: String,
    pub seconds: f64,
}

/// One export of the cache, and its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportRecord {
    pub tier: CacheTier,
    /// The value of `--cache-to`, if it was passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub outcome: ExportOutcome,
    pub detail: String,
    pub seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExportOutcome {
    Exported,
    /// The image contains it.
    WithImage,
    /// It would only have repeated existing content.
    NotNeeded,
    /// It cannot be written, or must not be.
    LeftOut,
    Failed,
}

impl std::fmt::Display for ExportOutcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Exported => "exported",
            Self::WithImage => "with the image",
            Self::NotNeeded => "not needed",
            Self::LeftOut => "left out",
            Self::Failed => "failed",
        })
    }
}

impl ExportRecord {
    /// Records what BuildKit reported about the export; `otherwise` is the error if it reported none.
    pub fn exported(&mut self, solve: &Solve, otherwise: Option<&str>) {
        let names = match self.tier {
            CacheTier::Gha => "GitHub Actions",
            _ => "registry",
        };
        let ours = |vertex: &&Vertex| {
            vertex.kind == VertexKind::CacheExport && vertex.name.contains(names)
        };
        let vertex = solve.vertices.iter().find(ours);
        self.seconds = vertex.map_or(0.0, |vertex| vertex.seconds);
        self.outcome = ExportOutcome::Exported;
        let error = vertex.and_then(|vertex| vertex.error.as_deref()).or(otherwise);
        if let Some(error) = error {
            (self.outcome, self.detail) = (ExportOutcome::Failed, error.to_owned());
        }
    }
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
        solve.vertices.iter().filter(|vertex| vertex.is_needed_step()).map(StepRecord::of).collect()
    }

    /// The base images of a solve that were needed.
    pub fn bases(solve: &Solve) -> Vec<StepRecord> {
        let needed = |vertex: &&Vertex| {
            vertex.kind == VertexKind::From && (vertex.started.is_some() || vertex.cached)
        };
        solve.vertices.iter().filter(needed).map(StepRecord::of).collect()
    }
}

impl StepRecord {
    fn of(vertex: &Vertex) -> Self {
        Self {
            name: vertex.name.clone(),
            cached: vertex.is_hit(),
            started: vertex.started,
            seconds: vertex.seconds,
            bytes: vertex.pulled().map(|(_, bytes)| bytes).sum(),
            error: vertex.error.clone(),
        }
    }
}

impl TierRecord {
    /// Updates the planned outcome with what BuildKit reported within `seconds`: an import that failed or
    /// hung, and how long it took.
    pub fn imported(&mut self, solve: &Solve, seconds: f64) {
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
                self.seconds += (seconds - import.started.unwrap_or(seconds)).max(0.0);
                "BuildKit got no answer from it".clone_into(&mut self.detail);
            }
        }
    }

    /// Records that the next attempt leaves it out, unless it has failed already.
    pub fn dropped(&mut self, reason: &str) {
        if self.outcome == TierOutcome::Offered {
            self.outcome = TierOutcome::Failed;
            self.detail = format!("{reason}; the build continued without it");
        }
    }
}

/// The expected seconds of the next build of a channel: the median of the five newest builds, so that one
/// cold build does not distort it.
pub fn expected_seconds(earlier: &[EarlierBuild], channel: Channel) -> Option<f64> {
    let same = earlier.iter().filter(|build| build.channel == channel);
    let mut sorted: Vec<f64> = same.map(|build| build.seconds).take(5).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_earlier_builds_is_expected() {
        let of = |channel| move |seconds| EarlierBuild { channel, seconds };
        let local = [100.0, 1.0, 2.0].map(of(Channel::Local));
        let earlier = [&[of(Channel::Pr)(50.0)][..], &local].concat();
        assert_eq!(expected_seconds(&[], Channel::Local), None);
        assert_eq!(expected_seconds(&earlier, Channel::Local), Some(2.0));
        assert_eq!(expected_seconds(&earlier, Channel::Pr), Some(50.0));
        assert_eq!(expected_seconds(&earlier, Channel::Dev), None);
    }

    #[test]
    fn a_silent_tier_hung_an_unreadable_one_failed() {
        let mut solve = Solve::default();
        let line = r#"{"vertexes":[{"digest":"a","name":"importing cache manifest from r.io/o/s:cache","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:02Z","error":"unexpected EOF"}]}"#;
        solve.absorb(line, 0.0);
        let offered = TierRecord {
            tier: CacheTier::Cache,
            reference: Some("r.io/o/s:cache".parse().unwrap()),
            outcome: TierOutcome::Offered,
            detail: "3 results".to_owned(),
            seconds: 0.5,
        };
        let mut tier = offered.clone();
        tier.imported(&solve, 9.0);
        assert_eq!((tier.outcome, tier.detail.as_str()), (TierOutcome::Failed, "unexpected EOF"));
        assert!((tier.seconds - 2.5).abs() < 1e-9);

        let mut solve = Solve::default();
        let line = r#"{"vertexes":[{"digest":"a","name":"importing cache manifest from r.io/o/s:cache","started":"2026-01-01T00:00:00Z"}]}"#;
        solve.absorb(line, 0.0);
        let mut tier = offered.clone();
        tier.imported(&solve, 20.0);
        assert_eq!(tier.outcome, TierOutcome::Hung);
        assert!((tier.seconds - 20.5).abs() < 1e-9);
        // A later attempt without it changes nothing.
        tier.imported(&Solve::default(), 1.0);
        tier.dropped("a cache import hung");
        assert_eq!(tier.outcome, TierOutcome::Hung);

        let mut tier = offered;
        tier.dropped("a layer of the cache is gone");
        assert_eq!(tier.detail, "a layer of the cache is gone; the build continued without it");
    }

    #[test]
    fn an_export_is_matched_with_its_vertex() {
        let mut solve = Solve::default();
        for line in [
            r#"{"vertexes":[{"digest":"a","name":"exporting cache to registry","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:02Z"}]}"#,
            r#"{"vertexes":[{"digest":"b","name":"exporting to GitHub Actions Cache","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:01Z","error":"no"}]}"#,
        ] {
            solve.absorb(line, 0.0);
        }
        let shown = |tier, otherwise| {
            let (outcome, detail) = (ExportOutcome::LeftOut, "empty".to_owned());
            let mut export = ExportRecord { tier, to: None, outcome, detail, seconds: 0.0 };
            export.exported(&solve, otherwise);
            format!("{} {} {}", export.outcome, export.detail, export.seconds)
        };
        assert_eq!(shown(CacheTier::Cache, None), "exported empty 2");
        assert_eq!(shown(CacheTier::Gha, None), "failed no 1");
        assert_eq!(shown(CacheTier::Cache, Some("denied")), "failed denied 2");
    }

    #[test]
    fn a_base_image_reports_its_bytes() {
        let mut solve = Solve::default();
        for line in [
            r#"{"vertexes":[{"digest":"a","name":"[stage-0 1/2] FROM debian","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:02Z"}]}"#,
            r#"{"statuses":[{"id":"sha256:1","vertex":"a","current":7,"total":7},{"id":"extracting sha256:1","vertex":"a","current":9,"total":9}]}"#,
        ] {
            solve.absorb(line, 0.0);
        }
        let bases = Record::bases(&solve);
        assert_eq!((bases.len(), bases[0].bytes, solve.bytes_pulled()), (1, 7, 7));
        assert_eq!(Record::steps(&solve), []);
    }
}

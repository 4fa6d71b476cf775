//! One run of BuildKit's solver, assembled from the lines of `--progress=rawjson`. It reads the lines that it
//! gets and decides nothing.
//!
//! The stream repeats each vertex, and the last event alone misleads: pulling a cached layer repeats the
//! vertex without `cached`. So events of one digest are merged: the vertex is cached if one event says so,
//! unless one has an error, and it ran for the union of its intervals.

mod log;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use log::Log;
use stream::{Positions, Zero};

/// The build according to the stream so far. Times are seconds since the first line.
#[derive(Debug, Clone, Default)]
pub struct Solve {
    /// In the order in which they were first seen.
    pub vertices: Vec<Vertex>,
    /// Lines that are not JSON: buildx's own messages, the error last.
    pub messages: Vec<String>,
    /// Warnings of the Dockerfile frontend.
    pub warnings: Vec<Warning>,
    /// The stream's first time, from which all others are counted.
    zero: Option<Zero>,
    /// When the last line arrived, on the reader's clock.
    last_line: f64,
    log: Log,
    positions: Positions,
}

/// One vertex of the build graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vertex {
    pub digest: String,
    pub name: String,
    pub kind: VertexKind,
    /// Whether a cache answered it.
    pub cached: bool,
    pub error: Option<String>,
    /// When it started first.
    pub started: Option<f64>,
    /// When it ended last; `None` while it runs.
    pub completed: Option<f64>,
    /// Seconds that it ran: the union of its intervals.
    pub seconds: f64,
    /// Bytes moved, by status id.
    pub transfers: BTreeMap<String, Transfer>,
    /// The last [`LAST_LINES`] lines it printed.
    pub last_lines: Vec<String>,
    intervals: Vec<(f64, f64)>,
    /// Its output after the last line break.
    unfinished: String,
}

/// Something that a builder waits for and that may never come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// The build has not started: another build's import blocks it.
    Beginning,
    /// Only imports of caches are open. Such a builder waits forever.
    Import,
    /// Only the export of a cache is open.
    Export,
}

/// What a vertex means to people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum VertexKind {
    /// A step of the Dockerfile that can be cached: `[stage 2/5] RUN …`.
    Step { stage: String, number: u32, of: u32, instruction: String },
    /// `[stage 1/5] FROM …`: a base image.
    From,
    /// `importing cache manifest from …`.
    Import { reference: String },
    /// `exporting cache to …` and what belongs to it.
    CacheExport,
    /// `exporting to image`, `pushing …`.
    Export,
    /// `[internal] …`, `LINK …` and whatever else.
    #[default]
    Internal,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    pub current: u64,
    pub total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub message: String,
    pub line: Option<u32>,
}

/// How many lines of a vertex's output are kept.
pub const LAST_LINES: usize = 20;

/// How many steps a build needed, and how many of them a cache answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    pub total: usize,
    pub done: usize,
    pub cached: usize,
}

impl Steps {
    /// Cached ÷ total, `None` for a build without a step.
    pub fn hit_rate(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "no Dockerfile has 2^52 steps")]
        (self.total > 0).then(|| self.cached as f64 / self.total as f64)
    }
}

impl Vertex {
    pub fn is_step(&self) -> bool {
        matches!(self.kind, VertexKind::Step { .. })
    }

    /// The blobs it downloaded, with their bytes. Other transfers move nothing over the network.
    pub fn pulled(&self) -> impl Iterator<Item = (&str, u64)> {
        let blobs = self.transfers.iter().filter(|(id, _)| id.starts_with("sha256:"));
        blobs.map(|(id, transfer)| (id.as_str(), transfer.current))
    }

    /// Whether it has started and not ended.
    pub fn is_open(&self) -> bool {
        self.started.is_some() && self.completed.is_none() && !self.cached
    }

    /// Whether it is a step that was executed or cached. A step that is only announced was not needed.
    pub fn is_needed_step(&self) -> bool {
        self.is_step() && (self.started.is_some() || self.cached)
    }

    pub fn is_hit(&self) -> bool {
        self.cached && self.error.is_none()
    }
}

impl Solve {
    /// The steps that were needed so far.
    pub fn steps(&self) -> Steps {
        let needed = || self.vertices.iter().filter(|vertex| vertex.is_needed_step());
        Steps {
            total: needed().count(),
            done: needed().filter(|vertex| vertex.completed.is_some() || vertex.cached).count(),
            cached: needed().filter(|vertex| vertex.is_hit()).count(),
        }
    }

    /// The number of announced steps: the total of a progress display.
    pub fn announced_steps(&self) -> usize {
        self.vertices.iter().filter(|vertex| vertex.is_step()).count()
    }

    /// The running steps.
    pub fn open_steps(&self) -> Vec<&str> {
        let open = self.vertices.iter().filter(|vertex| vertex.is_step() && vertex.is_open());
        open.map(|vertex| vertex.name.as_str()).collect()
    }

    /// Bytes that were downloaded, each blob once. The stream does not contain pushed bytes.
    pub fn bytes_pulled(&self) -> u64 {
        let mut blobs: BTreeMap<&str, u64> = BTreeMap::new();
        for vertex in &self.vertices {
            for (id, bytes) in vertex.pulled() {
                let seen = blobs.entry(id).or_default();
                *seen = (*seen).max(bytes);
            }
        }
        blobs.values().sum()
    }

    /// The vertex that failed, if one did. A step comes before what failed because of it.
    pub fn failed(&self) -> Option<&Vertex> {
        let failed = |vertex: &&Vertex| {
            let harmless =
                matches!(vertex.kind, VertexKind::Import { .. } | VertexKind::CacheExport);
            let canceled =
                vertex.error.as_deref().is_some_and(|error| error.contains("context canceled"));
            vertex.error.is_some() && !harmless && !canceled
        };
        let mut all = self.vertices.iter().filter(failed);
        let first = all.clone().next();
        all.find(|vertex| vertex.is_step()).or(first)
    }

    /// The line of the Dockerfile that buildx shows with its error: `Dockerfile:12`, then dashes.
    pub fn failed_line(&self) -> Option<u32> {
        let pairs = self.messages.iter().zip(self.messages.iter().skip(1));
        let mut marked = pairs.filter(|(_, next)| next.starts_with("-----"));
        marked.find_map(|(place, _)| place.rsplit_once(':')?.1.trim().parse().ok())
    }

    /// buildx's own error, without its prefix.
    pub fn error(&self) -> Option<&str> {
        let error = self.messages.iter().rev().find_map(|line| line.strip_prefix("ERROR: "));
        error.or(self.messages.last().map(String::as_str)).map(str::trim)
    }

    /// The whole error: that of buildx and that of the failed vertex.
    pub fn whole_error(&self) -> String {
        let vertex = self.failed().and_then(|vertex| vertex.error.as_deref());
        let said = [self.error(), vertex].into_iter().flatten();
        said.collect::<Vec<_>>().join("; ")
    }

    /// What the builder has been waiting for at `now`, on the reader's clock, and for how many seconds.
    pub fn stalled(&self, now: f64) -> Option<(Stall, f64)> {
        if self.vertices.is_empty() {
            return Some((Stall::Beginning, now - self.last_line));
        }
        let mut open = self.vertices.iter().filter(|vertex| vertex.is_open());
        let of = |vertex: &Vertex| match vertex.kind {
            VertexKind::Import { .. } => Some(Stall::Import),
            VertexKind::CacheExport => Some(Stall::Export),
            _ => None,
        };
        let stall = of(open.next()?)?;
        open.all(|vertex| of(vertex) == Some(stall)).then_some((stall, now - self.last_line))
    }

    /// The references of the caches whose import is open.
    pub fn open_imports(&self) -> Vec<&str> {
        let open = self.vertices.iter().filter(|vertex| vertex.is_open());
        open.filter_map(|vertex| match &vertex.kind {
            VertexKind::Import { reference } => Some(reference.as_str()),
            _ => None,
        })
        .collect()
    }

    /// What was added to the log since the last call.
    pub fn take_log(&mut self) -> Option<String> {
        self.log.take()
    }
}

/// The kind of a vertex with this name.
fn kind(name: &str) -> VertexKind {
    if let Some(reference) = name.strip_prefix("importing cache manifest from ") {
        return VertexKind::Import { reference: reference.to_owned() };
    }
    let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    let exports_cache = [
        "exporting cache",
        "preparing build cache",
        "writing cache",
        "exporting to GitHub Actions",
    ];
    if begins(&exports_cache) {
        return VertexKind::CacheExport;
    }
    if begins(&["exporting ", "pushing ", "importing to docker", "resolving provenance"]) {
        return VertexKind::Export;
    }
    step(name).unwrap_or_default()
}

/// `[stage 2/5] RUN make`, `[2/5] RUN make`, `[linux/arm64 stage 2/5] RUN make`.
fn step(name: &str) -> Option<VertexKind> {
    let (place, instruction) = name.strip_prefix('[')?.split_once("] ")?;
    let (stage, count) = place.rsplit_once(' ').unwrap_or(("", place));
    let (number, of) = count.split_once('/')?;
    let (number, of) = (number.parse().ok()?, of.parse().ok()?);
    let instruction = instruction.trim_start();
    if instruction.starts_with("FROM ") {
        return Some(VertexKind::From);
    }
    // BuildKit's own second half of `COPY --link`.
    if instruction.starts_with("LINK ") {
        return None;
    }
    let (stage, instruction) = (stage.to_owned(), instruction.to_owned());
    Some(VertexKind::Step { stage, number, of, instruction })
}

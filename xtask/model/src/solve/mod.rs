//! One run of BuildKit's solver, assembled from the lines of `--progress=rawjson`. It only reads:
//! it decides nothing.
//!
//! The stream repeats each vertex, and the last event alone misleads: pulling a cached layer repeats the
//! vertex without `cached`. So events of one digest are merged: the vertex is cached if one event says so,
//! unless one has an error, and it ran for the union of its intervals.

mod log;
mod stream;
#[cfg(test)]
mod tests;
mod vertex;

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use log::SolveLog;
pub use vertex::{LAST_LINES, Transfer, Vertex, VertexKind};

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
    zero: Option<SystemTime>,
    /// When the last line arrived, on the reader's clock.
    last_line: f64,
    log: SolveLog,
    /// The position of each vertex, by digest.
    positions: BTreeMap<String, usize>,
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub message: String,
    pub line: Option<u32>,
}

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
        let errors = [self.error(), vertex].into_iter().flatten();
        errors.collect::<Vec<_>>().join("; ")
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

    /// The lines of the log since the last call.
    pub fn take_log(&mut self) -> Option<String> {
        self.log.take()
    }
}

//! One vertex of BuildKit's build graph, and what its name says about it.

use std::collections::BTreeMap;

use serde::Serialize;

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
    pub(super) intervals: Vec<(f64, f64)>,
    /// Its output after the last line break.
    pub(super) unfinished: String,
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
    /// `[internal] …`, `LINK …` and everything else.
    #[default]
    Internal,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Transfer {
    pub current: u64,
    pub total: u64,
}

/// How many lines of a vertex's output are kept.
pub const LAST_LINES: usize = 20;

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

    /// Keeps a line among the last ones, and returns it as a terminal shows it in the end: a progress bar
    /// overwrites its own line.
    pub(super) fn keep_line<'l>(&mut self, line: &'l str) -> &'l str {
        let line = line.trim_end_matches('\r');
        let line = line.rsplit('\r').next().unwrap_or(line);
        self.last_lines.push(line.to_owned());
        let excess = self.last_lines.len().saturating_sub(LAST_LINES);
        self.last_lines.drain(..excess);
        line
    }
}

/// The kind of a vertex with this name.
pub(super) fn kind(name: &str) -> VertexKind {
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

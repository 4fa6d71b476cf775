//! The lines of the stream and how each changes a [`Solve`].
//!
//! Source: `client.SolveStatus` of moby/buildkit, one JSON object a line on buildx's stderr, mixed
//! with plain text.

use base64::Engine;
use serde::Deserialize;

use super::vertex::kind;
use super::{Solve, Transfer, Vertex, Warning};
use crate::manifest::null_is_default;

#[derive(Deserialize)]
struct Line {
    #[serde(default, deserialize_with = "null_is_default")]
    vertexes: Vec<VertexEvent>,
    #[serde(default, deserialize_with = "null_is_default")]
    statuses: Vec<StatusEvent>,
    #[serde(default, deserialize_with = "null_is_default")]
    logs: Vec<LogEvent>,
    #[serde(default, deserialize_with = "null_is_default")]
    warnings: Vec<WarningEvent>,
}

#[derive(Deserialize)]
struct VertexEvent {
    digest: String,
    #[serde(default)]
    name: String,
    started: Option<String>,
    completed: Option<String>,
    #[serde(default)]
    cached: bool,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct StatusEvent {
    id: String,
    vertex: String,
    #[serde(default)]
    current: i64,
    #[serde(default)]
    total: i64,
}

#[derive(Deserialize)]
struct LogEvent {
    vertex: String,
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct WarningEvent {
    #[serde(default)]
    short: String,
    #[serde(default, deserialize_with = "null_is_default")]
    range: Vec<Range>,
}

#[derive(Deserialize)]
struct Range {
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: u32,
}

impl Solve {
    /// Adds one line that arrived at `now`, in seconds on the reader's clock.
    pub fn absorb(&mut self, line: &str, now: f64) {
        self.last_line = now;
        match serde_json::from_str::<Line>(line) {
            Ok(line) => {
                line.vertexes.into_iter().for_each(|event| self.vertex(event));
                line.statuses.into_iter().for_each(|event| self.status(event));
                line.logs.into_iter().for_each(|event| self.output(&event));
                line.warnings.into_iter().for_each(|event| self.warning(event));
            }
            Err(_) if line.trim().is_empty() => {}
            Err(_) => {
                self.log.message(line);
                self.messages.push(line.to_owned());
            }
        }
    }

    fn vertex(&mut self, event: VertexEvent) {
        let started = self.seconds(event.started.as_deref());
        let completed = self.seconds(event.completed.as_deref());
        let position = self.position(&event.digest);
        let Some(vertex) = self.vertices.get_mut(position) else { return };
        let before = (vertex.started.is_some(), vertex.completed.is_some() || vertex.cached);
        if !event.name.is_empty() && vertex.name != event.name {
            vertex.kind = kind(&event.name);
            vertex.name = event.name;
        }
        vertex.cached |= event.cached;
        if !event.error.is_empty() {
            vertex.error = Some(event.error);
        }
        if let Some(started) = started {
            vertex.started = Some(vertex.started.map_or(started, |first| first.min(started)));
            vertex.completed = completed;
        }
        if vertex.completed.is_some() && !vertex.unfinished.is_empty() {
            let line = std::mem::take(&mut vertex.unfinished);
            self.log.line(position, vertex.keep_line(&line));
        }
        if let (Some(started), Some(completed)) = (started, completed) {
            vertex.intervals.push((started, completed));
            vertex.seconds = union(&mut vertex.intervals);
        }
        self.log.vertex(position, vertex, before);
    }

    fn status(&mut self, event: StatusEvent) {
        let position = self.position(&event.vertex);
        let Some(vertex) = self.vertices.get_mut(position) else { return };
        let bytes = |count: i64| u64::try_from(count).unwrap_or(0);
        let transfer = vertex.transfers.entry(event.id).or_default();
        *transfer = Transfer {
            current: transfer.current.max(bytes(event.current)),
            total: transfer.total.max(bytes(event.total)),
        };
    }

    fn output(&mut self, event: &LogEvent) {
        let position = self.position(&event.vertex);
        let bytes = base64::engine::general_purpose::STANDARD.decode(&event.data);
        let (Ok(bytes), Some(vertex)) = (bytes, self.vertices.get_mut(position)) else { return };
        vertex.unfinished.push_str(&String::from_utf8_lossy(&bytes));
        // A piece of output may end in the middle of a line.
        let whole = vertex.unfinished.rfind('\n').map_or(0, |end| end + 1);
        let text: String = vertex.unfinished.drain(..whole).collect();
        for line in text.lines() {
            self.log.line(position, vertex.keep_line(line));
        }
    }

    fn warning(&mut self, event: WarningEvent) {
        let decoded = base64::engine::general_purpose::STANDARD.decode(&event.short);
        let message = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let warning = Warning {
            message: message.unwrap_or(event.short),
            line: event.range.first().map(|range| range.start.line),
        };
        if !self.warnings.contains(&warning) {
            self.log.message(&format!("WARNING: {}", warning.message));
            self.warnings.push(warning);
        }
    }

    /// The position of the vertex; a new vertex is added.
    fn position(&mut self, digest: &str) -> usize {
        if let Some(position) = self.positions.get(digest) {
            return *position;
        }
        let position = self.vertices.len();
        self.positions.insert(digest.to_owned(), position);
        self.vertices.push(Vertex { digest: digest.to_owned(), ..Vertex::default() });
        position
    }

    /// Seconds from the stream's first time to `time`, an RFC 3339 text.
    fn seconds(&mut self, time: Option<&str>) -> Option<f64> {
        let time = humantime::parse_rfc3339(time?).ok()?;
        let zero = *self.zero.get_or_insert(time);
        Some(match time.duration_since(zero) {
            Ok(after) => after.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        })
    }
}

/// Seconds that at least one of the intervals covers. Sorts them.
fn union(intervals: &mut [(f64, f64)]) -> f64 {
    intervals.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut covered = 0.0;
    let mut end = f64::NEG_INFINITY;
    for &(from, to) in intervals.iter() {
        covered += (to - from.max(end)).max(0.0);
        end = end.max(to);
    }
    covered
}

//! The full log of a build for people: one numbered block of lines for each vertex, in the order of events,
//! like buildx's own plain output.

use std::fmt::Write;

use super::vertex::Vertex;

#[derive(Debug, Clone, Default)]
pub(super) struct SolveLog {
    pending: String,
    /// The vertex that the last line was about.
    last: Option<usize>,
}

impl SolveLog {
    pub fn take(&mut self) -> Option<String> {
        (!self.pending.is_empty()).then(|| std::mem::take(&mut self.pending))
    }

    /// Logs what an event changed; `before` says whether the vertex had started and ended.
    pub fn vertex(&mut self, position: usize, vertex: &Vertex, before: (bool, bool)) {
        let (had_started, had_ended) = before;
        let begins = !had_started && (vertex.started.is_some() || vertex.cached);
        if begins && !had_ended {
            self.about(position, &vertex.name);
        }
        let ends = vertex.completed.is_some() || vertex.cached;
        if ends && !had_ended {
            let end = match (&vertex.error, vertex.cached) {
                (Some(error), _) => format!("ERROR: {error}"),
                (None, true) => "CACHED".to_owned(),
                (None, false) => format!("DONE {:.1}s", vertex.seconds),
            };
            self.line(position, &end);
        }
    }

    /// A line that a vertex printed.
    pub fn line(&mut self, position: usize, line: &str) {
        if self.last != Some(position) {
            self.about(position, "…");
        }
        let _ = writeln!(self.pending, "#{} {line}", position + 1);
    }

    /// A line of buildx itself.
    pub fn message(&mut self, line: &str) {
        self.last = None;
        let _ = writeln!(self.pending, "{line}");
    }

    fn about(&mut self, position: usize, name: &str) {
        if self.last.is_some() {
            self.pending.push('\n');
        }
        self.last = Some(position);
        let _ = writeln!(self.pending, "#{} {name}", position + 1);
    }
}

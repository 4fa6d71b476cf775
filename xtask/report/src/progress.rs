//! What builds show while they run: a block of lines for each on a terminal, or each line once where lines
//! cannot be redrawn.

use std::collections::BTreeSet;

use xtask_model::service::ServiceName;
use xtask_model::solve::{Solve, Vertex};

use super::quantity::{bytes, seconds};
use super::{one_line, shortened};

/// How many running steps a block shows.
const RUNNING: usize = 3;

/// The block of one build: a headline and the running steps. `elapsed` and `expected` are in seconds.
pub fn block(
    service: &ServiceName,
    solve: &Solve,
    elapsed: f64,
    expected: Option<f64>,
    width: usize,
) -> Vec<String> {
    let steps = solve.steps();
    let total = solve.announced_steps().max(steps.total);
    let mut parts = vec![format!("{}/{total} steps", steps.done)];
    if steps.cached > 0 {
        parts.push(format!("{} cached", steps.cached));
    }
    match solve.bytes_pulled() {
        0 => {}
        pulled => parts.push(format!("{} pulled", bytes(pulled))),
    }
    parts.push(match expected {
        Some(expected) => format!("{} of about {}", seconds(elapsed), seconds(expected)),
        None => seconds(elapsed),
    });
    let mut lines = vec![shortened(&format!("{service}  {}", parts.join(" · ")), width)];
    let running =
        || solve.vertices.iter().filter(|vertex| vertex.is_open() && worth_showing(vertex));
    for vertex in running().take(RUNNING) {
        let time = seconds((elapsed - vertex.started.unwrap_or(elapsed)).max(0.0));
        let last =
            vertex.last_lines.last().map_or(String::new(), |line| format!("  {}", line.trim()));
        lines.push(shortened(&format!("  {time:>8}  {}{last}", one_line(&vertex.name)), width));
    }
    if let Some(more) = running().count().checked_sub(RUNNING).filter(|more| *more > 0) {
        lines.push(format!("            and {more} more"));
    }
    lines
}

/// The lines of a build that are already printed.
#[derive(Debug, Default)]
pub struct PrintedLines {
    started: BTreeSet<usize>,
    ended: BTreeSet<usize>,
}

impl PrintedLines {
    /// The new lines: steps that started, were cached, or ended.
    pub fn new_lines(&mut self, service: &ServiceName, solve: &Solve) -> Vec<String> {
        let mut lines = Vec::new();
        for (position, vertex) in solve.vertices.iter().enumerate() {
            if !worth_showing(vertex) || self.ended.contains(&position) {
                continue;
            }
            let name = one_line(&vertex.name);
            if let Some(end) = end(vertex) {
                self.ended.insert(position);
                lines.push(format!("{service} | {name}  {end}"));
            } else if vertex.is_open() && self.started.insert(position) {
                lines.push(format!("{service} | {name}"));
            }
        }
        lines
    }
}

fn end(vertex: &Vertex) -> Option<String> {
    match &vertex.error {
        Some(error) => Some(format!("failed: {}", one_line(error))),
        None if vertex.cached => Some("cached".to_owned()),
        None => vertex.completed.map(|_| seconds(vertex.seconds)),
    }
}

/// BuildKit's own small steps only matter when they fail.
fn worth_showing(vertex: &Vertex) -> bool {
    use xtask_model::solve::VertexKind::{CacheExport, Export, From, Import, Internal, Step};
    match vertex.kind {
        Step { .. } | From | Export | CacheExport | Import { .. } => true,
        Internal => vertex.error.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn event(digest: &str, name: &str, started: u32, completed: Option<u32>, more: &str) -> String {
        let time = |second: u32| format!("\"2026-01-01T12:00:{second:02}Z\"");
        let completed = completed.map_or("null".to_owned(), time);
        format!(
            r#"{{"vertexes":[{{"digest":"{digest}","name":"{name}","started":{},"completed":{completed}{more}}}]}}"#,
            time(started)
        )
    }

    fn solve() -> Solve {
        let mut solve = Solve::default();
        for line in [
            event("i", "[internal] load build definition", 0, Some(1), ""),
            event("a", "[build 2/4] RUN apt-get install", 1, Some(1), r#","cached":true"#),
            event("b", "[build 3/4] RUN make a very long step that does not fit", 1, None, ""),
            event("c", "[stage-1 1/2] FROM debian", 1, None, ""),
            r#"{"statuses":[{"id":"sha256:1","vertex":"c","name":"x","current":12300000,"total":20000000}]}"#.to_owned(),
        ] {
            solve.absorb(&line, 0.0);
        }
        solve
    }

    #[test]
    fn a_block_shows_progress_and_running_steps() {
        let service = ServiceName::new("web").unwrap();
        let block = block(&service, &solve(), 14.0, Some(40.0), 70);
        expect![[r"
            web  1/2 steps · 1 cached · 12.3 MB pulled · 14.0 s of about 40.0 s
                13.0 s  [build 3/4] RUN make a very long step that does not fit
                13.0 s  [stage-1 1/2] FROM debian"]]
        .assert_eq(&block.join("\n"));
    }

    #[test]
    fn each_plain_line_is_printed_once() {
        let service = ServiceName::new("web").unwrap();
        let mut solve = solve();
        let mut printed = PrintedLines::default();
        expect![[r"
            web | [build 2/4] RUN apt-get install  cached
            web | [build 3/4] RUN make a very long step that does not fit
            web | [stage-1 1/2] FROM debian"]]
        .assert_eq(&printed.new_lines(&service, &solve).join("\n"));
        assert_eq!(printed.new_lines(&service, &solve), [] as [&str; 0]);
        solve.absorb(&event("c", "[stage-1 1/2] FROM debian", 1, Some(5), ""), 0.0);
        assert_eq!(
            printed.new_lines(&service, &solve),
            ["web | [stage-1 1/2] FROM debian  4.00 s"]
        );
    }
}

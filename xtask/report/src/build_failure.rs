//! Why a build failed, for the person who fixes it: the line of the Dockerfile, the last output of the step,
//! and the path of the full log.

use std::fmt::Write;

use xtask_model::service::ServiceName;
use xtask_model::solve::Solve;

use super::{one_line, shortened};

/// Lines shown before and after the one that failed.
const CONTEXT: usize = 2;

/// Columns of a step's name that are shown.
const STEP: usize = 100;

/// A failed build.
pub struct FailedBuild<'b> {
    pub service: &'b ServiceName,
    /// Path of the Dockerfile, relative to the root.
    pub dockerfile: &'b str,
    pub text: &'b str,
    pub solve: &'b Solve,
    /// Path of the full log.
    pub log: &'b str,
}

impl FailedBuild<'_> {
    /// The whole explanation.
    pub fn explained(&self) -> String {
        let mut text = format!("{}: {}\n", self.service, self.reason());
        if let Some(line) = self.line() {
            let _ = writeln!(text, "\n  {}:{line}", self.dockerfile);
            text.push_str(&excerpt(self.text, line));
        }
        let last = self.solve.failed().map_or(&[][..], |vertex| &vertex.last_lines);
        if !last.is_empty() {
            text.push_str("\n  last output of the step:\n");
            for line in last {
                let _ = writeln!(text, "    {line}");
            }
        }
        let _ = write!(text, "\n  full log: {}", self.log);
        text
    }

    /// One line: the step and its error, or buildx's error if no step failed.
    pub fn reason(&self) -> String {
        let vertex = self.solve.failed().and_then(|vertex| Some((vertex, vertex.error.as_ref()?)));
        match vertex {
            Some((vertex, error)) => {
                // The step's name already contains the command.
                let error = match error.rsplit_once("\" did not ") {
                    Some((_, rest)) => format!("it did not {rest}"),
                    None => one_line(error),
                };
                format!("{} failed: {error}", shortened(&one_line(&vertex.name), STEP))
            }
            None => {
                self.solve.error().unwrap_or("buildx ended without an error message").to_owned()
            }
        }
    }

    /// The line of the Dockerfile, counted from 1.
    pub fn line(&self) -> Option<usize> {
        usize::try_from(self.solve.failed_line()?).ok()
    }
}

/// The lines around `line`, with numbers and a mark.
fn excerpt(text: &str, line: usize) -> String {
    let first = line.saturating_sub(CONTEXT).max(1);
    let mut excerpt = String::new();
    for (number, content) in
        (1..).zip(text.lines()).skip(first - 1).take(line - first + CONTEXT + 1)
    {
        let mark = if number == line { '>' } else { ' ' };
        let _ = writeln!(excerpt, "{}", format!("  {mark} {number:>3} | {content}").trim_end());
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use expect_test::{Expect, expect};

    use super::*;

    fn check(lines: &[&str], expected: &Expect) {
        let mut solve = Solve::default();
        for line in lines {
            solve.absorb(line, 0.0);
        }
        let failed = FailedBuild {
            service: &ServiceName::new("web").unwrap(),
            dockerfile: "services/web/Dockerfile",
            text: "FROM debian\n\nRUN one\nRUN make\nRUN two\nRUN three\n",
            solve: &solve,
            log: "target/xtask/logs/web.log",
        };
        expected.assert_eq(&failed.explained());
    }

    #[test]
    fn a_failed_step_shows_line_and_output() {
        let data = base64::engine::general_purpose::STANDARD.encode("no rule to make target\n");
        let line = format!(r#"{{"logs":[{{"vertex":"a","stream":2,"data":"{data}"}}]}}"#);
        check(
            &[
                r#"{"vertexes":[{"digest":"a","name":"[3/5] RUN make","started":"2026-01-01T00:00:00Z","error":"process \"/bin/sh -c make\" did not complete successfully: exit code: 2"}]}"#,
                &line,
                "Dockerfile:4",
                "--------------------",
                "ERROR: failed to solve: exit code: 2",
            ],
            &expect![[r"
                web: [3/5] RUN make failed: it did not complete successfully: exit code: 2

                  services/web/Dockerfile:4
                      2 |
                      3 | RUN one
                  >   4 | RUN make
                      5 | RUN two
                      6 | RUN three

                  last output of the step:
                    no rule to make target

                  full log: target/xtask/logs/web.log"]],
        );
    }

    #[test]
    fn without_a_failed_step_buildxs_error_is_shown() {
        check(
            &["ERROR: failed to do request: connection refused"],
            &expect![[r"
                web: failed to do request: connection refused

                  full log: target/xtask/logs/web.log"]],
        );
    }
}

//! The part of a Dockerfile that plans need: its stages, what they are based on, and which of them a
//! target reaches. Everything else is BuildKit's to read and to complain about.
//!
//! Source: the Dockerfile reference of moby/buildkit.

use std::collections::BTreeMap;

/// The stages of a Dockerfile, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// `ARG`s above the first `FROM`, in order, with their defaults.
    arguments: Vec<(String, Option<String>)>,
    stages: Vec<Stage>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stage {
    /// Lower case, as BuildKit compares them.
    name: Option<String>,
    /// The image or stage of `FROM`, not expanded.
    base: String,
    /// Images or stages of `COPY --from` and `RUN --mount=from`.
    sources: Vec<String>,
}

/// Why a Dockerfile cannot be planned, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileError {
    /// Counted from 1.
    pub line: usize,
    pub problem: String,
}

/// What a name in a Dockerfile leads to.
enum Source {
    Stage(usize),
    Image(String),
    Nothing,
}

impl Dockerfile {
    pub fn parse(text: &str) -> Result<Self, DockerfileError> {
        let mut file = Self { arguments: Vec::new(), stages: Vec::new() };
        for (line, instruction) in instructions(text) {
            let (keyword, rest) =
                instruction.split_once(char::is_whitespace).unwrap_or((&instruction, ""));
            let wrong = |problem: &str| DockerfileError { line, problem: problem.to_owned() };
            match (keyword.to_ascii_uppercase().as_str(), file.stages.last_mut()) {
                ("FROM", _) => {
                    let stage = Stage::parse(rest)
                        .ok_or_else(|| wrong("expected `FROM [--platform=…] IMAGE [AS NAME]`"))?;
                    file.stages.push(stage);
                }
                ("ARG", None) => file.arguments.extend(words(rest).map(argument)),
                ("COPY" | "ADD", Some(stage)) => {
                    stage.sources.extend(flags(rest, "--from=").map(unquoted));
                }
                ("RUN", Some(stage)) => {
                    let mounts = flags(rest, "--mount=").flat_map(|mount| mount.split(','));
                    let from =
                        mounts.filter_map(|field| field.trim_matches('"').strip_prefix("from="));
                    stage.sources.extend(from.map(unquoted));
                }
                _ => {}
            }
        }
        if file.stages.is_empty() {
            return Err(DockerfileError { line: 1, problem: "it has no `FROM`".to_owned() });
        }
        Ok(file)
    }

    /// The images that building `target` (by default the last stage) needs, each once, in the order
    /// in which the file names them. `arguments` are the values given to the build.
    pub fn bases(&self, arguments: &BTreeMap<String, String>, target: Option<&str>) -> Vec<String> {
        let values = self.values(arguments);
        let mut bases = Vec::new();
        for position in self.reached(&values, target) {
            let Some(stage) = self.stages.get(position) else { continue };
            for name in std::iter::once(&stage.base).chain(&stage.sources) {
                match self.source(name, position, &values) {
                    Source::Image(image) if !bases.contains(&image) => bases.push(image),
                    _ => {}
                }
            }
        }
        bases
    }

    /// The image that the final image is based on, through any number of stages; `None` for
    /// `scratch`.
    pub fn final_base(
        &self,
        arguments: &BTreeMap<String, String>,
        target: Option<&str>,
    ) -> Option<String> {
        let values = self.values(arguments);
        let mut position = self.position(target)?;
        loop {
            match self.source(&self.stages.get(position)?.base, position, &values) {
                Source::Stage(earlier) => position = earlier,
                Source::Image(image) => return Some(image),
                Source::Nothing => return None,
            }
        }
    }

    /// Whether there is a stage that `--target` could name so.
    pub fn has_stage(&self, target: &str) -> bool {
        self.position(Some(target)).is_some()
    }

    fn position(&self, target: Option<&str>) -> Option<usize> {
        match target {
            None => self.stages.len().checked_sub(1),
            Some(name) => self.named(name, self.stages.len()),
        }
    }

    /// The stage `name`, a name or a number, among the first `below`.
    fn named(&self, name: &str, below: usize) -> Option<usize> {
        let lower = name.to_ascii_lowercase();
        let by_name =
            self.stages.iter().take(below).rposition(|stage| stage.name.as_ref() == Some(&lower));
        by_name.or_else(|| name.parse().ok().filter(|&number: &usize| number < below))
    }

    fn source(&self, name: &str, below: usize, values: &BTreeMap<String, String>) -> Source {
        let expanded = expand(name, values);
        if let Some(stage) = self.named(&expanded, below) {
            return Source::Stage(stage);
        }
        // What still has a variable, such as `$TARGETARCH`, only BuildKit can resolve.
        if expanded.is_empty() || expanded == "scratch" || expanded.contains('$') {
            return Source::Nothing;
        }
        Source::Image(expanded)
    }

    /// The stages that the target leads to, in the file's order.
    fn reached(&self, values: &BTreeMap<String, String>, target: Option<&str>) -> Vec<usize> {
        let mut reached = Vec::new();
        let mut open: Vec<usize> = self.position(target).into_iter().collect();
        while let Some(position) = open.pop() {
            if reached.contains(&position) {
                continue;
            }
            reached.push(position);
            let Some(stage) = self.stages.get(position) else { continue };
            let names = std::iter::once(&stage.base).chain(&stage.sources);
            open.extend(names.filter_map(|name| match self.source(name, position, values) {
                Source::Stage(earlier) => Some(earlier),
                _ => None,
            }));
        }
        reached.sort_unstable();
        reached
    }

    fn values(&self, given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        for (name, default) in &self.arguments {
            let default = default.as_ref().map(|text| expand(text, &values));
            if let Some(value) = given.get(name).cloned().or(default) {
                values.insert(name.clone(), value);
            }
        }
        values
    }
}

impl Stage {
    fn parse(rest: &str) -> Option<Self> {
        let mut words = words(rest).filter(|word| !word.starts_with("--"));
        let base = unquoted(words.next()?);
        let name = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some(keyword), Some(name), None) if keyword.eq_ignore_ascii_case("as") => {
                Some(name.to_ascii_lowercase())
            }
            _ => return None,
        };
        Some(Self { name, base, sources: Vec::new() })
    }
}

/// The instructions with the number of their first line: comments left out, continued lines joined,
/// here-documents skipped.
pub fn instructions(text: &str) -> Vec<(usize, String)> {
    let escape = escape(text);
    let mut instructions = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let is_comment = |line: &str| line.trim_start().starts_with('#');
        if line.trim().is_empty() || is_comment(line) {
            continue;
        }
        let mut whole = String::new();
        let mut rest = line;
        while let Some(head) = rest.trim_end().strip_suffix(escape) {
            whole.push_str(head);
            let next =
                lines.by_ref().find(|(_, line)| !is_comment(line) && !line.trim().is_empty());
            rest = next.map_or("", |(_, line)| line);
        }
        whole.push_str(rest);
        for delimiter in here_documents(&whole) {
            let ends = |(_, line): &(usize, &str)| line.trim_start_matches('\t') == delimiter;
            let _ = lines.by_ref().find(ends);
        }
        instructions.push((index + 1, whole.trim().to_owned()));
    }
    instructions
}

/// The character that continues a line: a backslash, unless a parser directive says otherwise.
fn escape(text: &str) -> char {
    let directives = text.lines().map(str::trim).take_while(|line| line.starts_with('#'));
    let found = directives.filter_map(|line| {
        let (key, value) = line.trim_start_matches('#').split_once('=')?;
        key.trim().eq_ignore_ascii_case("escape").then(|| value.trim().chars().next())?
    });
    found.last().unwrap_or('\\')
}

/// The delimiters of `<<NAME`, `<<-NAME` and `<<"NAME"` in `RUN`, `COPY` and `ADD`.
fn here_documents(instruction: &str) -> Vec<String> {
    let keyword = instruction.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    if !matches!(keyword.as_str(), "RUN" | "COPY" | "ADD") {
        return Vec::new();
    }
    let delimiter = |word: &str| {
        let name = word.split_once("<<")?.1.trim_start_matches('-');
        let name = name.trim_matches(|c| c == '"' || c == '\'');
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
        (!name.is_empty() && name.chars().all(valid)).then(|| name.to_owned())
    };
    instruction.split_whitespace().filter_map(delimiter).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

/// The values of the flags that begin with `prefix`; flags come before anything else.
fn flags<'a>(rest: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    words(rest)
        .take_while(|word| word.starts_with("--"))
        .filter_map(move |word| word.strip_prefix(prefix))
}

fn argument(word: &str) -> (String, Option<String>) {
    match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(unquoted(value))),
        None => (word.to_owned(), None),
    }
}

fn unquoted(text: &str) -> String {
    text.trim_matches(|c| c == '"' || c == '\'').to_owned()
}

/// `text` with `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+instead}` replaced. A variable
/// that is not known stays as it is.
fn expand(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (variable, remaining) = variable(after);
        rest = remaining;
        let shown = after.get(..after.len() - remaining.len()).unwrap_or_default();
        let (name, modifier) = match variable.split_once(':') {
            Some((name, modifier)) => (name, Some(modifier)),
            None => (variable, None),
        };
        let value = values.get(name).filter(|value| !value.is_empty() || modifier.is_none());
        match (value, modifier.and_then(|modifier| modifier.split_at_checked(1))) {
            (Some(_), Some(("+", instead))) => expanded.push_str(&expand(instead, values)),
            (None, Some(("+", _))) => {}
            (Some(value), _) => expanded.push_str(value),
            (None, Some(("-", default))) => expanded.push_str(&expand(default, values)),
            (None, _) => {
                expanded.push('$');
                expanded.push_str(shown);
            }
        }
    }
    expanded + rest
}

/// The variable at the start of `after`, which follows a `$`, and what comes behind it.
fn variable(after: &str) -> (&str, &str) {
    if let Some(braced) = after.strip_prefix('{') {
        return braced.split_once('}').unwrap_or((braced, ""));
    }
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    after.split_at(end.unwrap_or(after.len()))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, arguments: &[(&str, &str)], target: Option<&str>, expected: &Expect) {
        let arguments =
            arguments.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let shown = match Dockerfile::parse(text) {
            Ok(file) => {
                let base = file.final_base(&arguments, target);
                let bases = file.bases(&arguments, target).join(" ");
                format!("{bases} | {}", base.as_deref().unwrap_or("scratch"))
            }
            Err(error) => format!("line {}: {}", error.line, error.problem),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn an_argument_above_from_names_the_base_unless_the_build_gives_another() {
        let text = "ARG VERSION=16.11.0-ce.0\nFROM gitlab/gitlab-ce:${VERSION}\n";
        check(
            text,
            &[],
            None,
            &expect!["gitlab/gitlab-ce:16.11.0-ce.0 | gitlab/gitlab-ce:16.11.0-ce.0"],
        );
        check(
            text,
            &[("VERSION", "17")],
            None,
            &expect!["gitlab/gitlab-ce:17 | gitlab/gitlab-ce:17"],
        );
        check("FROM $BASE\n", &[("BASE", "x")], None, &expect![" | scratch"]);
    }

    #[test]
    fn only_stages_that_the_target_reaches_count() {
        let text = "\
FROM rust:1 AS Build
RUN cargo build
FROM golang:1 AS unused
FROM build AS tested
RUN --mount=type=bind,from=alpine:3,target=/x true
FROM scratch
COPY --link --from=build /a /a
COPY --from=busybox:1 /bin/busybox /
";
        check(text, &[], None, &expect!["rust:1 busybox:1 | scratch"]);
        check(text, &[], Some("TESTED"), &expect!["rust:1 alpine:3 | rust:1"]);
        check(text, &[], Some("1"), &expect!["golang:1 | golang:1"]);
        check(text, &[], Some("none"), &expect![" | scratch"]);
    }

    #[test]
    fn continued_lines_comments_and_here_documents_do_not_confuse_it() {
        let text = "\
# escape=`
FROM --platform=$BUILDPLATFORM `
# between
  debian:12 `
  AS one
RUN <<EOF
FROM not-a-stage
EOF
RUN echo a \\
FROM one AS two
";
        check(text, &[], None, &expect!["debian:12 | debian:12"]);
    }

    #[test]
    fn defaults_and_alternatives_are_expanded() {
        let text = "ARG A\nARG B=b\nFROM x:${A:-1}${B:+2}${C:+3}-$B\n";
        check(text, &[], None, &expect!["x:12-b | x:12-b"]);
        check(text, &[("A", "9")], None, &expect!["x:92-b | x:92-b"]);
    }

    #[test]
    fn what_is_no_dockerfile_names_its_line() {
        check("RUN true\n", &[], None, &expect!["line 1: it has no `FROM`"]);
        check(
            "\nFROM a b c\n",
            &[],
            None,
            &expect!["line 2: expected `FROM [--platform=…] IMAGE [AS NAME]`"],
        );
    }
}

//! What was seen of images, Dockerfiles and this machine, judged: each finding passes, warns, fails, is
//! skipped or unknown, and has its remedy as a command. Unknown is never a pass.

use serde::Serialize;

use crate::model::failure::Exit;

/// How a finding is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Pass,
    /// It does not apply here.
    Skip,
    Warn,
    /// It could not be looked at.
    Unknown,
    Fail,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: a service, a file, this machine.
    pub subject: String,
    /// Names the check.
    pub check: &'static str,
    pub level: Level,
    pub detail: String,
    /// What to type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub fn new(
        subject: impl Into<String>,
        check: &'static str,
        level: Level,
        detail: impl Into<String>,
    ) -> Self {
        Self { subject: subject.into(), check, level, detail: detail.into(), remedy: None }
    }

    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// The exit code of some findings: failed, could not look, or done. `strict` lets warnings fail.
pub fn exit(findings: &[Finding], strict: bool) -> Exit {
    let has = |level| findings.iter().any(|finding| finding.level == level);
    match () {
        () if has(Level::Fail) || (strict && has(Level::Warn)) => Exit::Failed,
        () if has(Level::Unknown) => Exit::Unfinished,
        () => Exit::Done,
    }
}

/// A rule about one Dockerfile, and where it is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub line: usize,
    pub rule: &'static str,
    pub detail: String,
}

/// Our own rules, about what hadolint and BuildKit's checks do not see: what makes a cache miss.
pub fn dockerfile(instructions: &[(usize, String)]) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut volatile: Vec<(usize, String)> = Vec::new();
    let mut wide_copy: Option<usize> = None;
    let mut is_last_root = true;
    let mut stage_is_scratch = false;
    for (line, instruction) in instructions {
        let (keyword, rest) =
            instruction.split_once(char::is_whitespace).unwrap_or((instruction, ""));
        let keyword = keyword.to_ascii_uppercase();
        let mut add =
            |line: usize, rule, detail: String| broken.push(Broken { line, rule, detail });
        match keyword.as_str() {
            "FROM" => {
                volatile.clear();
                wide_copy = None;
                is_last_root = true;
                let image =
                    rest.split_whitespace().find(|word| !word.starts_with("--")).unwrap_or("");
                stage_is_scratch = image == "scratch";
                let tagged =
                    image.rsplit('/').next().is_some_and(|name| name.contains([':', '@', '$']));
                if image.ends_with(":latest") {
                    add(*line, "base-latest", format!("`{image}` is another image tomorrow"));
                } else if !tagged && image.contains('/') {
                    add(*line, "base-unpinned", format!("`{image}` has no tag"));
                }
            }
            "ARG" | "ENV" if is_volatile(rest) => volatile.push((*line, rest.to_owned())),
            "ARG" | "ENV" if looks_secret(rest) => add(
                *line,
                "secret-in-image",
                "a secret in ARG or ENV stays in the image; use RUN --mount=type=secret".to_owned(),
            ),
            "RUN" => {
                if let Some((at, what)) = volatile.first() {
                    let detail = format!(
                        "`{what}` changes with every commit, and line {line} runs again for it"
                    );
                    add(*at, "volatile-above-run", detail);
                    volatile.clear();
                }
                if let (Some(at), true) = (wide_copy, installs_dependencies(rest)) {
                    add(
                        at,
                        "wide-copy",
                        format!("any file's change installs the dependencies of line {line} again"),
                    );
                    wide_copy = None;
                }
                if rest.contains("apt-get install")
                    && !rest.contains("rm -rf /var/lib/apt/lists")
                    && !rest.contains("type=cache")
                {
                    add(*line, "package-lists", "the package lists stay in the layer".to_owned());
                }
                if rest.contains("apt-get install") && !rest.contains("apt-get update") {
                    add(
                        *line,
                        "stale-lists",
                        "the package lists of another layer may be old".to_owned(),
                    );
                }
                if rest.contains("type=cache") && rest.contains("/target") {
                    add(
                        *line,
                        "cache-mount",
                        "what a cache mount holds is never exported: CI starts from nothing"
                            .to_owned(),
                    );
                }
            }
            "COPY" | "ADD" => {
                let mut paths = rest.split_whitespace().filter(|word| !word.starts_with("--"));
                if matches!(paths.next(), Some("." | "./")) && !rest.contains("--from") {
                    wide_copy = Some(*line);
                }
            }
            "USER" => is_last_root = matches!(rest.split(':').next(), Some("root" | "0")),
            "CMD" | "ENTRYPOINT" if !rest.trim_start().starts_with('[') => {
                add(
                    *line,
                    "shell-form",
                    format!("{keyword} in shell form does not pass on SIGTERM"),
                );
            }
            _ => {}
        }
    }
    // An image from scratch runs its own binary, which needs no root.
    if is_last_root && stage_is_scratch {
        let line = instructions.last().map_or(1, |(line, _)| *line);
        broken.push(Broken {
            line,
            rule: "root-user",
            detail: "it runs as root; USER 65532:65532".to_owned(),
        });
    }
    broken
}

/// Whether the value of an ARG or ENV is of the kind that changes with each commit.
fn is_volatile(rest: &str) -> bool {
    let name = rest.split(['=', ' ']).next().unwrap_or_default().to_ascii_uppercase();
    ["REVISION", "COMMIT", "GIT_SHA", "VCS_REF", "BUILD_DATE", "BUILD_NUMBER", "CREATED"]
        .iter()
        .any(|word| name.contains(word))
}

fn looks_secret(rest: &str) -> bool {
    let name = rest.split(['=', ' ']).next().unwrap_or_default().to_ascii_uppercase();
    ["_TOKEN", "PASSWORD", "_SECRET", "API_KEY", "PRIVATE_KEY"]
        .iter()
        .any(|word| name.contains(word))
}

fn installs_dependencies(command: &str) -> bool {
    [
        "npm ci",
        "npm install",
        "pip install",
        "cargo build",
        "cargo fetch",
        "bundle install",
        "go mod download",
        "apt-get install",
    ]
    .iter()
    .any(|words| command.contains(words))
}

#[cfg(test)]
mod tests {
    use crate::model::dockerfile::instructions;

    use super::*;

    fn check(text: &str, expected: &[(usize, &str)]) {
        let broken = dockerfile(&instructions(text));
        let found: Vec<_> = broken.iter().map(|broken| (broken.line, broken.rule)).collect();
        assert_eq!(found, expected, "{text}\n{broken:#?}");
    }

    #[test]
    fn what_changes_with_each_commit_stands_below_every_run() {
        check("FROM a/b:1\nARG GIT_SHA\nRUN make\n", &[(2, "volatile-above-run")]);
        check("FROM a/b:1\nRUN make\nARG GIT_SHA\n", &[]);
    }

    #[test]
    fn dependencies_are_installed_before_the_source_is_copied() {
        check("FROM a/b:1\nCOPY . .\nRUN npm ci\n", &[(2, "wide-copy")]);
        check("FROM a/b:1\nCOPY package.json .\nRUN npm ci\nCOPY . .\n", &[]);
    }

    #[test]
    fn package_lists_are_fresh_and_do_not_stay() {
        check("FROM a/b:1\nRUN apt-get update && apt-get install -y x\n", &[(2, "package-lists")]);
        check(
            "FROM a/b:1\nRUN apt-get install -y x && rm -rf /var/lib/apt/lists/*\n",
            &[(2, "stale-lists")],
        );
        check(
            "FROM a/b:1\nRUN apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*\n",
            &[],
        );
    }

    #[test]
    fn a_base_names_what_it_is() {
        check("FROM a/b:latest\n", &[(1, "base-latest")]);
        check("FROM a/b\n", &[(1, "base-unpinned")]);
        check("ARG V=1\nFROM a/b:${V}\n", &[]);
    }

    #[test]
    fn what_must_survive_is_no_cache_mount_and_no_secret_is_an_argument() {
        check(
            "FROM a/b:1\nRUN --mount=type=cache,target=/src/target cargo test\n",
            &[(2, "cache-mount")],
        );
        check("FROM a/b:1\nARG NPM_TOKEN\n", &[(2, "secret-in-image")]);
        check("FROM a/b:1\nRUN --mount=type=secret,id=x true\n", &[]);
    }

    #[test]
    fn signals_reach_the_program_and_scratch_needs_no_root() {
        check("FROM a/b:1\nCMD serve\n", &[(2, "shell-form")]);
        check("FROM scratch\nCMD [\"/x\"]\n", &[(2, "root-user")]);
        check("FROM scratch\nUSER 65532\nCMD [\"/x\"]\n", &[]);
    }

    #[test]
    fn unknown_is_never_a_pass() {
        let finding = |level| Finding::new("web", "tags", level, "");
        assert_eq!(exit(&[finding(Level::Pass), finding(Level::Skip)], true), Exit::Done);
        assert_eq!(exit(&[finding(Level::Warn)], false), Exit::Done);
        assert_eq!(exit(&[finding(Level::Warn)], true), Exit::Failed);
        assert_eq!(exit(&[finding(Level::Unknown)], false), Exit::Unfinished);
        assert_eq!(exit(&[finding(Level::Unknown), finding(Level::Fail)], false), Exit::Failed);
    }
}

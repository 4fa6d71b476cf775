//! One `cargo xtask …` line, as workflows and pages have them.

use xtask_model::shell::{Word, words};

/// The words after `cargo xtask`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(pub Vec<Word>);

/// A permission of the job's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    pub scope: &'static str,
    pub level: &'static str,
}

impl Line {
    /// Reads a line that is nothing but this one command.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = words(text)?.into_iter();
        let is = |word: Option<Word>, name: &str| {
            word.is_some_and(|word| word.expanded(|_| String::new()) == name)
        };
        if is(words.next(), "cargo") && is(words.next(), "xtask") {
            Ok(Self(words.collect()))
        } else {
            Err("it is no `cargo xtask` line".to_owned())
        }
    }

    /// The words with `value` of each variable.
    pub fn expanded(&self, value: impl Fn(&str) -> String) -> Vec<String> {
        self.0.iter().map(|word| word.expanded(&value)).collect()
    }

    /// The words with something for each variable that stands for what is checked when it is known.
    pub fn sample(&self) -> Vec<String> {
        self.expanded(|name| match name {
            "VERSION" | "GITHUB_REF_NAME" => "v1.2.3".to_owned(),
            _ => "web".to_owned(),
        })
    }

    /// The command: the first word that is no option.
    pub fn command(&self) -> String {
        self.sample().into_iter().find(|word| !word.starts_with('-')).unwrap_or_default()
    }

    pub fn has(&self, option: &str) -> bool {
        self.sample().iter().any(|word| word.split('=').next() == Some(option))
    }

    /// What the token of its job must allow.
    pub fn needs(&self) -> Vec<Need> {
        let need = |scope, level| Need { scope, level };
        let packages = |level| vec![need("packages", level)];
        match self.command().as_str() {
            "push" => packages("write"),
            "release" if self.has("--no-github-release") && !self.has("--create-tag") => {
                packages("write")
            }
            "release" => vec![need("contents", "write"), need("packages", "write")],
            "prune" => packages(if self.has("--apply") { "write" } else { "read" }),
            "verify" if !self.has("--local") => packages("read"),
            "cache" => packages("read"),
            _ if self.reads_layers() => packages("read"),
            _ => Vec::new(),
        }
    }

    /// Whether it builds, so that the layer cache is worth something to it.
    pub fn reads_layers(&self) -> bool {
        let only_shows = ["--check", "--dry-run", "--format=matrix", "--format=bake"];
        let words = self.sample();
        let builds = !words.iter().any(|word| only_shows.contains(&word.as_str()))
            && !words.windows(2).any(|pair| only_shows.contains(&&*pair.join("=")));
        match self.command().as_str() {
            "build" => builds,
            "push" | "release" => true,
            _ => false,
        }
    }

    /// Whether it compares commits, so that it needs more than the one that is checked out.
    pub fn reads_history(&self) -> bool {
        matches!(self.command().as_str(), "push" | "release") || self.has("--changed-since")
    }

    /// Whether it changes what is published.
    pub fn publishes(&self) -> bool {
        match self.command().as_str() {
            "push" | "release" => true,
            "prune" => self.has("--apply"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_publishes_is_known_by_its_command() {
        let publishes = |text: &str| Line::parse(text).unwrap().publishes();
        assert!(publishes("cargo xtask push \"$SERVICE\""));
        assert!(publishes("cargo xtask -v release v1.2.3"));
        assert!(publishes("cargo xtask prune --apply=plan.json"));
        assert!(!publishes("cargo xtask prune"));
        assert!(!publishes("cargo xtask build --channel dev"));
        assert_eq!(Line::parse("cargo build").unwrap_err(), "it is no `cargo xtask` line");
    }

    #[test]
    fn what_a_line_needs_of_the_token_is_known() {
        let needs = |text: &str| {
            let needs = Line::parse(&format!("cargo xtask {text}")).unwrap().needs();
            needs.iter().map(|need| format!("{}: {}", need.scope, need.level)).collect::<Vec<_>>()
        };
        assert_eq!(needs("push"), ["packages: write"]);
        assert_eq!(needs("release v1.2.3"), ["contents: write", "packages: write"]);
        assert_eq!(needs("release v1.2.3 --no-github-release"), ["packages: write"]);
        let tagged = needs("release v1.2.3 --no-github-release --create-tag");
        assert_eq!(tagged, ["contents: write", "packages: write"]);
        assert_eq!(needs("prune"), ["packages: read"]);
        assert_eq!(needs("prune --apply"), ["packages: write"]);
        assert_eq!(needs("build --channel pr"), ["packages: read"]);
        assert_eq!(needs("verify"), ["packages: read"]);
        for none in ["build --format matrix", "build --check", "verify --local", "test"] {
            assert_eq!(needs(none), [] as [&str; 0], "{none}");
        }
    }
}

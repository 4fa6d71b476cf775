//! One `cargo xtask …` line, as workflows and pages have them.

use crate::model::shell::{Word, words};

/// The words after `cargo xtask`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(pub Vec<Word>);

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
}

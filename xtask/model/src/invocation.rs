//! One process call as data: a plan contains it, a dry run prints it, and only `outside::process` runs it.
//! It never contains the value of a secret.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// A program, its arguments and the environment variables that are set for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invocation {
    pub program: String,
    pub arguments: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

impl Invocation {
    pub fn new<A: Into<String>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
        }
    }

    /// The same call with one more environment variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// The same call with `more` arguments after the first `position` ones.
    #[must_use]
    pub fn with_arguments_at(mut self, position: usize, more: Vec<String>) -> Self {
        let position = position.min(self.arguments.len());
        self.arguments.splice(position..position, more);
        self
    }

    /// Shell text with each option on its own line, ready to paste.
    pub fn script(&self) -> String {
        let mut text = self.head();
        for argument in &self.arguments {
            text.push_str(if argument.starts_with("--") { " \\\n  " } else { " " });
            text.push_str(&quoted(argument));
        }
        text
    }

    fn head(&self) -> String {
        let variables = self.environment.iter();
        let mut words: Vec<String> =
            variables.map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        words.push(quoted(&self.program));
        words.join(" ")
    }
}

/// Shell text on one line, ready to paste.
impl fmt::Display for Invocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.head())?;
        self.arguments.iter().try_for_each(|argument| write!(formatter, " {}", quoted(argument)))
    }
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    // A process with a NUL in an argument never starts, so this is only shown.
    shlex::try_quote(text).map_or_else(|_| format!("{text:?}"), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_quotes_and_breaks_before_options() {
        let call = Invocation::new("docker", ["build", "--label=title=it's $HOME", "--load", "."])
            .with_variable("A", "b c");
        expect_test::expect![[r#"
            A='b c' docker build \
              "--label=title=it's "'$HOME' \
              --load ."#]]
        .assert_eq(&call.script());
    }
}

//! Checked text: what every name, tag and digest has in common. It reads, prints and serializes such a type;
//! it must not know any particular grammar.

use std::fmt;

/// Why a text is not valid.
///
/// Shown as `` `Foo` is not a service name: `F` at position 1 is not a lower-case letter … ``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// What the text should be, for instance a `service name`.
    pub kind: &'static str,
    /// The text as it was given.
    pub text: String,
    /// What is wrong with it, and what was expected.
    pub problem: String,
}

impl fmt::Display for TextError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.text.escape_debug();
        write!(formatter, "`{shown}` is not a {}: {}", self.kind, self.problem)
    }
}

impl std::error::Error for TextError {}

/// Declares a text type whose values are always valid: `new`, `FromStr` and deserialization run `$check`.
macro_rules! checked_text {
    ($(#[$meta:meta])* $name:ident, $kind:literal, $check:path) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text`; the error names it and says what was expected.
            pub fn new(text: impl Into<String>) -> Result<Self, $crate::text::TextError> {
                let text = text.into();
                match $check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(problem) => {
                        Err($crate::text::TextError { kind: $kind, text, problem })
                    }
                }
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::TextError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::text::TextError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }
    };
}

pub(crate) use checked_text;

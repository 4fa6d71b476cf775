//! A whole response as a value, for stand-ins that do not stream.

use std::fs::File;

use serde::Serialize;

use super::head::Headers;

/// The content of an answer.
#[derive(Debug)]
pub enum Content {
    Bytes(Vec<u8>),
    /// The next `length` bytes of a file, from its current position.
    File {
        file: File,
        length: u64,
    },
}

/// One response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Headers,
    pub content: Content,
}

impl Answer {
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Headers::default(), content: Content::Bytes(Vec::new()) }
    }

    pub fn json(status: u16, value: &impl Serialize) -> Self {
        // Only maps with text keys are serialised here, which never fails.
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        Self::empty(status)
            .with("Content-Type", "application/json; charset=utf-8")
            .holding(Content::Bytes(bytes))
    }

    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let bytes = Content::Bytes(text.into().into_bytes());
        Self::empty(status).with("Content-Type", "text/plain; charset=utf-8").holding(bytes)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.set(name, value);
        self
    }

    #[must_use]
    pub fn holding(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    /// The length of the content in bytes.
    pub fn length(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File { length, .. } => *length,
        }
    }
}

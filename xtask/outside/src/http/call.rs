//! One HTTP request and its answer, as data.

use ureq::http::{HeaderMap, Method};

use xtask_model::token::Secret;

/// A request as data.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub authorization: Option<Secret>,
    /// `None` for a method that has no body.
    pub body: Option<Vec<u8>>,
    /// The most bytes of an answer's body that are read.
    pub limit: u64,
}

impl Call {
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        let (headers, url) = (Vec::new(), url.into());
        Self { method, url, headers, authorization: None, body: None, limit: 64 << 10 }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    pub fn authorization(mut self, header: Option<Secret>) -> Self {
        self.authorization = header;
        self
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The address that answered, after redirects.
    pub url: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[cfg(test)]
impl Answer {
    /// An answer for tests.
    pub fn of(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Self {
        let pair = |(name, value): &(&'static str, &str)| {
            (ureq::http::HeaderName::from_static(name), value.parse().unwrap())
        };
        let (headers, body) = (headers.iter().map(pair).collect(), body.as_bytes().to_vec());
        Self { status, headers, body, url: String::new() }
    }
}

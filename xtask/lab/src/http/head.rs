//! Request and response heads: reads them from a connection and writes them. Bodies are read elsewhere.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read as _};

/// A longer head is an attack or a bug; Go and nginx have similar limits.
const LONGEST_HEAD: u64 = 64 * 1024;
const MOST_HEADERS: usize = 100;

/// Header fields in their order, found without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Replaces all fields of this name with one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.0.push((name.to_owned(), value.into()));
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
    }

    /// Whether a comma-separated field such as `Connection` contains this token.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.get(name).is_some_and(|value| {
            value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
        })
    }

    /// The declared length of the body, in bytes.
    pub fn content_length(&self) -> Option<u64> {
        self.get("content-length").and_then(|value| value.trim().parse().ok())
    }

    pub fn is_chunked(&self) -> bool {
        self.has_token("transfer-encoding", "chunked")
    }

    /// Drops fields that belong to one connection and not to the message (RFC 9110, 7.6.1).
    pub fn remove_hop_by_hop(&mut self) {
        for name in [
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "expect",
        ] {
            self.remove(name);
        }
    }

    fn write(&self, head: &mut String) {
        for (name, value) in &self.0 {
            // Writing to a string cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
    }

    fn parsed(headers: &[httparse::Header<'_>]) -> Self {
        Self(
            headers
                .iter()
                .map(|header| {
                    (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())
                })
                .collect(),
        )
    }
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub method: String,
    /// Path and query as received, still encoded.
    pub target: String,
    pub headers: Headers,
    /// Whether the client keeps the connection after this exchange.
    pub persistent: bool,
}

impl RequestHead {
    /// Reads the next head; none if the peer closed the connection between two requests.
    pub fn read(source: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(bytes) = read_head(source)? else { return Ok(None) };
        let mut fields = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Request::new(&mut fields);
        parsed.parse(&bytes).map_err(malformed)?;
        let headers = Headers::parsed(parsed.headers);
        let persistent = persists(parsed.version, &headers);
        Ok(Some(Self {
            method: parsed.method.unwrap_or_default().to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
            headers,
            persistent,
        }))
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        self.headers.write(&mut head);
        head.into_bytes()
    }
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub status: u16,
    pub headers: Headers,
    /// Whether the server keeps the connection after this exchange.
    pub persistent: bool,
}

impl ResponseHead {
    /// Reads the next final head and skips any `1xx`. A connection that ends before it is an error.
    pub fn read(source: &mut impl BufRead) -> io::Result<Self> {
        loop {
            let bytes = read_head(source)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let mut fields = [httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut parsed = httparse::Response::new(&mut fields);
            parsed.parse(&bytes).map_err(malformed)?;
            let status = parsed.code.unwrap_or_default();
            if (100..200).contains(&status) {
                continue;
            }
            let headers = Headers::parsed(parsed.headers);
            return Ok(Self { status, persistent: persists(parsed.version, &headers), headers });
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        self.headers.write(&mut head);
        head.into_bytes()
    }
}

/// Reads up to and including the empty line that ends a head; none at a clean end of the stream.
fn read_head(source: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut limited = source.take(LONGEST_HEAD);
    let mut head = Vec::new();
    loop {
        let line = limited.read_until(b'\n', &mut head)?;
        if line == 0 {
            return if head.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        if head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n") {
            return Ok(Some(head));
        }
        // Ignore an empty line before a request line (RFC 9112, 2.2).
        if head == b"\r\n" {
            head.clear();
        }
    }
}

fn persists(version: Option<u8>, headers: &Headers) -> bool {
    match version {
        Some(1) => !headers.has_token("connection", "close"),
        _ => headers.has_token("connection", "keep-alive"),
    }
}

fn malformed(error: httparse::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The reason phrases used here; HTTP gives them no meaning.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_are_found_in_any_case() {
        let mut source =
            &b"\r\nGET /v2/?a=b HTTP/1.1\r\nHost: lab\r\nConnection: Keep-Alive, Close\r\n\r\nbody"
                [..];
        let head = RequestHead::read(&mut source).unwrap().unwrap();
        assert_eq!(
            (head.method.as_str(), head.target.as_str(), head.headers.get("HOST")),
            ("GET", "/v2/?a=b", Some("lab"))
        );
        assert!(!head.persistent);
        assert_eq!(source, b"body");
    }

    #[test]
    fn an_interim_response_is_passed_over() {
        let mut source =
            &b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"[..];
        let head = ResponseHead::read(&mut source).unwrap();
        assert_eq!((head.status, head.headers.content_length()), (201, Some(0)));
    }

    #[test]
    fn an_endless_head_is_refused() {
        let endless = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &vec![b'a'; 70_000]].concat();
        assert!(RequestHead::read(&mut endless.as_slice()).is_err());
    }

    #[test]
    fn a_closed_connection_is_no_request() {
        assert!(RequestHead::read(&mut &b""[..]).unwrap().is_none());
    }
}

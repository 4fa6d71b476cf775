//! A small HTTP client that shows the received bytes, to distinguish a broken answer from a short one.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An answer that is no answer for this long is a hang.
pub const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// One connection.
pub struct Client {
    incoming: BufReader<TcpStream>,
    host: String,
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

impl Client {
    /// `address` is `host:port`, with or without `http://`.
    pub fn connect(address: &str) -> Self {
        let host = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let stream = TcpStream::connect(&host).unwrap();
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        Self { incoming: BufReader::new(stream), host }
    }

    pub fn set_timeout(&self, timeout: Duration) {
        self.incoming.get_ref().set_read_timeout(Some(timeout)).unwrap();
    }

    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.incoming.get_ref().write_all(bytes)
    }

    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n",
            self.host,
            body.len()
        );
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        self.send_raw(&[head.as_bytes(), b"\r\n", body].concat())
    }

    /// Reads the answer to a request with this method. A body that ends too early is an error.
    pub fn receive(&mut self, method: &str) -> io::Result<Reply> {
        let mut status_line = String::new();
        if self.incoming.read_line(&mut status_line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.incoming.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut reply = Reply { status, headers, body: Vec::new() };
        if method == "HEAD" || status == 204 {
            return Ok(reply);
        }
        if reply.header("transfer-encoding").is_some() {
            loop {
                let mut size = String::new();
                self.incoming.read_line(&mut size)?;
                let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
                let mut chunk = vec![0; size + 2];
                self.incoming.read_exact(&mut chunk)?;
                reply.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    return Ok(reply);
                }
            }
        }
        let length: u64 = reply.header("content-length").unwrap().parse().unwrap();
        self.incoming.by_ref().take(length).read_to_end(&mut reply.body)?;
        let complete = reply.body.len() as u64 == length;
        if complete { Ok(reply) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    pub fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        self.send(method, target, headers, body)?;
        self.receive(method)
    }
}

/// One request on its own connection, which must be answered.
pub fn ask(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    Client::connect(address).ask(method, target, headers, body).unwrap()
}

/// One request to an absolute URL.
pub fn ask_url(url: &str, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    ask(host, method, &format!("/{path}"), headers, body)
}

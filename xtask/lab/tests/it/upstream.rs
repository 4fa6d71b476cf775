//! A minimal registry for tests of the wire: it accepts manifests and deletions like a distribution registry,
//! and returns blobs in each framing. Tests of images use a real registry.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The content of every blob here.
pub const BLOB: &[u8] = &[b'x'; 300_000];

/// The registry, and the heads of all requests it received.
pub struct Upstream {
    pub address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::new(Mutex::default());
        let (own, seen) = (address.clone(), Arc::clone(&heads));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (own, seen) = (own.clone(), Arc::clone(&seen));
                thread::spawn(move || while answer(stream.as_ref().unwrap(), &own, &seen) {});
            }
        });
        Self { address, heads }
    }
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Answers one request; false at the end of the connection.
fn answer(mut stream: &TcpStream, own: &str, seen: &Mutex<Vec<String>>) -> bool {
    // The front sends one request at a time on a connection, so the buffer contains nothing else.
    let mut incoming = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if incoming.read_line(&mut head).unwrap_or(0) == 0 {
            return false;
        }
    }
    let Some(length) = body_length(&head, &mut incoming) else { return false };
    seen.lock().unwrap().push(head.clone());
    let (method, target) = head.split_once(' ').unwrap();
    let target = target.split(' ').next().unwrap();
    let empty = |status: &str, more: &str| {
        format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n").into_bytes()
    };
    let answer = match method {
        // Any name works as a digest here: the last part of the path, or one made from the length.
        "PUT" => {
            let reference = target.rsplit_once('/').unwrap().1;
            let digest = if reference.starts_with("sha256:") {
                reference.to_owned()
            } else {
                format!("sha256:{length:064x}")
            };
            empty("201 Created", &format!("Docker-Content-Digest: {digest}\r\n"))
        }
        "DELETE" => empty("202 Accepted", ""),
        "POST" => empty(
            "202 Accepted",
            &format!("Location: http://{own}/v2/o/r/s/blobs/uploads/1?state=2\r\n"),
        ),
        "HEAD" => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BLOB.len()).into_bytes(),
        _ if target.ends_with("/chunked") => {
            let size = format!("{:x}\r\n", BLOB.len());
            [
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                size.as_bytes(),
                BLOB,
                b"\r\n0\r\n\r\n",
            ]
            .concat()
        }
        _ if target.ends_with("/close") => {
            [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", BLOB].concat()
        }
        _ if target.ends_with("/broken") => {
            [b"HTTP/1.1 200 OK\r\nContent-Length: 300001\r\nConnection: close\r\n\r\n", BLOB]
                .concat()
        }
        _ => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BLOB.len());
            [head.as_bytes(), BLOB].concat()
        }
    };
    stream.write_all(&answer).is_ok()
        && !answer.starts_with(b"HTTP/1.1 200 OK\r\nConnection: close")
        && !target.ends_with("/broken")
}

/// Reads the body and returns its length; none if it breaks off.
fn body_length(head: &str, incoming: &mut BufReader<&TcpStream>) -> Option<usize> {
    let field = |name: &str| {
        head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    let take = |incoming: &mut BufReader<&TcpStream>, length: usize| {
        let mut body = vec![0; length];
        incoming.read_exact(&mut body).ok().map(|()| length)
    };
    if field("transfer-encoding").is_none() {
        return take(incoming, field("content-length").map_or(0, |length| length.parse().unwrap()));
    }
    let mut whole = 0;
    loop {
        let mut size = String::new();
        incoming.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        take(incoming, size + 2)?;
        if size == 0 {
            return Some(whole);
        }
        whole += size;
    }
}

//! The real registry behind the lab: connections to it are kept open and carry one exchange at a time.

use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use crate::http::body::{BodyReader, Framing};
use crate::http::exchange::{BUFFER, Exchange};
use crate::http::head::{Headers, RequestHead, ResponseHead};
use crate::sync::lock;

const CONNECT: Duration = Duration::from_secs(5);
const MOST_IDLE: usize = 64;

/// The registry's address, and its idle connections.
#[derive(Debug)]
pub struct Registry {
    pub address: SocketAddr,
    idle: Mutex<Vec<Upstream>>,
}

impl Registry {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// An open connection: an idle one that the registry has not closed, or a new one.
    pub fn take(&self) -> io::Result<Upstream> {
        loop {
            let idle = lock(&self.idle).pop();
            match idle {
                Some(upstream) if upstream.is_open() => return Ok(upstream),
                Some(_) => {}
                None => return Upstream::connect(self.address),
            }
        }
    }

    /// Sends one request of the lab itself and returns the status of its answer.
    pub fn ask(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> io::Result<u16> {
        let mut headers = Headers::default();
        headers.set("Host", self.address.to_string());
        if !media_type.is_empty() {
            headers.set("Content-Type", media_type);
        }
        let mut head = RequestHead {
            method: method.to_owned(),
            target: path.to_owned(),
            headers,
            persistent: true,
        };
        let mut upstream = self.take()?;
        upstream.send(&mut head, body)?;
        let response = upstream.receive()?;
        upstream.body(method, &response, |_| Ok(()))?;
        if response.persistent {
            self.keep(upstream);
        }
        Ok(response.status)
    }

    /// Keeps a connection for the next exchange.
    pub fn keep(&self, upstream: Upstream) {
        let mut idle = lock(&self.idle);
        if idle.len() < MOST_IDLE {
            idle.push(upstream);
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Upstream {
    incoming: BufReader<TcpStream>,
}

impl Upstream {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT)?;
        stream.set_nodelay(true)?;
        Ok(Self { incoming: BufReader::with_capacity(64 * 1024, stream) })
    }

    fn is_open(&self) -> bool {
        let stream = self.incoming.get_ref();
        let silent = |stream: &TcpStream| {
            stream.set_nonblocking(true)?;
            let peeked = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            peeked
        };
        self.incoming.buffer().is_empty()
            && silent(stream).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request with a complete body.
    pub fn send(&mut self, head: &mut RequestHead, body: &[u8]) -> io::Result<()> {
        head.headers.set("Content-Length", body.len().to_string());
        let mut stream = self.incoming.get_ref();
        stream.write_all(&head.to_bytes())?;
        stream.write_all(body)
    }

    /// Sends a request while its body arrives from the client. Only a client's failure is an error: a
    /// registry that stops reading has answered already, and its answer says why.
    pub fn relay(&mut self, head: &mut RequestHead, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let chunked = Framing::of_request(&exchange.request.headers) == Framing::Chunked;
        if chunked {
            head.headers.remove("Content-Length");
            head.headers.set("Transfer-Encoding", "chunked");
        }
        let mut stream = self.incoming.get_ref();
        if stream.write_all(&head.to_bytes()).is_err() {
            return Ok(());
        }
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = exchange.read(&mut buffer)?;
            let content = buffer.get(..count).unwrap_or_default();
            let written = match (chunked, count) {
                (false, _) => stream.write_all(content),
                (true, 0) => stream.write_all(b"0\r\n\r\n"),
                (true, _) => stream
                    .write_all(format!("{count:x}\r\n").as_bytes())
                    .and_then(|()| stream.write_all(content))
                    .and_then(|()| stream.write_all(b"\r\n")),
            };
            if count == 0 || written.is_err() {
                return Ok(());
            }
        }
    }

    pub fn receive(&mut self) -> io::Result<ResponseHead> {
        ResponseHead::read(&mut self.incoming)
    }

    /// Passes on the body of a response, piece by piece.
    pub fn body(
        &mut self,
        method: &str,
        head: &ResponseHead,
        mut hand_over: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut body = BodyReader::new(Framing::of_response(method, head.status, &head.headers));
        if body.is_finished() {
            return Ok(());
        }
        let mut buffer = vec![0; BUFFER];
        loop {
            match body.read(&mut self.incoming, &mut buffer)? {
                0 => return Ok(()),
                count => hand_over(buffer.get(..count).unwrap_or_default())?,
            }
        }
    }
}

//! One request and its response on a connection: reads the request's body, writes the response, counts every
//! byte, and applies a fault to both (slow, truncated, lost). It does not choose the fault.

use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use super::answer::{Answer, Content};
use super::body::{BodyReader, Framing};
use super::head::{RequestHead, ResponseHead};
use crate::watch::link::{Direction, Link};
use crate::watch::traffic::Record;

/// Bytes that are copied at once: enough that system calls do not slow down a layer.
pub const BUFFER: usize = 256 * 1024;
/// Content up to this size goes out in one write with the bytes before it.
const SMALL: usize = 16 * 1024;
/// An unread request body up to this length is read and dropped to keep the connection.
const MOST_DISCARDED: usize = 256 * 1024;

/// The incoming half of a connection, which counts the bytes read from it.
#[derive(Debug)]
pub struct Incoming {
    stream: BufReader<TcpStream>,
    pub consumed: u64,
}

impl Incoming {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream: BufReader::with_capacity(64 * 1024, stream), consumed: 0 }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.consumed += count as u64;
        Ok(count)
    }
}

impl BufRead for Incoming {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stream.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.stream.consume(count);
        self.consumed += count as u64;
    }
}

/// How a fault changes an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bend {
    pub bytes_per_second: Option<u64>,
    /// Bytes of the response body that may still go out; the connection closes at the next byte.
    pub truncate_after: Option<u64>,
    pub lose_answer: bool,
}

/// One request and its response.
#[derive(Debug)]
pub struct Exchange<'c> {
    pub request: RequestHead,
    incoming: &'c mut Incoming,
    outgoing: &'c TcpStream,
    body: BodyReader,
    expects_continue: bool,
    record: Arc<Record>,
    link: &'c Link,
    pub bend: Bend,
    /// Bytes to write before the next content: the head, or the framing of a chunk.
    pending: Vec<u8>,
    /// The framing of the response, once it has begun.
    framing: Option<Framing>,
}

impl<'c> Exchange<'c> {
    pub fn new(
        request: RequestHead,
        incoming: &'c mut Incoming,
        outgoing: &'c TcpStream,
        record: Arc<Record>,
        link: &'c Link,
    ) -> Self {
        let body = BodyReader::new(Framing::of_request(&request.headers));
        let expects_continue = request.headers.has_token("expect", "100-continue");
        Self {
            request,
            incoming,
            outgoing,
            body,
            expects_continue,
            record,
            link,
            bend: Bend::default(),
            pending: Vec::new(),
            framing: None,
        }
    }

    /// Reads some of the request's body, 0 at its end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.body.is_finished() {
            return Ok(0);
        }
        if std::mem::take(&mut self.expects_continue) {
            self.transmit(b"HTTP/1.1 100 Continue\r\n\r\n", 0)?;
        }
        let most = self.piece().min(buffer.len());
        let before = self.incoming.consumed;
        let count = self.body.read(self.incoming, buffer.get_mut(..most).unwrap_or_default())?;
        let consumed = self.incoming.consumed - before;
        self.record.received(consumed, count as u64);
        self.link.pass(Direction::ToServer, consumed);
        self.pace(count);
        Ok(count)
    }

    /// The request's whole body; an error beyond `limit` bytes.
    pub fn read_to_end(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let (mut whole, mut buffer) = (Vec::new(), vec![0; 32 * 1024]);
        loop {
            let count = self.read(&mut buffer)?;
            if count == 0 {
                return Ok(whole);
            }
            whole.extend_from_slice(buffer.get(..count).unwrap_or_default());
            if whole.len() > limit {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "the request body is too long",
                ));
            }
        }
    }

    /// Begins the response. Its content follows through [`write`](Self::write), framed by its own `Content-Length`, or
    /// in chunks when it has none.
    pub fn start(&mut self, mut head: ResponseHead) -> io::Result<()> {
        if self.bend.lose_answer {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "a fault drops the answer",
            ));
        }
        let framing = match Framing::of_response(&self.request.method, head.status, &head.headers) {
            Framing::UntilClose => Framing::Chunked,
            known => known,
        };
        if framing == Framing::Chunked {
            head.headers.set("Transfer-Encoding", "chunked");
        }
        if !self.request.persistent {
            head.headers.set("Connection", "close");
        }
        self.record.answered(head.status);
        self.framing = Some(framing);
        self.pending = head.to_bytes();
        Ok(())
    }

    /// Writes the next part of the response's content.
    pub fn write(&mut self, content: &[u8]) -> io::Result<()> {
        if content.is_empty() || self.framing == Some(Framing::Length(0)) {
            return Ok(());
        }
        let (content, cut) = self.cut(content);
        let chunked = self.framing == Some(Framing::Chunked);
        if chunked && !content.is_empty() {
            write!(self.pending, "{:x}\r\n", content.len())?;
        }
        let mut pending = std::mem::take(&mut self.pending);
        if content.len() <= self.piece().min(SMALL) {
            pending.extend_from_slice(content);
            self.transmit(&pending, content.len())?;
            self.pace(content.len());
        } else {
            self.transmit(&pending, 0)?;
            for piece in content.chunks(self.piece()) {
                self.transmit(piece, piece.len())?;
                self.pace(piece.len());
            }
        }
        if cut {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "a fault truncates the body",
            ));
        }
        if chunked {
            self.pending.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// Ends the response.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.framing == Some(Framing::Chunked) {
            self.pending.extend_from_slice(b"0\r\n\r\n");
        }
        let pending = std::mem::take(&mut self.pending);
        self.transmit(&pending, 0)
    }

    /// Sends a whole response.
    pub fn send(&mut self, answer: Answer) -> io::Result<()> {
        let length = answer.length();
        let mut head =
            ResponseHead { status: answer.status, headers: answer.headers, persistent: true };
        if answer.status != 204 && answer.status != 304 {
            head.headers.set("Content-Length", length.to_string());
        }
        self.start(head)?;
        match answer.content {
            Content::Bytes(bytes) => self.write(&bytes)?,
            Content::File { file, length } if self.request.method != "HEAD" => {
                let (mut file, mut buffer) = (file.take(length), vec![0; BUFFER]);
                loop {
                    let count = file.read(&mut buffer)?;
                    if count == 0 {
                        break;
                    }
                    self.write(buffer.get(..count).unwrap_or_default())?;
                }
            }
            Content::File { .. } => {}
        }
        self.finish()
    }

    /// Reads and drops the rest of a small request body. False if there is more; then the connection cannot
    /// be used again.
    pub fn settle(&mut self) -> io::Result<bool> {
        let (mut buffer, mut discarded) = (vec![0; 32 * 1024], 0);
        // A client that waits for `100 Continue` has sent no body, and will not send one now.
        while !self.expects_continue && !self.body.is_finished() && discarded < MOST_DISCARDED {
            discarded += self.read(&mut buffer)?;
        }
        Ok(self.body.is_finished() && self.request.persistent && self.framing.is_some())
    }

    /// The part of the content that may go out, and whether the rest was cut off.
    fn cut<'b>(&mut self, content: &'b [u8]) -> (&'b [u8], bool) {
        let Some(left) = &mut self.bend.truncate_after else { return (content, false) };
        let most = usize::try_from(*left).unwrap_or(usize::MAX);
        match content.get(..most) {
            Some(allowed) if allowed.len() < content.len() => {
                *left = 0;
                (allowed, true)
            }
            _ => {
                *left -= content.len() as u64;
                (content, false)
            }
        }
    }

    /// How many bytes may move at once: those of a twentieth of a second under a slow fault.
    fn piece(&self) -> usize {
        let rate = self.bend.bytes_per_second.map_or(BUFFER as u64, |rate| (rate / 20).max(1));
        usize::try_from(rate).unwrap_or(BUFFER).min(BUFFER)
    }

    fn pace(&self, moved: usize) {
        if let Some(rate) = self.bend.bytes_per_second {
            sleep(Duration::from_micros(moved as u64 * 1_000_000 / rate.max(1)));
        }
    }

    /// Writes to the client and logs the bytes first; unwritten bytes are removed from the log again. The
    /// last `content` of the `bytes` are content.
    fn transmit(&mut self, bytes: &[u8], content: usize) -> io::Result<()> {
        self.record.sending(bytes.len() as u64, content as u64);
        self.link.pass(Direction::ToClient, bytes.len() as u64);
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.outgoing.write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.record.unsent(rest.len() as u64, rest.len().min(content) as u64);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

//! Message bodies: reads the three framings of HTTP/1.1 from any source. `exchange` writes them.

use std::io::{self, BufRead, Read as _};

use super::head::Headers;

/// How the end of a body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Framing {
    /// A request without a length has no body.
    pub fn of_request(headers: &Headers) -> Self {
        if headers.is_chunked() {
            Self::Chunked
        } else {
            Self::Length(headers.content_length().unwrap_or(0))
        }
    }

    /// A response to `HEAD`, and 204 and 304, have no body, even if their headers declare one (RFC 9112,
    /// 6.3).
    pub fn of_response(method: &str, status: u16, headers: &Headers) -> Self {
        if method == "HEAD" || status == 204 || status == 304 {
            Self::Length(0)
        } else if headers.is_chunked() {
            Self::Chunked
        } else {
            headers.content_length().map_or(Self::UntilClose, Self::Length)
        }
    }
}

/// Reads one body from a source that continues after it.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
}

#[derive(Debug)]
enum State {
    Length { left: u64 },
    ChunkSize,
    Chunk { left: u64 },
    UntilClose,
    Finished,
}

impl BodyReader {
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Finished,
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// Reads some bytes of the content, 0 at its end. A source that ends too early is an error.
    pub fn read(&mut self, source: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match &mut self.state {
                State::Finished => return Ok(0),
                State::UntilClose => {
                    let count = source.read(buffer)?;
                    if count == 0 {
                        self.state = State::Finished;
                    }
                    return Ok(count);
                }
                State::Length { left } => {
                    let count = read_some(source, buffer, left)?;
                    if *left == 0 {
                        self.state = State::Finished;
                    }
                    return Ok(count);
                }
                State::Chunk { left } => {
                    let count = read_some(source, buffer, left)?;
                    if *left == 0 {
                        read_line(source)?;
                        self.state = State::ChunkSize;
                    }
                    return Ok(count);
                }
                State::ChunkSize => {
                    let left = chunk_size(&read_line(source)?)?;
                    self.state = if left == 0 {
                        while !read_line(source)?.is_empty() {}
                        State::Finished
                    } else {
                        State::Chunk { left }
                    };
                }
            }
        }
    }
}

fn read_some(source: &mut impl BufRead, buffer: &mut [u8], left: &mut u64) -> io::Result<usize> {
    let count = source.take(*left).read(buffer)?;
    if count == 0 && !buffer.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    *left -= count as u64;
    Ok(count)
}

fn read_line(source: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if source.take(4096).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn chunk_size(line: &str) -> io::Result<u64> {
    let digits = line.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(digits, 16)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(framing: Framing, mut source: &[u8]) -> io::Result<(Vec<u8>, usize)> {
        let mut body = BodyReader::new(framing);
        let (mut content, mut buffer) = (Vec::new(), [0; 4]);
        loop {
            match body.read(&mut source, &mut buffer)? {
                0 => return Ok((content, source.len())),
                count => content.extend_from_slice(&buffer[..count]),
            }
        }
    }

    #[test]
    fn a_length_ends_the_body() {
        assert_eq!(content(Framing::Length(6), b"abcdefGET").unwrap(), (b"abcdef".to_vec(), 3));
    }

    #[test]
    fn chunks_are_joined_and_trailers_passed_over() {
        let source = b"5;x=y\r\nabcde\r\n1\r\nf\r\n0\r\nTrailer: t\r\n\r\nGET";
        assert_eq!(content(Framing::Chunked, source).unwrap(), (b"abcdef".to_vec(), 3));
    }

    #[test]
    fn a_body_cut_short_is_an_error() {
        assert!(content(Framing::Length(6), b"abc").is_err());
        assert!(content(Framing::Chunked, b"5\r\nab").is_err());
        assert_eq!(content(Framing::UntilClose, b"abc").unwrap(), (b"abc".to_vec(), 0));
    }
}

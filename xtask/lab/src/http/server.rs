//! The server: accepts connections, reads requests one after another, logs them, and applies faults. The
//! service answers the requests.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context as _, Result};
use socket2::SockRef;

use super::answer::Answer;
use super::exchange::{Exchange, Incoming};
use super::head::RequestHead;
use crate::watch::Watch;
use crate::watch::fault::Action;
use crate::watch::link::Direction;
use crate::watch::traffic::Record;

/// How long to wait, after closing a connection, for the peer to close its side.
const LINGER: Duration = Duration::from_secs(2);

/// How a server handles requests.
pub trait Service: Send + Sync + 'static {
    /// The log and the faults of this server.
    fn watch(&self) -> &Watch;

    /// The name of this request in the log; none for the lab's control requests, which are not logged and get
    /// no faults.
    fn kind(&self, request: &RequestHead) -> Option<&'static str>;

    /// Answers one request. An error closes the connection.
    fn serve(&self, exchange: &mut Exchange<'_>) -> io::Result<()>;

    /// An injected error in the protocol's own form.
    fn error(&self, request: &RequestHead, status: u16) -> Answer;
}

/// Listens on an address; port 0 means any free port.
pub fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).with_context(|| {
        format!("could not listen on `{address}`\n\nhint: stop the program that uses this port, or choose another port with its flag")
    })
}

/// Serves on its own threads until the process ends.
pub fn spawn(listener: TcpListener, service: Arc<impl Service>) {
    thread::spawn(move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    let service = Arc::clone(&service);
                    // The client reports a broken connection.
                    thread::spawn(move || converse(&stream, service.as_ref()));
                }
                // Too many open files, or the peer left before it was accepted: continue soon.
                Err(_) => sleep(Duration::from_millis(10)),
            }
        }
    });
}

/// The first byte of a TLS connection (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;
/// An engine tries TLS first, and falls back when a server answers in plain text, as Go's does.
const NO_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nThis is an HTTP server.\n";

fn converse(stream: &TcpStream, service: &impl Service) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut incoming = Incoming::new(stream.try_clone()?);
    if incoming.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
        let mut outgoing = stream;
        return outgoing.write_all(NO_TLS);
    }
    loop {
        let before = incoming.consumed;
        let Some(request) = RequestHead::read(&mut incoming)? else { return Ok(()) };
        let head = incoming.consumed - before;
        let (method, target) = (request.method.clone(), request.target.clone());
        let watch = service.watch();
        let under_way =
            service.kind(&request).map(|kind| watch.traffic.begin(&method, &target, kind));
        let struck = under_way.as_ref().and_then(|_| watch.faults.strike(&method, &target));
        let record = under_way.as_ref().map_or_else(
            || Arc::new(Record::new(&method, &target, "control")),
            |begun| Arc::clone(&begun.record),
        );
        record.received(head, 0);
        watch.link.pass(Direction::ToServer, head);
        if let Some(action) = &struck {
            record.struck(action.name());
        }
        let mut exchange = Exchange::new(request, &mut incoming, stream, record, &watch.link);
        match answer(service, &mut exchange, struck) {
            Ok(Next::Request) => {}
            Ok(Next::Reset) => return SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            Ok(Next::Hang) => return wait_for_the_end(&mut incoming),
            Ok(Next::Close) | Err(_) => {
                stream.shutdown(Shutdown::Write)?;
                stream.set_read_timeout(Some(LINGER))?;
                return wait_for_the_end(&mut incoming);
            }
        }
    }
}

/// The state of the connection after an exchange.
enum Next {
    Request,
    Close,
    Reset,
    Hang,
}

fn answer(
    service: &impl Service,
    exchange: &mut Exchange<'_>,
    struck: Option<Action>,
) -> io::Result<Next> {
    let status = match struck {
        Some(Action::Drop) => return Ok(Next::Close),
        Some(Action::Reset) => return Ok(Next::Reset),
        Some(Action::Hang) => return Ok(Next::Hang),
        Some(Action::Status { code, retry_after }) => Some((code, retry_after)),
        Some(Action::Denied) => Some((403, None)),
        Some(Action::Delay { milliseconds }) => {
            service.watch().faults.pause(Duration::from_millis(milliseconds));
            None
        }
        bent => {
            bend(exchange, bent.as_ref());
            None
        }
    };
    if let Some((status, retry_after)) = status {
        let mut answer = service.error(&exchange.request, status);
        if let Some(seconds) = retry_after {
            answer = answer.with("Retry-After", seconds.to_string());
        }
        exchange.send(answer)?;
    } else {
        service.serve(exchange)?;
    }
    Ok(if exchange.settle()? { Next::Request } else { Next::Close })
}

fn bend(exchange: &mut Exchange<'_>, action: Option<&Action>) {
    match action {
        Some(Action::Slow { bytes_per_second }) => {
            exchange.bend.bytes_per_second = Some(*bytes_per_second);
        }
        Some(Action::Truncate { after }) => exchange.bend.truncate_after = Some(*after),
        Some(Action::LoseAnswer) => exchange.bend.lose_answer = true,
        _ => {}
    }
}

/// Reads and drops everything: closing while the peer still sends would reset the connection.
fn wait_for_the_end(incoming: &mut Incoming) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    while incoming.read(&mut buffer)? > 0 {}
    Ok(())
}

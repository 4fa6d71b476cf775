//! One HTTP request and its answer: bounded in time and in bytes, counted, redirected without taking
//! credentials along, and given up at once when the user interrupts. It knows nothing of registries.

use std::io::Read;
use std::net::IpAddr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, Method, Request, Uri};

use super::error::{RegistryError, Result, malformed};
use super::ledger::Ledger;
use crate::interrupt;
use xtask_model::token::Secret;

/// How often a waiting caller looks for an interrupt.
const GLANCE: Duration = Duration::from_millis(25);
/// How many redirects one request may take.
const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);

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

/// Connections that are kept and shared by all threads.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    /// For this machine itself: never through a proxy.
    near: ureq::Agent,
    /// For all others: through the proxy of the environment, where there is one.
    far: ureq::Agent,
    ledger: std::sync::Arc<Ledger>,
}

impl Wire {
    pub fn new(ledger: std::sync::Arc<Ledger>) -> Self {
        let settings = || {
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .max_idle_connections_per_host(16)
                .timeout_connect(Some(CONNECT))
                .user_agent(concat!("xtask/", env!("CARGO_PKG_VERSION")))
        };
        let near = settings().proxy(None).build().new_agent();
        Self { near, far: settings().build().new_agent(), ledger }
    }

    /// Sends `call` and follows redirects of reading methods. The whole takes until `deadline` at
    /// most.
    pub fn exchange(&self, mut call: Call, deadline: Instant) -> Result<Answer> {
        for _ in 0..=REDIRECTS {
            let answer = self.one(call.clone(), deadline)?;
            let reading = matches!(call.method, Method::GET | Method::HEAD);
            let location = match answer.status {
                301 | 302 | 303 | 307 | 308 if reading => answer.header("location"),
                _ => return Ok(answer),
            };
            let location = location.ok_or_else(|| malformed("a redirect to nowhere"))?;
            let next = joined(&call.url, location)?;
            if !same_authority(&call.url, &next) {
                // Blob stores get a signed address; the registry's token is none of their business.
                call.authorization = None;
            }
            if call.url.starts_with("https:") && !next.starts_with("https:") {
                return Err(malformed("a redirect from https to http"));
            }
            call.url = next;
        }
        Err(malformed(format!("more than {REDIRECTS} redirects")))
    }

    fn one(&self, call: Call, deadline: Instant) -> Result<Answer> {
        let wire = self.clone();
        within(deadline, move |left| wire.send(&call, left))?
    }

    /// Sends one request on this thread.
    fn send(&self, call: &Call, left: Duration) -> Result<Answer> {
        let count = self.ledger.begin();
        let answer = self.transfer(call, left);
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let bytes = answer.as_ref().map_or(0, |answer| answer.body.len());
        self.ledger.end(count, call.method.as_str(), &call.url, status, bytes);
        answer
    }

    fn transfer(&self, call: &Call, left: Duration) -> Result<Answer> {
        let mut request = Request::builder().method(call.method.clone()).uri(&call.url);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some(secret) = &call.authorization {
            request = request.header("authorization", secret.reveal());
        }
        let agent = if is_loopback(&call.url) { &self.near } else { &self.far };
        let wrong = |_| malformed("an address or a header that cannot be sent");
        // An empty body is sent with its length, no body without one.
        let answered = if let Some(body) = call.body.clone() {
            let request = request.body(body).map_err(wrong)?;
            agent.run(agent.configure_request(request).timeout_global(Some(left)).build())
        } else {
            let request = request.body(()).map_err(wrong)?;
            agent.run(agent.configure_request(request).timeout_global(Some(left)).build())
        };
        let (head, body) = answered.map_err(|error| of_transport(error, left))?.into_parts();
        let body = whole(body.into_reader(), call.limit, left)?;
        let (status, url) = (head.status.as_u16(), call.url.clone());
        Ok(Answer { status, headers: head.headers, body, url })
    }
}

/// All of a body, if it has at most `limit` bytes.
fn whole(reader: impl Read, limit: u64, left: Duration) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    let read = reader.take(limit.saturating_add(1)).read_to_end(&mut body);
    if let Err(error) = read {
        return Err(match error.downcast::<ureq::Error>() {
            Ok(error) => of_transport(error, left),
            Err(error) => RegistryError::Unreachable {
                detail: format!("the connection broke after {} bytes: {error}", body.len()),
            },
        });
    }
    if u64::try_from(body.len()).is_ok_and(|length| length <= limit) {
        Ok(body)
    } else {
        Err(malformed(format!("more than {limit} bytes")))
    }
}

fn of_transport(error: ureq::Error, left: Duration) -> RegistryError {
    match error {
        ureq::Error::Timeout(_) => RegistryError::TimedOut { after: left },
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            RegistryError::TimedOut { after: left }
        }
        ureq::Error::Io(error) => RegistryError::Unreachable { detail: error.to_string() },
        ureq::Error::HostNotFound => {
            RegistryError::Unreachable { detail: "its name has no address".to_owned() }
        }
        // The text of these would repeat the address with its query.
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => malformed("an address that is none"),
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => malformed(error),
        error => RegistryError::Unreachable { detail: error.to_string() },
    }
}

/// Runs `work` on a thread of its own and waits for it until `deadline`, or until the user
/// interrupts. What is given up ends by itself, with its own time limit.
pub(crate) fn within<T: Send + 'static>(
    deadline: Instant,
    work: impl FnOnce(Duration) -> T + Send + 'static,
) -> Result<T> {
    let start = Instant::now();
    let left = deadline.saturating_duration_since(start);
    if interrupt::wanted() {
        return Err(RegistryError::Interrupted);
    }
    if left.is_zero() {
        return Err(RegistryError::TimedOut { after: left });
    }
    let broken = |_| RegistryError::Unreachable { detail: "cannot start a thread".to_owned() };
    let (sender, receiver) = channel();
    // The receiver is gone when the caller gave up, and then nobody wants the answer.
    let run = move || drop(sender.send(work(left)));
    std::thread::Builder::new().name("exchange".to_owned()).spawn(run).map_err(broken)?;
    loop {
        match receiver.recv_timeout(GLANCE.min(deadline.saturating_duration_since(Instant::now())))
        {
            Ok(done) => return Ok(done),
            Err(RecvTimeoutError::Disconnected) => return Err(malformed("the request broke off")),
            Err(RecvTimeoutError::Timeout) if interrupt::wanted() => {
                return Err(RegistryError::Interrupted);
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                return Err(RegistryError::TimedOut { after: start.elapsed() });
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Whether a host (with or without a port) is this machine.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(inside) => inside.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_loopback(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        uri.authority().is_some_and(|authority| is_loopback_host(authority.as_str()))
    })
}

/// Whether two addresses have the same scheme, host and port.
pub(crate) fn same_authority(one: &str, other: &str) -> bool {
    let origin = |url: &str| {
        let uri = url.parse::<Uri>().ok()?;
        Some((uri.scheme_str()?.to_owned(), uri.authority()?.as_str().to_ascii_lowercase()))
    };
    origin(one).is_some_and(|one| origin(other) == Some(one))
}

/// `location` as seen from `base`: absolute, from the root, or beside it.
pub(crate) fn joined(base: &str, location: &str) -> Result<String> {
    let wrong = || malformed("a location that is no address");
    let uri = base.parse::<Uri>().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong());
    };
    let next = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    next.parse::<Uri>().map_err(|_| wrong()).map(|_| next)
}

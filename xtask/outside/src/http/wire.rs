//! Sends HTTP requests: limits their time and bytes, counts them, follows redirects without credentials, and
//! stops at once when the user interrupts. It knows nothing of registries.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use ureq::http::{Method, Request};

use super::address::{is_loopback, joined, same_authority};
use super::call::{Answer, Call};
use crate::interrupt;
use xtask_model::remote::{RemoteError, Result};

/// How often a waiting caller looks for an interrupt.
const GLANCE: Duration = Duration::from_millis(25);
/// How many redirects one request may take.
const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);

/// Connections that are kept and shared by all threads.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    /// For loopback: never through a proxy.
    near: ureq::Agent,
    /// For all other hosts: through the proxy of the environment, if it names one.
    far: ureq::Agent,
    /// How many requests were sent.
    sent: Arc<AtomicU64>,
}

impl Wire {
    pub fn new(sent: Arc<AtomicU64>) -> Self {
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
        Self { near, far: settings().build().new_agent(), sent }
    }

    /// Sends `call` and follows redirects of reading methods. It ends at `deadline` at the latest.
    pub fn exchange(&self, mut call: Call, deadline: Instant) -> Result<Answer> {
        for _ in 0..=REDIRECTS {
            let answer = self.one(call.clone(), deadline)?;
            let reading = matches!(call.method, Method::GET | Method::HEAD);
            let location = match answer.status {
                301 | 302 | 303 | 307 | 308 if reading => answer.header("location"),
                _ => return Ok(answer),
            };
            let location =
                location.ok_or_else(|| RemoteError::malformed("a redirect without a location"))?;
            let next = joined(&call.url, location)?;
            if !same_authority(&call.url, &next) {
                // A blob store gets a signed address, and must not see the registry's token.
                call.authorization = None;
            }
            if call.url.starts_with("https:") && !next.starts_with("https:") {
                return Err(RemoteError::malformed("a redirect from https to http"));
            }
            call.url = next;
        }
        Err(RemoteError::malformed(format!("more than {REDIRECTS} redirects")))
    }

    fn one(&self, call: Call, deadline: Instant) -> Result<Answer> {
        let wire = self.clone();
        within(deadline, move |left| wire.send(&call, left))?
    }

    /// Sends one request on this thread.
    fn send(&self, call: &Call, left: Duration) -> Result<Answer> {
        self.sent.fetch_add(1, Ordering::SeqCst);
        let mut request = Request::builder().method(call.method.clone()).uri(&call.url);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some(secret) = &call.authorization {
            request = request.header("authorization", secret.reveal());
        }
        let agent = if is_loopback(&call.url) { &self.near } else { &self.far };
        let wrong = |_| RemoteError::malformed("an address or a header that cannot be sent");
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
            Err(error) => RemoteError::Unreachable {
                detail: format!("the connection broke after {} bytes: {error}", body.len()),
            },
        });
    }
    if u64::try_from(body.len()).is_ok_and(|length| length <= limit) {
        Ok(body)
    } else {
        Err(RemoteError::malformed(format!("more than {limit} bytes")))
    }
}

fn of_transport(error: ureq::Error, left: Duration) -> RemoteError {
    match error {
        ureq::Error::Timeout(_) => RemoteError::TimedOut { after: left },
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            RemoteError::TimedOut { after: left }
        }
        ureq::Error::Io(error) => RemoteError::Unreachable { detail: error.to_string() },
        ureq::Error::HostNotFound => {
            RemoteError::Unreachable { detail: "its name has no address".to_owned() }
        }
        // The text of these would repeat the address with its query.
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            RemoteError::malformed("not a valid address")
        }
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            RemoteError::malformed(error)
        }
        error => RemoteError::Unreachable { detail: error.to_string() },
    }
}

/// Runs `work` on its own thread and waits for it until `deadline`, or until the user interrupts. Abandoned
/// work ends by itself, because it has a time limit too.
pub(crate) fn within<T: Send + 'static>(
    deadline: Instant,
    work: impl FnOnce(Duration) -> T + Send + 'static,
) -> Result<T> {
    let start = Instant::now();
    let left = deadline.saturating_duration_since(start);
    if interrupt::wanted() {
        return Err(RemoteError::Interrupted);
    }
    if left.is_zero() {
        return Err(RemoteError::TimedOut { after: left });
    }
    let broken = |_| RemoteError::Unreachable { detail: "cannot start a thread".to_owned() };
    let (sender, receiver) = channel();
    // The receiver is gone if the caller gave up.
    let run = move || drop(sender.send(work(left)));
    std::thread::Builder::new().name("exchange".to_owned()).spawn(run).map_err(broken)?;
    loop {
        match receiver.recv_timeout(GLANCE.min(deadline.saturating_duration_since(Instant::now())))
        {
            Ok(done) => return Ok(done),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(RemoteError::malformed("the request broke off"));
            }
            Err(RecvTimeoutError::Timeout) if interrupt::wanted() => {
                return Err(RemoteError::Interrupted);
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                return Err(RemoteError::TimedOut { after: start.elapsed() });
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

//! The HTTP client: connections and counts that all clones share, and how long each operation may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use xtask_model::remote::Result;

use super::call::{Answer, Call};
use super::wire::Wire;

/// Sends requests. Clones share connections and counts.
#[derive(Debug, Clone)]
pub struct Http {
    wire: Wire,
    /// How many requests were sent.
    sent: Arc<AtomicU64>,
    /// The most time that one operation takes, with its redirects and its token.
    limit: Duration,
    /// The end of everything that this clone does.
    until: Option<Instant>,
}

impl Http {
    /// A client each of whose operations takes `limit` at most.
    pub fn new(limit: Duration) -> Self {
        let sent = Arc::new(AtomicU64::new(0));
        Self { wire: Wire::new(Arc::clone(&sent)), sent, limit, until: None }
    }

    /// The same client, whose operations all together end after `limit`.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        let until = Instant::now() + limit;
        let until = self.until.map_or(until, |earlier| earlier.min(until));
        Self { until: Some(until), ..self.clone() }
    }

    /// When an operation that begins now must end.
    pub(crate) fn deadline(&self) -> Instant {
        let limit = Instant::now() + self.limit;
        self.until.map_or(limit, |until| until.min(limit))
    }

    /// Sends `call` with no credentials but its own.
    pub(crate) fn send(&self, call: Call) -> Result<Answer> {
        self.send_until(call, self.deadline())
    }

    /// The same, as a part of an operation that ends at `deadline`.
    pub(crate) fn send_until(&self, call: Call, deadline: Instant) -> Result<Answer> {
        self.wire.exchange(call, deadline)
    }

    /// How many requests were sent so far, redirects and tokens included.
    pub fn requests(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new(Duration::from_secs(30))
    }
}

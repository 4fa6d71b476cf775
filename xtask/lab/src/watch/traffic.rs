//! The log of a server's traffic: every exchange since the last reset, with its bytes, and the sums over it.
//!
//! Bytes are logged before they are written to the client: after a response, its bytes are in the log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

use serde::Serialize;

use crate::clock;
use crate::sync::lock;

/// One exchange, updated while it happens.
#[derive(Debug)]
pub struct Record {
    method: String,
    target: String,
    kind: &'static str,
    started: u64,
    status: OnceLock<u16>,
    fault: OnceLock<&'static str>,
    bytes: Bytes<AtomicU64>,
}

/// Bytes on the wire, and bytes of the bodies alone, without heads and chunk framing.
#[derive(Debug, Default, Clone, Copy, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "these are the names in the JSON, where nothing else gives the unit"
)]
pub struct Bytes<N> {
    pub request_bytes: N,
    pub request_body_bytes: N,
    pub response_bytes: N,
    pub response_body_bytes: N,
}

impl Record {
    pub fn new(method: &str, target: &str, kind: &'static str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            kind,
            started: clock::milliseconds(),
            status: OnceLock::new(),
            fault: OnceLock::new(),
            bytes: Bytes::default(),
        }
    }

    pub fn answered(&self, status: u16) {
        let _ = self.status.set(status);
    }

    pub fn struck(&self, fault: &'static str) {
        let _ = self.fault.set(fault);
    }

    pub fn received(&self, wire: u64, body: u64) {
        self.bytes.request_bytes.fetch_add(wire, Relaxed);
        self.bytes.request_body_bytes.fetch_add(body, Relaxed);
    }

    pub fn sending(&self, wire: u64, body: u64) {
        self.bytes.response_bytes.fetch_add(wire, Relaxed);
        self.bytes.response_body_bytes.fetch_add(body, Relaxed);
    }

    /// Removes unwritten bytes.
    pub fn unsent(&self, wire: u64, body: u64) {
        self.bytes.response_bytes.fetch_sub(wire, Relaxed);
        self.bytes.response_body_bytes.fetch_sub(body, Relaxed);
    }

    fn bytes(&self) -> Bytes<u64> {
        Bytes {
            request_bytes: self.bytes.request_bytes.load(Relaxed),
            request_body_bytes: self.bytes.request_body_bytes.load(Relaxed),
            response_bytes: self.bytes.response_bytes.load(Relaxed),
            response_body_bytes: self.bytes.response_body_bytes.load(Relaxed),
        }
    }
}

/// One exchange in the list.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// From 1, in the order the requests arrived.
    number: usize,
    /// Milliseconds since 1970.
    started: u64,
    method: String,
    /// Path and query.
    path: String,
    kind: &'static str,
    /// None while unanswered, and after a drop, a reset or a hang.
    status: Option<u16>,
    fault: Option<&'static str>,
    #[serde(flatten)]
    bytes: Bytes<u64>,
}

/// Sums over exchanges.
#[derive(Debug, Default, Serialize)]
pub struct Sum {
    requests: u64,
    #[serde(flatten)]
    bytes: Bytes<u64>,
}

impl Sum {
    fn add(&mut self, bytes: Bytes<u64>) {
        self.requests += 1;
        self.bytes.request_bytes += bytes.request_bytes;
        self.bytes.request_body_bytes += bytes.request_body_bytes;
        self.bytes.response_bytes += bytes.response_bytes;
        self.bytes.response_body_bytes += bytes.response_body_bytes;
    }
}

#[derive(Debug, Serialize)]
struct Group {
    method: String,
    kind: &'static str,
    /// The largest number of these that were in progress at once.
    at_once: usize,
    #[serde(flatten)]
    sum: Sum,
}

/// The sums since the last reset: in total, and for each method and kind.
#[derive(Debug, Serialize)]
pub struct Counters {
    #[serde(flatten)]
    total: Sum,
    by: Vec<Group>,
}

/// The log. One lock protects the order of arrival; each exchange has its own figures.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    records: Vec<Arc<Record>>,
    /// For each method and kind: the number in progress, and the largest number so far.
    under_way: BTreeMap<(String, &'static str), (usize, usize)>,
}

/// An exchange that is under way until it is dropped.
#[derive(Debug)]
pub struct UnderWay<'t> {
    pub record: Arc<Record>,
    traffic: &'t Traffic,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut log = lock(&self.traffic.0);
        if let Some((now, _)) =
            log.under_way.get_mut(&(self.record.method.clone(), self.record.kind))
        {
            *now = now.saturating_sub(1);
        }
    }
}

impl Traffic {
    /// Enters a request as it arrives.
    pub fn begin(&self, method: &str, target: &str, kind: &'static str) -> UnderWay<'_> {
        let record = Arc::new(Record::new(method, target, kind));
        let mut log = lock(&self.0);
        let (now, most) = log.under_way.entry((method.to_owned(), kind)).or_default();
        *now += 1;
        *most = (*most).max(*now);
        log.records.push(Arc::clone(&record));
        UnderWay { record, traffic: self }
    }

    /// Deletes all entries, even those under way.
    pub fn reset(&self) {
        let mut log = lock(&self.0);
        log.records.clear();
        for (now, most) in log.under_way.values_mut() {
            *most = *now;
        }
    }

    pub fn list(&self) -> Vec<Listed> {
        let listed = |(index, record): (usize, &Arc<Record>)| Listed {
            number: index + 1,
            started: record.started,
            method: record.method.clone(),
            path: record.target.clone(),
            kind: record.kind,
            status: record.status.get().copied(),
            fault: record.fault.get().copied(),
            bytes: record.bytes(),
        };
        lock(&self.0).records.iter().enumerate().map(listed).collect()
    }

    pub fn counters(&self) -> Counters {
        let log = lock(&self.0);
        let mut total = Sum::default();
        let mut groups = BTreeMap::<(&str, &'static str), Sum>::new();
        for record in &log.records {
            total.add(record.bytes());
            groups.entry((&record.method, record.kind)).or_default().add(record.bytes());
        }
        let by = groups.into_iter().map(|((method, kind), sum)| {
            let at_once =
                log.under_way.get(&(method.to_owned(), kind)).map_or(0, |(_, most)| *most);
            Group { method: method.to_owned(), kind, at_once, sum }
        });
        Counters { total, by: by.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_match_the_list_and_reset_with_it() {
        let traffic = Traffic::default();
        for (method, body) in [("GET", 10), ("PUT", 20), ("GET", 30)] {
            let exchange = traffic.begin(method, "/v2/a/blobs/b", "blob");
            exchange.record.received(100 + body, body);
            exchange.record.sending(50, 5);
            exchange.record.unsent(5, 5);
        }
        let counters = serde_json::to_value(traffic.counters()).unwrap();
        assert_eq!(
            (&counters["requests"], &counters["request_body_bytes"]),
            (&3.into(), &60.into())
        );
        assert_eq!(
            (&counters["response_bytes"], &counters["response_body_bytes"]),
            (&135.into(), &0.into())
        );
        assert_eq!(counters["by"][0]["request_bytes"], 240);
        traffic.reset();
        assert!(traffic.list().is_empty());
    }

    #[test]
    fn the_most_at_once_is_kept() {
        let traffic = Traffic::default();
        {
            let _held = [(); 3].map(|()| traffic.begin("GET", "/", "manifest"));
        }
        drop(traffic.begin("GET", "/", "manifest"));
        assert_eq!(serde_json::to_value(traffic.counters()).unwrap()["by"][0]["at_once"], 3);
    }
}

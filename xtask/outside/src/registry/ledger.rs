//! What was asked of registries: how many requests, and on wish each of them. Query strings are left
//! out, because blob stores and token services put secrets there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// One request of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    pub method: String,
    /// The address without its query.
    pub path: String,
    /// `None` when there was no answer.
    pub status: Option<u16>,
    /// Bytes of the answer's body.
    pub bytes: usize,
}

/// Counts requests, and keeps them where a record is wanted.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    requests: AtomicU64,
    log: Option<Mutex<BTreeMap<u64, Exchange>>>,
}

impl Ledger {
    pub fn new(logged: bool) -> Self {
        Self { requests: AtomicU64::new(0), log: logged.then(Mutex::default) }
    }

    /// The number of the request that begins now.
    pub fn begin(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::SeqCst)
    }

    pub fn end(&self, number: u64, method: &str, url: &str, status: Option<u16>, bytes: usize) {
        if let Some(log) = &self.log {
            let path = url.split('?').next().unwrap_or_default().to_owned();
            let exchange = Exchange { method: method.to_owned(), path, status, bytes };
            log.lock().unwrap_or_else(PoisonError::into_inner).insert(number, exchange);
        }
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// The requests that ended, in the order in which they began.
    pub fn log(&self) -> Vec<Exchange> {
        let log = self.log.as_ref();
        log.map(|log| log.lock().unwrap_or_else(PoisonError::into_inner))
            .map(|log| log.values().cloned().collect())
            .unwrap_or_default()
    }
}

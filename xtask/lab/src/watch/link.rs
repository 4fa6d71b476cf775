//! A link of a certain rate between the clients and a server: a token bucket for each direction, shared by
//! all connections, like `tbf` in the kernel. It needs no kernel module and no privilege, and slows nothing
//! else.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Bytes that may pass at once after a pause.
const BURST: f64 = 64.0 * 1024.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// The link. It has no limit until a rate is set.
#[derive(Debug, Default)]
pub struct Link {
    /// Bytes per second in each direction; 0 for no limit.
    rate: AtomicU64,
    to_server: Bucket,
    to_client: Bucket,
}

/// The time until which a direction is busy.
#[derive(Debug, Default)]
struct Bucket(Mutex<Option<Instant>>);

impl Link {
    /// Sets the rate in bytes per second, for each direction; none for no limit.
    pub fn set(&self, bytes_per_second: Option<u64>) {
        self.rate.store(bytes_per_second.unwrap_or(0), Ordering::Relaxed);
    }

    pub fn bytes_per_second(&self) -> Option<u64> {
        Some(self.rate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    /// Waits until the bytes have passed.
    pub fn pass(&self, direction: Direction, bytes: u64) {
        let Some(rate) = self.bytes_per_second() else { return };
        let bucket = match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        };
        sleep(bucket.take(bytes, rate, Instant::now()));
    }
}

impl Bucket {
    /// How long after `now` the bytes have passed.
    #[expect(clippy::cast_precision_loss, reason = "rates and counts are far below 2^52")]
    fn take(&self, bytes: u64, rate: u64, now: Instant) -> Duration {
        let seconds = |bytes: f64| Duration::from_secs_f64(bytes / rate as f64);
        let earliest = now.checked_sub(seconds(BURST)).unwrap_or(now);
        let mut taken = lock(&self.0);
        let until = taken.map_or(earliest, |taken| taken.max(earliest)) + seconds(bytes as f64);
        *taken = Some(until);
        until.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_queue_and_a_burst_passes_after_idling() {
        let (bucket, start) = (Bucket::default(), Instant::now());
        let check = |bytes, later: u64, expected: u32| {
            let waits = bucket.take(bytes, 1024, start + Duration::from_secs(later));
            let off = (waits.as_secs_f64() - f64::from(expected)).abs();
            assert!(off < 0.001, "{bytes} bytes at {later} s: {waits:?}");
        };
        check(64 * 1024, 0, 0);
        check(10 * 1024, 0, 10);
        check(5 * 1024, 0, 15);
        check(1024, 10, 6);
        // 84 seconds later the bucket is full again.
        check(65 * 1024, 100, 1);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let link = Link::default();
        assert_eq!(link.bytes_per_second(), None);
        link.pass(Direction::ToClient, u64::MAX);
        link.set(Some(7));
        assert_eq!(link.bytes_per_second(), Some(7));
        link.set(None);
        assert_eq!(link.bytes_per_second(), None);
    }
}

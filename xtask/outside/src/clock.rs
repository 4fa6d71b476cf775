//! The clock. Plans get the time as a fact; only effects read it here.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::interrupt;

/// Seconds since 1970-01-01T00:00:00Z.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A number from 0 to 1. Two machines are unlikely to share it, which spreads their retries.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn chance() -> f64 {
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.subsec_nanos());
    let mixed = nanoseconds.wrapping_mul(2_654_435_761) ^ std::process::id();
    f64::from(mixed) / f64::from(u32::MAX)
}

/// Waits for `duration`, or fails at once when the user interrupts.
#[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps")]
pub fn sleep(duration: Duration) -> Result<()> {
    let end = Instant::now() + duration;
    loop {
        interrupt::check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

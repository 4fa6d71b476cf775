//! How often something is tried, and how long to wait in between.

use std::time::Duration;

/// Rules for further attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all.
    pub attempts: u32,
    /// The most time before the second attempt; it doubles with each further one.
    pub first_wait: Duration,
    /// The longest that all waits may take. Before a longer one that is asked for, another attempt would only
    /// fail.
    pub longest_wait: Duration,
}

/// The rules for all registries, GitHub and builds.
pub const POLICY: RetryPolicy = RetryPolicy {
    attempts: 4,
    first_wait: Duration::from_millis(500),
    longest_wait: Duration::from_secs(120),
};

impl RetryPolicy {
    /// The wait after `done` attempts; `None` where no other may follow. `chance`, from 0 to 1, spreads
    /// clients that failed together; `asked` is the wait that the answer asks for.
    pub fn wait(&self, done: u32, chance: f64, asked: Option<Duration>) -> Option<Duration> {
        if done >= self.attempts {
            return None;
        }
        if let Some(asked) = asked {
            return (asked <= self.longest_wait).then_some(asked);
        }
        let most = self.first_wait * 2_u32.saturating_pow(done.saturating_sub(1));
        // At least half of it, so that the other side has time to recover.
        Some(most.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_until_the_last_attempt() {
        let waits = [1, 2, 3, 4].map(|done| POLICY.wait(done, 1.0, None).map(|w| w.as_millis()));
        assert_eq!(waits, [Some(500), Some(1000), Some(2000), None]);
        assert_eq!(POLICY.wait(1, 0.0, None), Some(Duration::from_millis(250)));
    }

    #[test]
    fn a_requested_wait_is_kept_unless_too_long() {
        let seven = Duration::from_secs(7);
        assert_eq!(POLICY.wait(1, 0.5, Some(seven)), Some(seven));
        assert_eq!(POLICY.wait(1, 0.5, Some(POLICY.longest_wait + seven)), None);
        assert_eq!(POLICY.wait(4, 0.5, Some(seven)), None);
    }
}

//! Sends a request again that may succeed later. No other file retries; `model::retry` defines the attempts
//! and waits.

use std::time::Duration;

use xtask_model::remote::{RemoteError, Result};
use xtask_model::retry::{POLICY, RetryPolicy};

use super::clock;

/// An attempt that failed and is followed by another one.
#[derive(Debug)]
pub struct FailedAttempt<'e> {
    pub error: &'e RemoteError,
    /// The number of the next attempt, from 2.
    pub next: u32,
    /// The most attempts.
    pub attempts: u32,
    /// The wait before it.
    pub wait: Duration,
}

/// Calls until it succeeds or no further attempt is worth it; returns the last error unchanged.
pub fn retry<T>(call: impl FnMut() -> Result<T>) -> Result<T> {
    retry_reported(call, |_| ())
}

/// The same, and `report` gets each attempt that is followed by another one.
pub fn retry_reported<T>(
    call: impl FnMut() -> Result<T>,
    report: impl FnMut(FailedAttempt<'_>),
) -> Result<T> {
    retry_by(&POLICY, call, report)
}

fn retry_by<T>(
    policy: &RetryPolicy,
    mut call: impl FnMut() -> Result<T>,
    mut report: impl FnMut(FailedAttempt<'_>),
) -> Result<T> {
    let (mut done, mut waited) = (0, Duration::ZERO);
    loop {
        let error = match call() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        done += 1;
        let wait = policy.wait(done, clock::chance(), error.asked_to_wait());
        let in_time = |wait: &Duration| waited + *wait <= policy.longest_wait;
        let wait = wait.filter(in_time).filter(|_| error.may_pass());
        let Some(wait) = wait else { return Err(error) };
        report(FailedAttempt { error: &error, next: done + 1, attempts: policy.attempts, wait });
        waited += wait;
        clock::sleep(wait).map_err(|_| RemoteError::Interrupted)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passing_errors_are_retried() {
        let policy = RetryPolicy { attempts: 3, first_wait: Duration::ZERO, ..POLICY };
        let broken = RemoteError::Server { status: 502, message: String::new() };
        for (errors, expected, calls) in [
            (vec![broken.clone()], Ok(()), 2),
            (vec![broken.clone(); 9], Err(broken), 3),
            (vec![RemoteError::NotFound], Err(RemoteError::NotFound), 1),
            (vec![RemoteError::Interrupted], Err(RemoteError::Interrupted), 1),
        ] {
            let (mut errors, mut called) = (errors.into_iter(), 0);
            let call = || {
                called += 1;
                errors.next().map_or(Ok(()), Err)
            };
            let mut reported = 0;
            let ended = retry_by(&policy, call, |_| reported += 1);
            assert_eq!((ended, called), (expected, calls));
            assert_eq!(reported, calls - 1);
        }
    }
}

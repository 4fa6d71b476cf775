//! Trying again what may pass: how often, and after which waits, is decided by `plan::retry` and given
//! here as data.

use std::time::Duration;

use super::clock;
use super::registry::{RegistryError, Result};

/// How often something is tried, and the wait before each attempt after the first.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub attempts: u32,
    /// Of the number of the next attempt, a chance from 0 to 1, and the wait that was asked for; `None` when
    /// that is too long.
    pub wait: fn(u32, f64, Option<Duration>) -> Option<Duration>,
}

impl Patience {
    /// The wait after `done` attempts; `None` when there is no next one.
    pub fn after(&self, done: u32, asked: Option<Duration>) -> Option<Duration> {
        if done < self.attempts { (self.wait)(done + 1, clock::chance(), asked) } else { None }
    }

    /// Does one thing at a registry, and tries again what is worth it.
    pub fn with<T>(&self, call: impl FnMut() -> Result<T>) -> Result<T> {
        self.telling(call, |_, _, _| ())
    }

    /// The same, and `told` hears of each error that is worth another attempt, of that attempt's number
    /// and of the wait before it.
    pub fn telling<T>(
        &self,
        mut call: impl FnMut() -> Result<T>,
        told: impl Fn(&RegistryError, u32, Duration),
    ) -> Result<T> {
        let mut done = 0;
        loop {
            let error = match call() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            done += 1;
            let again = Some(error.asked_to_wait()).filter(|_| error.may_pass());
            let Some(wait) = again.and_then(|asked| self.after(done, asked)) else {
                return Err(error);
            };
            told(&error, done + 1, wait);
            clock::sleep(wait).map_err(|_| RegistryError::Interrupted)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_nothing_else() {
        let patience = Patience { attempts: 3, wait: |_, _, _| Some(Duration::ZERO) };
        let broken = RegistryError::Server { status: 502, message: String::new() };
        for (errors, expected, calls) in [
            (vec![broken.clone()], Ok(()), 2),
            (vec![broken.clone(); 9], Err(broken), 3),
            (vec![RegistryError::NotFound], Err(RegistryError::NotFound), 1),
            (vec![RegistryError::Interrupted], Err(RegistryError::Interrupted), 1),
        ] {
            let (mut errors, mut called) = (errors.into_iter(), 0);
            let ended = patience.with(|| {
                called += 1;
                errors.next().map_or(Ok(()), Err)
            });
            assert_eq!((ended, called), (expected, calls));
        }
    }
}

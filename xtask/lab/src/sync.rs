//! Locks that survive a panic: a panic in one connection's thread must not take the whole lab down.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, even if the last holder panicked.
#[expect(clippy::disallowed_methods, reason = "this is the place they point to")]
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Parallel work with a limit: reads must not flood a registry, and builds share one machine.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many reads run at the same time.
pub const AT_ONCE: usize = 16;

/// Calls `read` for each item; the results are in the order of the items.
pub fn each<I: Sync, T: Send>(items: &[I], read: impl Fn(&I) -> T + Sync) -> Vec<T> {
    at_once(items, AT_ONCE, read)
}

/// The same with a different limit.
pub fn at_once<I: Sync, T: Send>(
    items: &[I],
    limit: usize,
    read: impl Fn(&I) -> T + Sync,
) -> Vec<T> {
    let slots: Vec<Mutex<Option<T>>> = items.iter().map(|_| Mutex::new(None)).collect();
    work_through(items.len(), limit, &|position| {
        if let (Some(item), Some(slot)) = (items.get(position), slots.get(position)) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(read(item));
        }
    });
    let results = slots.into_iter().map(Mutex::into_inner);
    results.filter_map(|result| result.unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Does `work` for each number below `count`. It is not generic, so that the threads compile only once.
fn work_through(count: usize, limit: usize, work: &(dyn Fn(usize) + Sync)) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..count.min(limit) {
            scope.spawn(|| {
                loop {
                    let position = next.fetch_add(1, Ordering::SeqCst);
                    if position >= count {
                        break;
                    }
                    work(position);
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_run_at_once_and_keep_their_order() {
        // Sixteen readers wait for each other, so they must run at the same time.
        let together = std::sync::Barrier::new(AT_ONCE);
        let items: Vec<usize> = (0..AT_ONCE * 4).collect();
        let doubled = each(&items, |item| {
            together.wait();
            item * 2
        });
        assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(each(&[] as &[u8], |item| *item), Vec::<u8>::new());
    }
}

//! Many things at once, with a limit: reads of a registry are not to flood it, and builds share one
//! machine.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many reads run at the same time.
pub const AT_ONCE: usize = 16;

/// What `read` makes of each item, in the order of the items.
pub fn each<I: Sync, T: Send>(items: &[I], read: impl Fn(&I) -> T + Sync) -> Vec<T> {
    at_once(items, AT_ONCE, read)
}

/// The same with another limit.
pub fn at_once<I: Sync, T: Send>(
    items: &[I],
    limit: usize,
    read: impl Fn(&I) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..items.len().min(limit) {
            scope.spawn(|| {
                while let Some((position, item)) = taken(items, &next) {
                    let result = read(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((position, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(position, _)| *position);
    done.into_iter().map(|(_, result)| result).collect()
}

fn taken<'a, I>(items: &'a [I], next: &AtomicUsize) -> Option<(usize, &'a I)> {
    let position = next.fetch_add(1, Ordering::SeqCst);
    items.get(position).map(|item| (position, item))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_and_sixteen_run_at_once() {
        // Sixteen readers that wait for each other only end if they run at the same time.
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

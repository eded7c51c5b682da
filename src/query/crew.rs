//! Tasks shared out among threads: the calling task works along, and nobody waits for a thread that did
//! not come to it.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// Runs `tasks` on up to `threads` threads; gives their results in the order of the tasks. Dropped, it
/// stops the threads.
///
/// # Errors
/// Where a task panics.
pub async fn each<T, F>(tasks: Vec<F>, threads: usize) -> Result<Vec<T>>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut all = Vec::with_capacity(tasks.len());
    each_then(tasks, threads, |result| all.push(result)).await?;
    Ok(all)
}

/// As [`each`]; calls `then` with each result in the order of the tasks, between two tasks of the calling
/// one: while it works on what is there, other threads make more.
///
/// # Errors
/// Where a task panics.
async fn each_then<T, F>(tasks: Vec<F>, threads: usize, mut then: impl FnMut(T)) -> Result<()>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let wanted = tasks.len();
    let queue: VecDeque<(usize, F)> = tasks.into_iter().enumerate().collect();
    let queue = Arc::new(Mutex::new(queue));
    let (done, mut results) = mpsc::unbounded_channel();
    let helpers = threads.min(wanted).saturating_sub(1);
    let helpers = (0..helpers).map(|_| tokio::spawn(work(Arc::clone(&queue), done.clone())));
    let helpers = Helpers(helpers.collect());
    drop(done);
    if !helpers.0.is_empty() {
        // The task that a thread of tokio spawned last waits for that thread, and no other can take it.
        // One behind it that does nothing makes the helper free.
        tokio::spawn(std::future::ready(()));
    }
    let mut early: BTreeMap<usize, T> = BTreeMap::new();
    let mut next = 0;
    while next < wanted {
        if let Some(result) = early.remove(&next) {
            then(result);
            next += 1;
        } else if let Ok((place, result)) = results.try_recv() {
            early.insert(place, result);
        } else if let Some((place, task)) = pop(&queue) {
            early.insert(place, task.await);
        } else {
            let stopped = || Error::internal("a task stopped");
            let (place, result) = results.recv().await.ok_or_else(stopped)?;
            early.insert(place, result);
        }
    }
    Ok(())
}

/// What `f` makes of each of `items`, in their order, on up to `threads` threads.
///
/// # Errors
/// Where `f` panics.
pub async fn map<I, T, F>(items: Vec<I>, threads: usize, f: F) -> Result<Vec<T>>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Fn(I) -> T + Send + Sync + 'static,
{
    let mut all = Vec::with_capacity(items.len());
    map_then(items, threads, f, |result| all.push(result)).await?;
    Ok(all)
}

/// As [`map`]; calls `then` with what `f` makes of each of `items`, in their order, while other threads make
/// more.
///
/// # Errors
/// Where `f` panics.
pub async fn map_then<I, T, F>(
    items: Vec<I>,
    threads: usize,
    f: F,
    then: impl FnMut(T),
) -> Result<()>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Fn(I) -> T + Send + Sync + 'static,
{
    let f = Arc::new(f);
    let tasks = items.into_iter().map(|item| {
        let f = Arc::clone(&f);
        async move { f(item) }
    });
    each_then(tasks.collect(), threads, then).await
}

/// Drops `value`, which is made of a great many parts, on a thread that nobody waits for.
pub fn drop_later<T: Send + 'static>(value: T) {
    drop(tokio::task::spawn_blocking(move || drop(value)));
}

type Queue<F> = Arc<Mutex<VecDeque<(usize, F)>>>;

fn pop<F>(queue: &Queue<F>) -> Option<(usize, F)> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Takes one task after the other until there is none.
async fn work<T, F: Future<Output = T>>(queue: Queue<F>, done: mpsc::UnboundedSender<(usize, T)>) {
    while let Some((place, task)) = pop(&queue) {
        let result = task.await;
        // Whoever waited may have given up.
        let _nobody_waits = done.send((place, result));
    }
}

/// Threads that are stopped when nobody waits for them any more.
struct Helpers(Vec<JoinHandle<()>>);

impl Drop for Helpers {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    /// Whether somebody else does the same before ten seconds are over; never gives up its thread.
    fn meets(there: &AtomicUsize, wanted: usize) -> bool {
        there.fetch_add(1, Ordering::SeqCst);
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(10) {
            if there.load(Ordering::SeqCst) >= wanted {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn tasks_that_wait_for_nothing_run_at_the_same_time() {
        let there = Arc::new(AtomicUsize::new(0));
        let tasks = (0..2).map(|_| {
            let there = Arc::clone(&there);
            async move { meets(&there, 2) }
        });
        // On a thread of the runtime, as all of the program is.
        let all = tokio::spawn(each(tasks.collect::<Vec<_>>(), 2)).await.expect("it is done");
        assert_eq!(all.expect("no task panics"), [true, true]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn results_come_in_the_order_of_the_tasks() {
        for threads in [1, 2, 5, 40] {
            let tasks = (0..20_u32).map(|n| async move {
                for _ in 0..n % 3 {
                    tokio::task::yield_now().await;
                }
                n
            });
            let results = each(tasks.collect(), threads).await.expect("no task panics");
            assert_eq!(results, (0..20).collect::<Vec<_>>());
            let mut seen = Vec::new();
            let twice = |n: u32| 2 * n;
            let mapped = map_then((0..20).collect(), threads, twice, |n| seen.push(n)).await;
            mapped.expect("nothing panics");
            assert_eq!(seen, (0..20).map(twice).collect::<Vec<_>>());
        }
        let none: Vec<std::future::Ready<u32>> = Vec::new();
        let none = each(none, 2).await.expect("nothing panics");
        assert!(none.is_empty());
    }
}

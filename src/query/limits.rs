//! How much of the machine a session may use.

use std::num::NonZeroUsize;

/// Threads and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Threads that work at the same time.
    pub threads: NonZeroUsize,
    /// Bytes that sorts, aggregates and joins may hold before they spill or fail.
    pub memory_bytes: usize,
}

impl Limits {
    /// Two gigabytes: enough for every segment of the peer workload, a fraction of a laptop.
    pub const MEMORY_DEFAULT: usize = 2 << 30;

    /// The same memory and one thread: rows then keep the order of their files.
    #[must_use]
    pub const fn alone(self) -> Self {
        Self { threads: NonZeroUsize::MIN, ..self }
    }

    /// `threads` threads and the default memory.
    pub const fn with_threads(threads: NonZeroUsize) -> Self {
        Self { threads, memory_bytes: Self::MEMORY_DEFAULT }
    }
}

//! Rows that did not fit, and how far a read has come: what every reader reports beside its batches.
//!
//! Ingest makes one [`Rejects`] and one [`Progress`] a run and hands them to each read. Nothing here
//! writes a file.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest raw record that a reject keeps, in bytes: enough to recognise a row by.
const TEXT_BYTES_MAX: usize = 1024;
/// The most distinct reasons that are told apart; the rest counts as [`OTHER_REASONS`].
const REASONS_MAX: usize = 10_000;
/// The reason under which rejects count once [`REASONS_MAX`] are known.
const OTHER_REASONS: &str = "other reasons";

/// A record that is no row of the table, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The file, as the user would name it.
    pub file: String,
    /// The record's first line, or its row number in a Parquet file; both from 1.
    pub line: u64,
    /// What was wrong with it.
    pub reason: String,
    /// The raw record, cut to 1 KiB; bytes that are no UTF-8 became U+FFFD.
    pub text: String,
}

impl Reject {
    /// The reject of a raw record.
    pub(super) fn of_record(file: &str, line: u64, reason: String, record: &[u8]) -> Self {
        let kept = &record[..record.len().min(TEXT_BYTES_MAX)];
        let text = String::from_utf8_lossy(kept).trim_end_matches(['\r', '\n']).to_owned();
        Self { file: file.to_owned(), line, reason, text }
    }

    /// The reason without the value it quotes, so that equal faults count together.
    fn reason_class(&self) -> String {
        let fault = self.reason.rsplit_once("; declare types").map_or(&*self.reason, |it| it.0);
        match (fault.find(": \""), fault.rfind("\" ")) {
            (Some(from), Some(to)) if from < to => {
                format!("{}: a value {}", &fault[..from], &fault[to + 2..])
            }
            _ => self.reason.clone(),
        }
    }
}

/// The rejects of a run: all are counted, the first of them are kept. Any thread may push.
///
/// ```
/// use throng::source::{Reject, Rejects};
/// let rejects = Rejects::new(1);
/// for line in 1..=3 {
///     let reason = "expected 2 fields, found 3".to_owned();
///     rejects.push(Reject { file: "a.csv".to_owned(), line, reason, text: "x,y,z".to_owned() });
/// }
/// assert_eq!(rejects.total(), 3);
/// assert_eq!(rejects.take_kept().len(), 1);
/// assert_eq!(rejects.by_reason(), [("expected 2 fields, found 3".to_owned(), 3)]);
/// ```
#[derive(Debug)]
pub struct Rejects {
    rows_max_kept: usize,
    total: AtomicU64,
    inner: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    rows: Vec<Reject>,
    reasons: BTreeMap<String, u64>,
}

impl Rejects {
    /// How many rejects [`Rejects::default`] keeps: at 1 KiB of text at most 100 MiB.
    pub const ROWS_MAX_KEPT: usize = 100_000;

    /// No rejects yet; at most `rows_max_kept` will be kept.
    pub fn new(rows_max_kept: usize) -> Self {
        Self { rows_max_kept, total: AtomicU64::new(0), inner: Mutex::default() }
    }

    /// Counts a reject, and keeps it while there is room.
    pub fn push(&self, reject: Reject) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let class = reject.reason_class();
        let mut inner = self.lock();
        let known = inner.reasons.len() < REASONS_MAX || inner.reasons.contains_key(&class);
        let class = if known { class } else { OTHER_REASONS.to_owned() };
        *inner.reasons.entry(class).or_default() += 1;
        if inner.rows.len() < self.rows_max_kept {
            inner.rows.push(reject);
        }
    }

    /// How many records were rejected, kept or not.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// How many records were rejected for each reason, the commonest first, then by name. The
    /// value that a reason quotes is left out, so that like faults count together.
    pub fn by_reason(&self) -> Vec<(String, u64)> {
        let mut reasons: Vec<_> =
            self.lock().reasons.iter().map(|(reason, rows)| (reason.clone(), *rows)).collect();
        reasons.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        reasons
    }

    /// Hands over the kept rejects, in the order they came, and keeps none.
    pub fn take_kept(&self) -> Vec<Reject> {
        std::mem::take(&mut self.lock().rows)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Default for Rejects {
    fn default() -> Self {
        Self::new(Self::ROWS_MAX_KEPT)
    }
}

/// How far a read has come; any thread may look.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Rows handed out so far, rejects not among them.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes of the files read so far, compressed as they lie: they end at the sum of the sizes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// `rows` more were handed out.
    pub(super) fn add_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// `bytes` more were read.
    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_without_a_value_stay_whole() {
        for reason in ["expected 2 fields, found 3", "invalid UTF-8 in field \"a\"; it may be x"] {
            let rejects = Rejects::new(0);
            rejects.push(Reject::of_record("a.csv", 1, reason.to_owned(), b""));
            assert_eq!(rejects.by_reason(), [(reason.to_owned(), 1)]);
        }
    }

    #[test]
    fn like_faults_count_together() {
        let rejects = Rejects::new(10);
        for value in ["abc", "x\" is y"] {
            let reason = format!("column \"n\": \"{value}\" is no integer; declare types: n text");
            rejects.push(Reject::of_record("a.csv", 1, reason, b"abc\r\n"));
        }
        assert_eq!(rejects.by_reason(), [("column \"n\": a value is no integer".to_owned(), 2)]);
        assert_eq!(rejects.take_kept()[0].text, "abc");
        assert!(rejects.take_kept().is_empty());
        assert_eq!(rejects.total(), 2);
    }
}

//! Runs of equal event names: where in a file of events each event lies.
//!
//! Files of events are sorted by event, so a name is one stretch of rows. The writer notes the
//! stretches in the footer, and a pass that needs purchases reads the rows of purchases without
//! decoding the column of names. A file without the note is read all the same.

use arrow::array::{Array as _, AsArray as _, RecordBatch, StringArray};
use parquet::file::metadata::{KeyValue, ParquetMetaData};

use crate::model::tables;

/// The footer's key: a JSON list of `[name, rows]`, in the order of the file.
const KEY: &str = "throng.events";

/// More runs than this are not worth a note: the file is not sorted, or has a name a row.
const RUNS_MAX: usize = 1_024;

/// Rows of a row group that have the same event name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The name.
    pub event: String,
    /// The rows, from the start of the row group.
    pub rows: std::ops::Range<usize>,
}

/// The runs of a column of names.
pub(super) fn of_column(events: &StringArray) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for row in 0..events.len() {
        let event = events.value(row);
        match runs.last_mut() {
            Some(run) if run.event == event => run.rows.end = row + 1,
            _ => runs.push(Run { event: event.to_owned(), rows: row..row + 1 }),
        }
    }
    runs
}

/// The note for a file with the rows of `batches`, where they have a column of names.
pub(super) fn note(batches: &[RecordBatch]) -> Option<KeyValue> {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for batch in batches {
        let events = batch.column_by_name(tables::EVENT)?.as_string_opt::<i32>()?;
        if events.null_count() > 0 {
            return None;
        }
        for run in of_column(events) {
            match runs.last_mut() {
                Some((event, rows)) if *event == run.event => *rows += run.rows.len(),
                _ => runs.push((run.event, run.rows.len())),
            }
        }
        if runs.len() > RUNS_MAX {
            return None;
        }
    }
    Some(KeyValue::new(KEY.to_owned(), serde_json::to_string(&runs).ok()))
}

/// The runs of each row group, where the footer notes them.
pub(super) fn of_footer(metadata: &ParquetMetaData) -> Option<Vec<Vec<Run>>> {
    let notes = metadata.file_metadata().key_value_metadata()?;
    let text = notes.iter().find(|n| n.key == KEY)?.value.as_deref()?;
    let runs: Vec<(String, usize)> = serde_json::from_str(text).ok()?;
    let mut runs = runs.into_iter();
    let mut open: Option<(String, usize)> = None;
    let mut groups = Vec::new();
    for group in metadata.row_groups() {
        let rows = usize::try_from(group.num_rows()).ok()?;
        let mut own = Vec::new();
        let mut at = 0;
        while at < rows {
            let (event, left) = open.take().or_else(|| runs.next())?;
            let taken = left.min(rows - at);
            own.push(Run { event: event.clone(), rows: at..at + taken });
            at += taken;
            open = (left > taken).then_some((event, left - taken));
        }
        groups.push(own);
    }
    // A note that speaks of other rows than there are is no note.
    (open.is_none() && runs.next().is_none()).then_some(groups)
}

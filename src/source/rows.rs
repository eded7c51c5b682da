//! Rows of text formats on their way into record batches: a row is added to every column or to
//! none.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{Int32Type, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::column::Column;
use super::guess::Rules;
use super::rejects::{Progress, Reject, Rejects};
use super::table::Plan;
use crate::error::{Error, Result};

/// A batch ends early once its records have so many bytes, far below the 2 GiB of an Arrow string
/// array.
const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where a read's batches go to and what it reports: shared by the files of one read.
#[derive(Clone)]
pub(super) struct Output {
    /// The columns that are wanted, by their place in the table's schema; origin columns follow
    /// the user's.
    pub(super) projection: Vec<usize>,
    /// The schema of the batches.
    pub(super) schema: SchemaRef,
    /// The most rows of a batch.
    pub(super) batch_rows: usize,
    pub(super) rejects: Arc<Rejects>,
    pub(super) progress: Arc<Progress>,
}

/// The rows of one file since the last batch.
pub(super) struct Rows {
    columns: Vec<Column>,
    /// Whether a column is wanted; the others are checked and dropped, since a row must be a row
    /// or a reject whichever columns are asked for.
    wanted: Vec<bool>,
    lines: Vec<i64>,
    bytes: usize,
    shown: String,
    output: Output,
}

impl Rows {
    pub(super) fn new(plan: &Plan, shown: &str, output: Output) -> Result<Self> {
        let columns = plan
            .columns
            .iter()
            .map(|column| Column::new(&column.name, &column.data_type, column.reading))
            .collect::<Result<Vec<_>>>()?;
        let wanted = (0..columns.len()).map(|at| output.projection.contains(&at)).collect();
        Ok(Self { columns, wanted, lines: Vec::new(), bytes: 0, shown: shown.to_owned(), output })
    }

    /// The column at this place, or nothing where no value can be wrong and none is wanted; the
    /// row then has its value.
    pub(super) fn column(&mut self, at: usize) -> Option<&mut Column> {
        let column = &mut self.columns[at];
        if self.wanted[at] || !column.is_text() {
            return Some(column);
        }
        column.push_null();
        None
    }

    /// Whether the row that is being added has a value in this column.
    pub(super) fn is_set(&self, at: usize) -> bool {
        self.columns[at].len() > if self.wanted[at] { self.lines.len() } else { 0 }
    }

    /// Adds a field of text to the column at this place.
    ///
    /// # Errors
    /// The reason why it does not fit.
    pub(super) fn push_text(
        &mut self,
        at: usize,
        field: &[u8],
        rules: &Rules,
    ) -> Result<(), String> {
        self.column(at).map_or(Ok(()), |column| column.push_text(field, rules))
    }

    /// Ends the row that began on `line`: keeps it, columns that got no value being null, or takes
    /// it back and reports why.
    pub(super) fn end_row(&mut self, line: u64, raw: &[u8], fitted: Result<(), String>) {
        let rows = self.lines.len();
        match fitted {
            Ok(()) => {
                for (column, wanted) in self.columns.iter_mut().zip(&self.wanted) {
                    if !wanted {
                        column.truncate(0);
                    } else if column.len() == rows {
                        column.push_null();
                    }
                }
                self.lines.push(i64::try_from(line).unwrap_or(i64::MAX));
                self.bytes += raw.len();
            }
            Err(reason) => {
                for (column, wanted) in self.columns.iter_mut().zip(&self.wanted) {
                    column.truncate(if *wanted { rows } else { 0 });
                }
                self.output.rejects.push(Reject::of_record(&self.shown, line, reason, raw));
            }
        }
    }

    /// Whether the batch is full.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= self.output.batch_rows || self.bytes >= TEXT_BYTES_MAX
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Hands over the rows as a batch and starts again with none.
    pub(super) fn finish(&mut self) -> Result<RecordBatch> {
        let lines = std::mem::take(&mut self.lines);
        self.bytes = 0;
        let rows = lines.len();
        let mut arrays: Vec<Option<ArrayRef>> = Vec::with_capacity(self.columns.len());
        for (column, wanted) in self.columns.iter_mut().zip(&self.wanted) {
            arrays.push(if *wanted { Some(column.finish()?) } else { None });
        }
        let lines: ArrayRef = Arc::new(Int64Array::from(lines));
        self.output.progress.add_rows(rows);
        let (shown, output) = (&self.shown, &self.output);
        batch_of(output, rows, |at| match at.checked_sub(arrays.len()) {
            None => arrays[at].clone(),
            Some(0) => Some(file_array(shown, rows)),
            Some(_) => Some(Arc::clone(&lines)),
        })
    }
}

/// The batch of the arrays that `array_at` gives for places in the table's schema.
pub(super) fn batch_of(
    output: &Output,
    rows: usize,
    array_at: impl Fn(usize) -> Option<ArrayRef>,
) -> Result<RecordBatch> {
    let arrays: Option<Vec<ArrayRef>> = output.projection.iter().map(|&at| array_at(at)).collect();
    let arrays = arrays.ok_or_else(|| Error::internal("a wanted column was not read"))?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(&output.schema), arrays, &options).map_err(
        |cause| {
            Error::internal(format!("a batch does not fit its schema: {cause}")).with_cause(cause)
        },
    )
}

/// The file's name for every row.
pub(super) fn file_array(shown: &str, rows: usize) -> ArrayRef {
    let keys = Int32Array::from(vec![0; rows]);
    let values = Arc::new(StringArray::from(vec![shown]));
    Arc::new(DictionaryArray::<Int32Type>::new(keys, values))
}

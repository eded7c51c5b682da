//! The order of rows in a file, and the folders of files.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};

use crate::error::{Error, Result};
use crate::model::{ShardId, TableName, tables};
use crate::store::FileLayout;

/// Rows in a file, at most: what two threads sort and encode at once then stays within some hundred
/// megabytes.
pub(super) const FILE_ROWS_MAX: usize = 1 << 20;

/// A month: years times twelve, and the month from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Month(i32);

impl Month {
    /// The month that day `day` after 1970-01-01 is in (H. Hinnant, `civil_from_days`).
    pub(super) fn of_day(day: i64) -> Self {
        let z = day + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 2 } else { mp - 10 };
        let year = yoe + era * 400 + i64::from(month <= 1);
        Self(i32::try_from(year * 12 + month).unwrap_or(i32::MAX))
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

/// The folder of a shard's files.
pub(super) fn shard_folder(shard: ShardId) -> String {
    format!("shard-{:05}", shard.0)
}

/// The folder of a shard's events of one month.
pub(super) fn month_folder(shard: ShardId, month: Month) -> String {
    format!("shard-{:05}/{month}", shard.0)
}

/// `batch`, rows of `table`, in the order that scans want. Rows that compare equal stay in the order
/// they have, so that the same rows give the same file.
pub(super) fn sorted(batch: &RecordBatch, table: TableName) -> Result<RecordBatch> {
    if FileLayout::of(table).sorted_by.is_empty() {
        return Ok(batch.clone());
    }
    let order = match (table, packed_event_keys(batch)) {
        (TableName::Events, Some(mut keys)) => {
            keys.sort_unstable();
            let rows = keys.into_iter().map(|key| (key & ROW_MASK) as u32);
            UInt32Array::from_iter_values(rows)
        }
        _ => lexical_order(batch, FileLayout::of(table).sorted_by)?,
    };
    take_record_batch(batch, &order).map_err(|e| Error::internal(format!("sorting: {e}")))
}

fn lexical_order(batch: &RecordBatch, names: &[&str]) -> Result<UInt32Array> {
    let mut columns = names
        .iter()
        .filter_map(|name| batch.column_by_name(name))
        .map(|values| SortColumn { values: Arc::clone(values), options: None })
        .collect::<Vec<_>>();
    let rows = u32::try_from(batch.num_rows())
        .map_err(|_| Error::internal("a file of more than 2^32 rows"))?;
    let row = UInt32Array::from_iter_values(0..rows);
    columns.push(SortColumn { values: Arc::new(row), options: None });
    lexsort_to_indices(&columns, None).map_err(|e| Error::internal(format!("sorting: {e}")))
}

const ROW_BITS: u32 = 31;
const MOMENT_BITS: u32 = 42;
const ID_BITS: u32 = 31;
const EVENT_BITS: u32 = 24;
const ROW_MASK: u128 = (1 << ROW_BITS) - 1;

/// One number a row that sorts as (event, profile, moment, row): the event's rank among the names,
/// the id, the moment since the earliest, the row. Sorting plain numbers is several times faster
/// than comparing columns. Nothing where they do not fit: moments of more than 50 days, or a column
/// that is missing.
fn packed_event_keys(batch: &RecordBatch) -> Option<Vec<u128>> {
    let events = batch.column_by_name(tables::EVENT)?.as_string_opt::<i32>()?;
    let ids = batch.column_by_name(tables::PROFILE_ID)?.as_primitive_opt::<Int32Type>()?;
    let moments = batch.column_by_name(tables::TS)?;
    let moments = moments.as_primitive_opt::<TimestampMicrosecondType>()?;
    let first = moments.values().iter().min()?;
    let last = moments.values().iter().max()?;
    let fits = last.checked_sub(*first)? < 1 << MOMENT_BITS
        && batch.num_rows() < 1 << ROW_BITS
        && events.null_count() + ids.null_count() + moments.null_count() == 0;
    if !fits {
        return None;
    }
    let mut ranks: BTreeMap<&str, u32> = events.iter().flatten().map(|e| (e, 0)).collect();
    if ranks.len() >= 1 << EVENT_BITS {
        return None;
    }
    ranks.values_mut().zip(0..).for_each(|(rank, place)| *rank = place);
    let mut keys = Vec::with_capacity(batch.num_rows());
    let mut known = ("", ranks.get("").copied().unwrap_or(0));
    for row in 0..batch.num_rows() {
        let event = events.value(row);
        if event != known.0 {
            known = (event, *ranks.get(event)?);
        }
        let id = u128::try_from(ids.value(row)).ok()?;
        let moment = u128::try_from(moments.value(row) - first).ok()?;
        keys.push(
            (u128::from(known.1) << (ID_BITS + MOMENT_BITS + ROW_BITS))
                | (id << (MOMENT_BITS + ROW_BITS))
                | (moment << ROW_BITS)
                | row as u128,
        );
    }
    Some(keys)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int32Array, StringArray, TimestampMicrosecondArray};
    use chrono::{Datelike as _, NaiveDate};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn months_agree_with_the_calendar() {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
        for day in (-30_000..90_000).step_by(7) {
            let date = epoch + chrono::TimeDelta::days(day);
            let month = Month::of_day(day);
            assert_eq!(month.to_string(), format!("{:04}-{:02}", date.year(), date.month()));
        }
    }

    fn batch(rows: &[(String, i32, i64)]) -> RecordBatch {
        let events: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.0)));
        let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| r.1)));
        let moments = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.2));
        let moments: ArrayRef = Arc::new(moments.with_timezone("UTC"));
        RecordBatch::try_from_iter([
            (tables::EVENT, events),
            (tables::PROFILE_ID, ids),
            (tables::TS, moments),
        ])
        .expect("a batch")
    }

    proptest! {
        /// The packed keys are the plain lexical order.
        #[test]
        fn packed_keys_sort_as_columns_do(
            rows in prop::collection::vec(("[a-cé]{0,2}", 0..5_i32, -9..9_i64), 1..60),
        ) {
            let batch = batch(&rows);
            let plain = lexical_order(&batch, FileLayout::of(TableName::Events).sorted_by);
            let plain = take_record_batch(&batch, &plain.expect("sorts")).expect("taken");
            prop_assert_eq!(sorted(&batch, TableName::Events).expect("sorts"), plain);
        }
    }
}

//! Event rows as record batches, and a month of them as a file.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int32Type, Schema, SchemaRef};

use super::calendar::Month;
use super::catalogue::Catalogue;
use super::columns::{ids, many_words, many_words_type, moment_type, numbers, words, words_type};
use super::file::Output;
use super::sessions::Row;
use super::words::{CAMPAIGNS, CATEGORIES, CHANNELS, EVENTS};
use super::{Progress, Shop};
use crate::error::{Error, Result};

/// The number of the first event; high, as in a system that has run for a while.
const FIRST_ID: i64 = 500_000_000_000;
/// Digits and places of an amount.
const AMOUNT: (u8, i8) = (12, 2);

/// The columns of events.
pub(super) fn schema() -> SchemaRef {
    let amount = DataType::Decimal128(AMOUNT.0, AMOUNT.1);
    Arc::new(Schema::new(vec![
        Field::new("event_id", DataType::Int64, false),
        Field::new("user_id", DataType::Utf8, false),
        Field::new("ts", moment_type(), false),
        Field::new("event", words_type(), false),
        Field::new("channel", words_type(), false),
        Field::new("category", words_type(), true),
        Field::new("product_id", DataType::Int32, true),
        Field::new("amount", amount, true),
        Field::new("quantity", DataType::Int32, true),
        Field::new("session_id", DataType::Utf8, true),
        Field::new("campaign", words_type(), true),
        Field::new("url_path", many_words_type(), true),
    ]))
}

static PATHS: LazyLock<Arc<StringArray>> =
    LazyLock::new(|| Arc::new(StringArray::from_iter_values(Catalogue::paths())));

impl Shop {
    /// Writes a month of events to `events_YYYY-MM.parquet` in `folder`, day by day; returns the
    /// file's size in bytes.
    pub(super) fn write_month(
        &self,
        month: &Month,
        folder: &Path,
        progress: &Progress<'_>,
    ) -> Result<(std::path::PathBuf, u64)> {
        let path = folder.join(format!("events_{}.parquet", month.label));
        let counting = ["event_id", "ts"];
        let mut output = Output::create(path, schema(), &counting, &["user_id", "session_id"])?;
        for day in month.days.clone() {
            let batch = self.events(day)?;
            output.write(&batch)?;
            progress.add(batch.num_rows());
        }
        output.finish()
    }

    /// The events of a day in time order.
    pub(super) fn events(&self, day: usize) -> Result<RecordBatch> {
        let rows = self.day(day);
        let first = FIRST_ID + self.calendar.days[day].first_row as i64;
        let cents = |row: &Row| (row.cents > 0).then_some(i128::from(row.cents));
        let amounts = numbers::<Decimal128Type>(rows.iter().map(cents))
            .with_precision_and_scale(AMOUNT.0, AMOUNT.1)
            .map_err(|e| Error::internal(format!("amounts do not fit: {e}")))?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values((first..).take(rows.len()))),
            ids(b'c', 10, 10, rows.iter().map(|row| Some(self.crowd.user_number(row.profile)))),
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.ts))
                    .with_timezone("UTC"),
            ),
            words(EVENTS, rows.iter().map(|row| Some(row.event as u8))),
            words(CHANNELS, rows.iter().map(|row| Some(row.channel as u8))),
            words(CATEGORIES, rows.iter().map(|row| word(row.category))),
            Arc::new(numbers::<Int32Type>(rows.iter().map(|row| positive(row.product.into())))),
            Arc::new(amounts),
            Arc::new(numbers::<Int32Type>(rows.iter().map(|row| positive(row.quantity.into())))),
            ids(b's', 12, 16, rows.iter().map(|row| Some(row.session).filter(|id| *id > 0))),
            words(CAMPAIGNS, rows.iter().map(|row| word(row.campaign))),
            many_words(
                &PATHS,
                rows.iter().map(|row| Some(row.path).filter(|p| *p != Row::NO_PATH)),
            ),
        ];
        RecordBatch::try_new(schema(), columns)
            .map_err(|e| Error::internal(format!("events do not fit their columns: {e}")))
    }
}

fn word(place: u8) -> Option<u8> {
    Some(place).filter(|place| *place != Row::NONE)
}

fn positive(number: i32) -> Option<i32> {
    Some(number).filter(|number| *number > 0)
}

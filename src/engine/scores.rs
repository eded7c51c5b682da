//! Scores of look-alikes, as a file and as rows of the table `scores`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use crate::error::{Error, Result};
use crate::lookalike::Scores;
use crate::model::TableName;
use crate::model::tables::PROFILE_ID;
use crate::store::encode::{encode, to_parquet};
use crate::store::{FileLayout, TableChange, schema};

use super::lookalike::Place;

/// Rows in a batch, and in a file of the table.
const BATCH_ROWS: usize = 1 << 20;

fn starts(scores: &Scores) -> impl Iterator<Item = (usize, usize)> {
    let rows = scores.ids.len();
    (0..rows).step_by(BATCH_ROWS).map(move |from| (from, (from + BATCH_ROWS).min(rows)))
}

fn failed(error: &arrow::error::ArrowError) -> Error {
    Error::internal(format!("scores: {error}"))
}

/// A Parquet file of `profile_id, score, lift`, by `profile_id`.
pub(super) fn file(scores: &Scores) -> Result<Vec<u8>> {
    let schema = Arc::new(Schema::new(vec![
        Field::new(PROFILE_ID, DataType::Int32, false),
        Field::new("score", DataType::Float64, false),
        Field::new("lift", DataType::Float64, false),
    ]));
    let batch = |(from, to): (usize, usize)| {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(scores.ids[from..to].to_vec())),
            Arc::new(Float64Array::from(scores.scores[from..to].to_vec())),
            Arc::new(Float64Array::from(scores.lifts[from..to].to_vec())),
        ];
        RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|e| failed(&e))
    };
    let batches = starts(scores).map(batch).collect::<Result<Vec<_>>>()?;
    Ok(to_parquet(&schema, &batches)?.to_vec())
}

/// What puts the scores into the table `scores`, in place of those that the look-alike had. The files are
/// uploaded; they belong to the table once this is committed.
pub(super) async fn change(place: &Place<'_>, scores: &Scores) -> Result<(TableName, TableChange)> {
    let (table, name) = (TableName::Scores, place.name.as_str());
    let build = place.snapshot.record.last_build + 1;
    let mut change = TableChange::default();
    // A store from before there were scores has no table yet; this commit makes it.
    if let Ok(snapshot) = place.snapshot.table(table) {
        let own = snapshot.files.iter().filter(|file| file.folder() == name);
        change.removed.extend(own.cloned());
    }
    let schema = schema::initial(table);
    for (from, to) in starts(scores) {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(scores.ids[from..to].to_vec())),
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(name, to - from))),
            Arc::new(Int64Array::from(vec![build; to - from])),
            Arc::new(Float64Array::from(scores.scores[from..to].to_vec())),
            Arc::new(Float64Array::from(scores.lifts[from..to].to_vec())),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|e| failed(&e))?;
        let encoded = encode(&schema, &[batch], FileLayout::of(table))?;
        change.added.push(place.store.put(table, name, encoded).await?);
    }
    Ok((table, change))
}

//! Rows for queries that look at one profile at a time: read by the pass over events, sorted by
//! profile and time, and handed to `DataFusion` shard by shard.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::{BooleanBuffer, Buffer};
use arrow::compute::{concat, filter, take};
use arrow::datatypes::{Field, Int32Type, Schema, SchemaRef, TimestampMicrosecondType};

use crate::error::{Error, Result};
use crate::model::tables;

use super::super::program::{FilterId, Leaf, LeafId, Local};
use super::condition::{Columns, conformed};
use super::events::Found;
use super::leaves::LeafSets;
use super::plan::Work;
use super::shard::Shard;
use super::window;
use super::words::Words;

/// Rows that passed one filter.
#[derive(Debug)]
pub(super) struct Collected {
    names: Vec<String>,
    /// For each column, its pieces in the order they came.
    pieces: Vec<Vec<ArrayRef>>,
}

impl Collected {
    pub(super) fn new(mut names: BTreeSet<String>) -> Self {
        // The order of rows needs them.
        names.extend([tables::PROFILE_ID, tables::TS].map(str::to_owned));
        Self {
            pieces: names.iter().map(|_| Vec::new()).collect(),
            names: names.into_iter().collect(),
        }
    }

    /// Takes the `chosen` rows of a run in; all where there is nothing.
    pub(super) fn add(
        &mut self,
        schema: &SchemaRef,
        columns: &Columns,
        chosen: Option<&Words>,
    ) -> Result<()> {
        let rows = columns.rows();
        let chosen = chosen.map(|words| {
            let buffer = Buffer::from_vec(words.0.clone());
            BooleanArray::new(BooleanBuffer::new(buffer, 0, rows), None)
        });
        for (name, pieces) in self.names.iter().zip(&mut self.pieces) {
            let mut column = columns.column(name)?;
            if let Some(chosen) = &chosen {
                column = filter(&column, chosen).map_err(internal)?;
            }
            let field = schema.field_with_name(name).map_err(internal)?;
            pieces.push(conformed(&column, field.data_type())?);
        }
        Ok(())
    }

    /// All rows, sorted by profile and time.
    fn sorted(&self, schema: &SchemaRef) -> Result<RecordBatch> {
        let fields = self.names.iter().map(|name| schema.field_with_name(name).cloned());
        let fields: Vec<Field> = fields.collect::<std::result::Result<_, _>>().map_err(internal)?;
        let own = Arc::new(Schema::new(fields));
        if self.pieces.first().is_none_or(Vec::is_empty) {
            return Ok(RecordBatch::new_empty(own));
        }
        let columns = self.pieces.iter().map(|pieces| {
            let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
            concat(&pieces).map_err(internal)
        });
        let batch = RecordBatch::try_new(own, columns.collect::<Result<Vec<_>>>()?);
        by_profile_and_time(&batch.map_err(internal)?)
    }
}

fn by_profile_and_time(batch: &RecordBatch) -> Result<RecordBatch> {
    let column = |name| {
        batch.column_by_name(name).ok_or_else(|| Error::internal(format!("{name} was not read")))
    };
    let (ids, ts) = (column(tables::PROFILE_ID)?, column(tables::TS)?);
    let other = || Error::data("ids or times of another type");
    let ids = ids.as_primitive_opt::<Int32Type>().ok_or_else(other)?.values();
    let ts = ts.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(other)?.values();
    let mut keys: Vec<(i32, i64, u32)> =
        (0_u32..).zip(ids.iter().zip(ts)).map(|(row, (id, ts))| (*id, *ts, row)).collect();
    keys.sort_unstable();
    let order = UInt32Array::from_iter_values(keys.into_iter().map(|(_, _, row)| row));
    let columns = batch.columns().iter().map(|c| take(c, &order, None).map_err(internal));
    RecordBatch::try_new(batch.schema(), columns.collect::<Result<Vec<_>>>()?).map_err(internal)
}

/// Runs the queries among the `wanted` leaves whose rows `found` has.
pub(super) async fn run(
    work: &Work,
    shard: &Shard,
    wanted: &BTreeSet<LeafId>,
    found: &mut Found,
    sets: &mut LeafSets,
) -> Result<()> {
    let mut sorted: HashMap<FilterId, RecordBatch> = HashMap::new();
    for (filter, collected) in std::mem::take(&mut found.collected) {
        sorted.insert(filter, collected.sorted(&work.event_schema)?);
    }
    for leaf in wanted {
        let filter = match &work.program.leaves[leaf.0] {
            Leaf::Local(local) => local.rows,
            Leaf::Windowed(windowed) => windowed.rows,
            _ => continue,
        };
        let Some(rows) = sorted.get(&filter) else { continue };
        let set = match (found.failed_filters.get(&filter), &work.program.leaves[leaf.0]) {
            (Some(error), _) => Err(error.clone()),
            (None, Leaf::Local(local)) => ids_of(work, shard, local, rows).await,
            (None, Leaf::Windowed(windowed)) => window::profiles(work, shard, windowed, rows),
            (None, _) => continue,
        };
        sets.put(*leaf, set);
    }
    Ok(())
}

async fn ids_of(work: &Work, shard: &Shard, local: &Local, rows: &RecordBatch) -> Result<Words> {
    let mut words = Words::zeros(shard.span);
    if rows.num_rows() == 0 {
        return Ok(words);
    }
    let columns = local.columns.iter().map(|name| rows.schema().index_of(name));
    let columns: Vec<usize> = columns.collect::<std::result::Result<_, _>>().map_err(internal)?;
    let rows = rows.project(&columns).map_err(internal)?;
    for id in work.session.local_ids(&local.plan, rows).await? {
        if let Some(place) = shard.place(id) {
            words.set(place);
        }
    }
    Ok(words)
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("rows of a pass: {error}"))
}

//! Rows of a few profiles, gathered from all runs of an event before they are fed.
//!
//! A refresh takes a few rows out of each of many runs: a month of a shard has one an event. Fed run by run,
//! each filter would be specialised, held against the time and put together for a handful of rows, which
//! costs far more than the rows do. So the rows of an event are put behind each other first, in the order
//! that they came.
//!
//! What is made of rows in their order (sums of floats, rows for queries) is made of the rows of one event
//! or, where it takes those of several, run by run.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::DataType;

use crate::error::{Error, Result};
use crate::model::tables;
use crate::store::joined;

use super::super::program::Program;
use super::condition::{Columns, conformed};
use super::events::{Found, Job, Pass, Use};
use super::plan::Need;
use super::slices::is_put_together;

/// Rows that are held before they are fed.
const ROWS_MAX: usize = 1 << 20;

/// Rows that were taken out of runs and are not fed yet.
#[derive(Default)]
pub(super) struct Gathered {
    pieces: Vec<Piece>,
    rows: usize,
}

/// Rows of one run.
struct Piece {
    job: Job,
    columns: Columns,
    /// A moment that its file may have, which each filter that is not held against the time lets through,
    /// and no filter that its job leaves out does.
    moment: i64,
}

impl Gathered {
    /// Takes rows of a run in; says whether there are so many now that they should be fed.
    pub(super) fn add(&mut self, job: Job, columns: Columns, moment: i64) -> bool {
        self.rows += columns.rows();
        self.pieces.push(Piece { job, columns, moment });
        self.rows >= ROWS_MAX
    }

    /// Feeds all rows, and lets go of them.
    pub(super) fn feed(&mut self, pass: Pass<'_>, found: &mut Found) -> Result<()> {
        self.rows = 0;
        let pieces = std::mem::take(&mut self.pieces);
        let runs = in_runs(&pieces, pass.needs, &pass.work.program);
        for piece in &pieces {
            let uses = piece.job.uses.iter().filter(|one| runs.contains(&one.need));
            let job = piece.job.with(uses.copied().collect());
            if !job.uses.is_empty() {
                pass.feed(&job, &piece.columns, found)?;
            }
        }
        let mut events: BTreeMap<String, Vec<Piece>> = BTreeMap::new();
        for mut piece in pieces {
            piece.job.uses.retain(|one| !runs.contains(&one.need));
            if !piece.job.uses.is_empty() {
                events.entry(piece.job.event.clone()).or_default().push(piece);
            }
        }
        for pieces in events.into_values() {
            let Piece { job, columns, .. } = whole(pieces, pass)?;
            pass.feed(&job, &columns, found)?;
        }
        Ok(())
    }
}

/// The needs, by place, that depend on the order of rows of several events.
fn in_runs(pieces: &[Piece], needs: &[Need], program: &Program) -> HashSet<usize> {
    let mut events: HashMap<usize, BTreeSet<&str>> = HashMap::new();
    for Piece { job, .. } in pieces {
        for one in &job.uses {
            let Need { aggregates, collected, .. } = &needs[one.need];
            let is_free = aggregates.iter().all(|id| is_put_together(*id, program));
            if !is_free || !collected.is_empty() {
                events.entry(one.need).or_default().insert(&job.event);
            }
        }
    }
    events.into_iter().filter(|(_, events)| events.len() > 1).map(|(need, _)| need).collect()
}

/// `pieces` of one event as one.
fn whole(mut pieces: Vec<Piece>, pass: Pass<'_>) -> Result<Piece> {
    if pieces.len() == 1
        && let Some(one) = pieces.pop()
    {
        return Ok(one);
    }
    let mut uses: BTreeMap<usize, (Use, usize)> = BTreeMap::new();
    for one in pieces.iter().flat_map(|piece| &piece.job.uses) {
        let (known, times) = uses.entry(one.need).or_insert((*one, 0));
        known.checks_time |= one.checks_time;
        known.checks_whom |= one.checks_whom;
        *times += 1;
    }
    // A filter that some files are left out for has to see that their rows are outside of its time.
    let uses = uses
        .into_values()
        .map(|(one, times)| Use { checks_time: one.checks_time || times < pieces.len(), ..one });
    let names: BTreeSet<String> = pieces.iter().flat_map(|p| p.columns.names()).collect();
    let rows = pieces.iter().map(|piece| piece.columns.rows()).sum();
    let columns = names.into_iter().map(|name| {
        let column = column(&name, &pieces, pass)?;
        Ok((name, column))
    });
    let columns = Columns::new(columns.collect::<Result<_>>()?, rows);
    let job = pieces[0].job.with(uses.collect());
    Ok(Piece { job, columns, moment: pieces[0].moment })
}

/// The column `name` of all `pieces`. Where one lacks it, nobody asks for its values there: for times it
/// has one that is told apart as its own would be, for anything else null.
fn column(name: &str, pieces: &[Piece], pass: Pass<'_>) -> Result<ArrayRef> {
    let known = |piece: &Piece| {
        let array = piece.columns.column(name).ok();
        array.filter(|array| !array.data_type().is_null())
    };
    let arrays: Vec<Option<ArrayRef>> = pieces.iter().map(known).collect();
    if let Some(words) = words(&arrays, pieces) {
        return Ok(words);
    }
    let mut types = arrays.iter().flatten().map(|array| array.data_type());
    let first = types.next().filter(|first| types.all(|other| other == *first));
    // Files may keep a text in different ways; the table's is one that all can take.
    let of_table = pass.work.event_schema.field_with_name(name).map(|field| field.data_type());
    let common = first.or(of_table.ok()).unwrap_or(&DataType::Null);
    let arrays = arrays.iter().zip(pieces).map(|(array, piece)| {
        let rows = piece.columns.rows();
        match array {
            Some(array) => conformed(array, common),
            None if name == tables::TS => {
                let moments = TimestampMicrosecondArray::from_value(piece.moment, rows);
                conformed(&(Arc::new(moments) as ArrayRef), common)
            }
            None => Ok(new_null_array(common, rows)),
        }
    });
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    let arrays: Vec<_> = arrays.iter().map(AsRef::as_ref).collect();
    concat(&arrays).map_err(|e| Error::internal(format!("column {name}: {e}")))
}

/// `arrays`, those of `pieces`, as one dictionary, where all that there are have one.
fn words(arrays: &[Option<ArrayRef>], pieces: &[Piece]) -> Option<ArrayRef> {
    arrays.iter().flatten().next()?;
    let nulls = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let arrays = arrays.iter().zip(pieces).map(|(array, piece)| match array {
        Some(array) => Arc::clone(array),
        None => new_null_array(&nulls, piece.columns.rows()),
    });
    joined(&arrays.collect::<Vec<_>>())
}

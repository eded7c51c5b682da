//! The pass over profiles: one shard's rows, each column read once, for all conditions on attributes.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, SchemaRef};

use crate::error::{Error, Result};
use crate::model::{TableName, tables};
use crate::store::{ColumnRanges, OpenFile};

use super::super::program::LeafId;
use super::condition::{Columns, Value, conformed};
use super::plan::Work;
use super::shard::Shard;
use super::words::Words;

/// The conditions on attributes, and the columns that are kept for conditions on groups.
#[derive(Debug)]
pub(super) struct ProfileNeeds {
    pub(super) conditions: Vec<(LeafId, Value)>,
    pub(super) kept: BTreeSet<String>,
    pub(super) schema: SchemaRef,
}

/// What the pass found.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) true_of: HashMap<LeafId, Words>,
    pub(super) failed: HashMap<LeafId, Error>,
    /// Ids with a row.
    pub(super) everyone: Words,
    kept: Kept,
}

/// Columns by profile.
#[derive(Debug, Default)]
struct Kept {
    /// The row of each place, `u32::MAX` where there is none.
    rows: Vec<u32>,
    columns: HashMap<String, Vec<ArrayRef>>,
}

/// Runs the pass over the files of `shard`.
pub(super) async fn run(work: &Work, needs: &ProfileNeeds, shard: &Shard) -> Result<Attributes> {
    let mut found = Attributes { everyone: Words::zeros(shard.span), ..Attributes::default() };
    for (leaf, _) in &needs.conditions {
        found.true_of.insert(*leaf, Words::zeros(shard.span));
    }
    if !needs.kept.is_empty() {
        found.kept.rows = vec![u32::MAX; shard.span];
    }
    let mut names: BTreeSet<&str> = BTreeSet::from([tables::PROFILE_ID]);
    names.extend(needs.conditions.iter().flat_map(|(_, v)| &v.columns).map(String::as_str));
    names.extend(needs.kept.iter().map(String::as_str));
    for file in &shard.profiles {
        let open = work.files.open(&work.store, TableName::Profiles, file).await?;
        for group in 0..open.groups() {
            let columns = read(work, &open, group, &names).await?;
            work.asked_profiles(columns.rows());
            row_group(needs, shard, columns, &mut found)?;
        }
    }
    Ok(found)
}

async fn read(
    work: &Work,
    open: &OpenFile,
    group: usize,
    names: &BTreeSet<&str>,
) -> Result<Columns> {
    let rows = open.rows(group);
    let all = 0..rows;
    let all = std::slice::from_ref(&all);
    let wanted: Vec<ColumnRanges<'_>> =
        names.iter().map(|name| ColumnRanges { name, ranges: all }).collect();
    let arrays = work.files.read(open, group, &wanted).await?;
    work.tally(open, group, &wanted);
    let arrays = names.iter().map(|n| (*n).to_owned()).zip(arrays).collect();
    Ok(Columns::new(arrays, rows))
}

fn row_group(
    needs: &ProfileNeeds,
    shard: &Shard,
    mut columns: Columns,
    found: &mut Attributes,
) -> Result<()> {
    let mut places = super::events::places(shard, &columns)?;
    if shard.is_chosen() {
        let chosen = Words::of_rows(places.len(), |row| (places[row] as usize) < shard.span);
        columns = columns.only(&chosen)?;
        places.retain(|place| (*place as usize) < shard.span);
    }
    let columns = &columns;
    let placed = Placed::new(places);
    placed.spread(&Words::ones(placed.places.len()), &mut found.everyone);
    for (leaf, condition) in &needs.conditions {
        match condition.is_true(columns) {
            Ok(rows) => {
                if let Some(into) = found.true_of.get_mut(leaf) {
                    placed.spread(&rows, into);
                }
            }
            Err(error) => {
                found.failed.entry(*leaf).or_insert(error);
            }
        }
    }
    found.keep(needs, columns, &placed.places)
}

/// Where the rows of a row group lie among the ids of a shard.
struct Placed {
    places: Vec<u32>,
    /// The word of the first row, where ids follow each other without a gap and from a multiple of
    /// 64: then whole words are moved.
    first_word: Option<usize>,
}

impl Placed {
    fn new(places: Vec<u32>) -> Self {
        let is_gapless = places.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1));
        let first = places.first().map_or(0, |place| *place as usize);
        let first_word = (is_gapless && first.is_multiple_of(64)).then_some(first / 64);
        Self { places, first_word }
    }

    /// Sets the bits of `into` at the places of `rows`.
    fn spread(&self, rows: &Words, into: &mut Words) {
        if let Some(start) = self.first_word.filter(|s| s + rows.0.len() <= into.0.len()) {
            into.0[start..].iter_mut().zip(&rows.0).for_each(|(a, b)| *a |= b);
            return;
        }
        let span = into.0.len() * 64;
        rows.each(|row| {
            let place = self.places[row] as usize;
            if place < span {
                into.set(place);
            }
        });
    }
}

impl Attributes {
    fn keep(&mut self, needs: &ProfileNeeds, columns: &Columns, places: &[u32]) -> Result<()> {
        if needs.kept.is_empty() {
            return Ok(());
        }
        let before = needs.kept.first().and_then(|name| self.kept.columns.get(name));
        let start = before.map_or(0, |parts| parts.iter().map(Array::len).sum::<usize>());
        for (row, place) in places.iter().enumerate() {
            if let Some(slot) = self.kept.rows.get_mut(*place as usize) {
                *slot = u32::try_from(start + row).unwrap_or(u32::MAX);
            }
        }
        for name in &needs.kept {
            let data_type = needs.schema.field_with_name(name).map(|f| f.data_type().clone());
            let data_type = data_type.unwrap_or(DataType::Null);
            let column = conformed(&columns.column(name)?, &data_type)?;
            self.kept.columns.entry(name.clone()).or_default().push(column);
        }
        Ok(())
    }

    /// Column `name` of the profiles at `places`, null for those without a row.
    pub(super) fn gather(
        &self,
        name: &str,
        data_type: &DataType,
        places: &[u32],
    ) -> Result<ArrayRef> {
        let Some(parts) = self.kept.columns.get(name) else {
            return Ok(new_null_array(data_type, places.len()));
        };
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        let failed = |e| Error::internal(format!("column {name}: {e}"));
        let whole = concat(&parts).map_err(failed)?;
        let row = |place: &u32| self.kept.rows.get(*place as usize).filter(|row| **row != u32::MAX);
        let rows: UInt32Array = places.iter().map(|p| row(p).copied()).collect();
        take(&whole, &rows, None).map_err(failed)
    }
}

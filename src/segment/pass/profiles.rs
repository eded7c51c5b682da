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
use super::events::ids_of;
use super::plan::Work;
use super::shard::Shard;
use super::words::Words;

/// The conditions on attributes, and the columns that are kept for conditions on groups.
#[derive(Debug)]
pub(super) struct ProfileNeeds {
    pub(super) conditions: Vec<(LeafId, Value)>,
    pub(super) kept: BTreeSet<String>,
    /// Whether it matters who has a row at all.
    pub(super) everyone: bool,
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
    if needs.conditions.is_empty() && needs.kept.is_empty() && !needs.everyone {
        return Ok(found);
    }
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
        let is_sorted = file.tags.get("sorted").is_some_and(|by| by == tables::PROFILE_ID);
        let order = if is_sorted { Order::Ascending } else { Order::Any };
        for group in 0..open.groups() {
            let columns = read(work, &open, group, &names).await?;
            work.asked_profiles(columns.rows());
            row_group(needs, shard, (columns, order), &mut found)?;
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
    work.tally(&wanted);
    let arrays = names.iter().map(|n| (*n).to_owned()).zip(arrays).collect();
    Ok(Columns::new(arrays, rows))
}

fn row_group(
    needs: &ProfileNeeds,
    shard: &Shard,
    (mut columns, mut order): (Columns, Order),
    found: &mut Attributes,
) -> Result<()> {
    if shard.is_chosen() {
        let chosen = shard.rows(&ids_of(&columns)?, None);
        columns = columns.only(&chosen)?;
        order = Order::Any;
    }
    let columns = &columns;
    let ids = ids_of(columns)?;
    let (ids, start) = shard.located(&ids);
    let placed = Placed { ids: &ids, start, first_word: None };
    let placed = Placed { first_word: placed.first_word(order), ..placed };
    if needs.everyone {
        placed.spread(&Words::ones(placed.ids.len()), &mut found.everyone);
    }
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
    found.keep(needs, columns, placed)
}

/// Whether the rows of a file are known to ascend by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Any,
}

/// Where the rows of a row group lie among the ids of a shard.
#[derive(Clone, Copy)]
struct Placed<'a> {
    ids: &'a [i32],
    /// The id of place 0.
    start: u32,
    /// The word of the first row, where ids follow each other without a gap and from a multiple of
    /// 64: then whole words are moved.
    first_word: Option<usize>,
}

impl Placed<'_> {
    fn place(self, row: usize) -> usize {
        self.ids[row].cast_unsigned().wrapping_sub(self.start) as usize
    }

    fn first_word(self, order: Order) -> Option<usize> {
        let is_gapless = match (order, self.ids) {
            // No id comes twice in a file of profiles: with as many ids as numbers there is no gap.
            (Order::Ascending, [first, .., last]) => {
                usize::try_from(last - first).is_ok_and(|span| span + 1 == self.ids.len())
            }
            _ => self.ids.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)),
        };
        let first = if self.ids.is_empty() { 0 } else { self.place(0) };
        (is_gapless && first.is_multiple_of(64)).then_some(first / 64)
    }

    /// Sets the bits of `into` at the places of `rows`.
    fn spread(self, rows: &Words, into: &mut Words) {
        if let Some(start) = self.first_word.filter(|s| s + rows.0.len() <= into.0.len()) {
            into.0[start..].iter_mut().zip(&rows.0).for_each(|(a, b)| *a |= b);
            return;
        }
        let span = into.0.len() * 64;
        rows.each(|row| {
            let place = self.place(row);
            if place < span {
                into.set(place);
            }
        });
    }
}

impl Attributes {
    fn keep(&mut self, needs: &ProfileNeeds, columns: &Columns, placed: Placed<'_>) -> Result<()> {
        if needs.kept.is_empty() {
            return Ok(());
        }
        let before = needs.kept.first().and_then(|name| self.kept.columns.get(name));
        let start = before.map_or(0, |parts| parts.iter().map(Array::len).sum::<usize>());
        for row in 0..placed.ids.len() {
            if let Some(slot) = self.kept.rows.get_mut(placed.place(row)) {
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

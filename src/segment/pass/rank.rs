//! The first profiles in some order. Each shard names its candidates with keys that compare as
//! bytes; the best of all shards are chosen at the end.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::model::ProfileId;

use super::super::program::Ranked;
use super::shard::Shard;

/// A profile and its keys: those that compare less come first. The id is the last key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    keys: Vec<u8>,
    id: u32,
}

/// The candidates of a shard: `keys` has an array a key of the order, with a row a place.
pub(super) fn candidates(
    ranked: &Ranked,
    keys: &[ArrayRef],
    places: &[u32],
    shard: &Shard,
) -> Result<Vec<Candidate>> {
    let failed = |e| Error::internal(format!("keys of an order: {e}"));
    let mut fields: Vec<SortField> = ranked
        .keys
        .iter()
        .zip(keys)
        .map(|(key, array)| {
            let options = SortOptions { descending: !key.ascending, nulls_first: key.nulls_first };
            SortField::new_with_options(array.data_type().clone(), options)
        })
        .collect();
    fields.push(SortField::new(DataType::UInt32));
    let ids: UInt32Array = places.iter().map(|place| shard.id(*place)).collect();
    let mut columns = keys.to_vec();
    columns.push(Arc::new(ids.clone()));
    let rows = RowConverter::new(fields)
        .and_then(|converter| converter.convert_columns(&columns))
        .map_err(failed)?;
    let wanted = ranked.skip.saturating_add(ranked.take);
    let mut order: Vec<usize> = (0..places.len()).collect();
    if wanted < order.len() {
        order.select_nth_unstable_by(wanted, |a, b| rows.row(*a).cmp(&rows.row(*b)));
        order.truncate(wanted);
    }
    let candidate =
        |row: usize| Candidate { keys: rows.row(row).as_ref().to_vec(), id: ids.value(row) };
    Ok(order.into_iter().map(candidate).collect())
}

/// Those that `ranked` takes of the candidates of all shards.
pub(super) fn chosen(ranked: &Ranked, mut candidates: Vec<Candidate>) -> Membership {
    candidates.sort_unstable();
    let taken = candidates.into_iter().skip(ranked.skip).take(ranked.take);
    taken.filter_map(|candidate| ProfileId::new(candidate.id)).collect()
}

//! The first profiles in some order. Each shard names its candidates with keys that compare as
//! bytes; the best of all shards are chosen at the end.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, UInt32Array};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt32Type};
use arrow::row::{RowConverter, SortField};

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::model::ProfileId;

use super::super::program::Ranked;
use super::shard::Shard;

/// Profiles with their keys, those of a shard in no order.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    ids: Vec<u32>,
    /// All keys, one behind the other: bytes that compare as the order does. The id is the last key.
    keys: Vec<u8>,
    /// Where the keys of each end.
    ends: Vec<usize>,
}

impl Candidates {
    fn push(&mut self, id: u32, keys: &[u8]) {
        self.ids.push(id);
        self.keys.extend_from_slice(keys);
        self.ends.push(self.keys.len());
    }

    /// Each with its keys before it, so that they compare as the order does.
    fn each(&self) -> impl Iterator<Item = (&[u8], u32)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let keys = starts.zip(&self.ends).map(|(start, end)| &self.keys[start..*end]);
        keys.zip(self.ids.iter().copied())
    }
}

/// The candidates of a shard: `keys` has an array a key of the order, with a row a place.
pub(super) fn candidates(
    ranked: &Ranked,
    keys: &[ArrayRef],
    places: &[u32],
    shard: &Shard,
) -> Result<Candidates> {
    let failed = |e| Error::internal(format!("keys of an order: {e}"));
    let options: Vec<SortOptions> = ranked
        .keys
        .iter()
        .map(|key| SortOptions { descending: !key.ascending, nulls_first: key.nulls_first })
        .collect();
    let mut ids: UInt32Array = places.iter().map(|place| shard.id(*place)).collect();
    let mut columns = keys.to_vec();
    let wanted = ranked.skip.saturating_add(ranked.take);
    if let (Some(first), Some(options)) = (keys.first(), options.first())
        && let Some(ahead) = ahead(first, *options, wanted)
    {
        ids = take(&ids, &ahead, None).map_err(failed)?.as_primitive::<UInt32Type>().clone();
        let few = columns.iter().map(|column| take(column, &ahead, None));
        columns = few.collect::<std::result::Result<_, _>>().map_err(failed)?;
    }
    let types = columns.iter().map(|array| array.data_type().clone());
    let fields = types.zip(options).map(|(t, options)| SortField::new_with_options(t, options));
    let fields = fields.chain([SortField::new(DataType::UInt32)]).collect();
    columns.push(Arc::new(ids.clone()));
    let rows = RowConverter::new(fields)
        .and_then(|converter| converter.convert_columns(&columns))
        .map_err(failed)?;
    let mut order: Vec<usize> = (0..ids.len()).collect();
    if wanted < order.len() {
        order.select_nth_unstable_by(wanted, |a, b| rows.row(*a).cmp(&rows.row(*b)));
        order.truncate(wanted);
    }
    let mut candidates = Candidates::default();
    for row in order {
        candidates.push(ids.value(row), rows.row(row).as_ref());
    }
    Ok(candidates)
}

/// The rows of `key` of which no `wanted` others come before by that key alone, those with an equal
/// key among them: making all keys of all rows comparable costs more than this. Nothing where it would
/// not help, or the key is no number without nulls.
fn ahead(key: &ArrayRef, options: SortOptions, wanted: usize) -> Option<UInt32Array> {
    if wanted == 0 || wanted.saturating_mul(2) > key.len() || key.null_count() > 0 {
        return None;
    }
    // Numbers that compare as the values do in the order.
    let number = |value: i128| if options.descending { !value } else { value };
    let numbers: Vec<i128> = match key.data_type() {
        DataType::Int64 => {
            let values = key.as_primitive::<Int64Type>().values();
            values.iter().map(|v| number(i128::from(*v))).collect()
        }
        DataType::Decimal128(..) => {
            key.as_primitive::<Decimal128Type>().values().iter().map(|v| number(*v)).collect()
        }
        DataType::Float64 => {
            // The order of `f64::total_cmp`, which rows have too.
            let bits = |v: &f64| {
                let bits = v.to_bits().cast_signed();
                i128::from(bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed())
            };
            key.as_primitive::<Float64Type>().values().iter().map(|v| number(bits(v))).collect()
        }
        _ => return None,
    };
    let mut unordered = numbers.clone();
    let last = *unordered.select_nth_unstable(wanted - 1).1;
    let rows = (0_u32..).zip(&numbers).filter(|(_, number)| **number <= last);
    Some(rows.map(|(row, _)| row).collect())
}

/// Whom a leaf that ranks takes.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// All of them.
    pub members: Membership,
    /// The one who comes last.
    pub last: Option<ProfileId>,
    /// How many of them have no value of the first key, where the order puts those first.
    pub without: u64,
}

/// Those that `ranked` takes of the candidates of all shards.
pub(super) fn chosen(ranked: &Ranked, of_shards: &[Candidates]) -> Chosen {
    let mut all: Vec<(&[u8], u32)> = of_shards.iter().flat_map(Candidates::each).collect();
    // Which are taken matters, and not their order.
    let end = ranked.skip.saturating_add(ranked.take);
    if end < all.len() {
        all.select_nth_unstable(end);
        all.truncate(end);
    }
    if ranked.skip >= all.len() {
        return Chosen::default();
    }
    let taken = match ranked.skip {
        0 => &all[..],
        skip => {
            all.select_nth_unstable(skip);
            &all[skip..]
        }
    };
    let last = taken.iter().max().and_then(|(_, id)| ProfileId::new(*id));
    // Comparable rows begin with a byte that puts nulls first, which is 0 (`arrow_row`), or last.
    let is_first = ranked.keys.first().is_some_and(|key| key.nulls_first);
    let is_without = |row: &[u8]| is_first && row.first() == Some(&0);
    let without = taken.iter().filter(|(row, _)| is_without(row)).count() as u64;
    let members = taken.iter().filter_map(|(_, id)| ProfileId::new(*id)).collect();
    Chosen { members, last, without }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Float64Array, Int64Array};
    use proptest::prelude::*;

    use super::*;

    /// The rows that come first by a full sort, with all that are equal to the last of them.
    fn plain(key: &ArrayRef, options: SortOptions, wanted: usize) -> Vec<u32> {
        let field = SortField::new_with_options(key.data_type().clone(), options);
        let rows = RowConverter::new(vec![field]).expect("a type with an order");
        let rows = rows.convert_columns(&[Arc::clone(key)]).expect("keys");
        let mut sorted: Vec<_> = rows.iter().collect();
        sorted.sort_unstable();
        let last = sorted[wanted - 1];
        (0..).zip(rows.iter()).filter(|(_, row)| *row <= last).map(|(n, _)| n).collect()
    }

    proptest! {
        #[test]
        fn rows_ahead_are_those_of_a_sort(
            values in prop::collection::vec(
                prop_oneof![-3.0..3.0_f64, any::<f64>(), Just(0.0), Just(-0.0), Just(f64::NAN)],
                2..60,
            ),
            wanted in 1_usize..20,
            descending: bool,
        ) {
            let options = SortOptions { descending, nulls_first: false };
            #[expect(clippy::cast_possible_truncation, reason = "any number does")]
            let whole: Vec<i64> = values.iter().map(|v| *v as i64).collect();
            let keys: [ArrayRef; 3] = [
                Arc::new(Decimal128Array::from_iter_values(whole.iter().map(|v| i128::from(*v) << 30))),
                Arc::new(Int64Array::from(whole)),
                Arc::new(Float64Array::from(values)),
            ];
            for key in keys {
                match ahead(&key, options, wanted) {
                    None => prop_assert!(wanted * 2 > key.len()),
                    Some(rows) => prop_assert_eq!(&rows.values()[..], plain(&key, options, wanted)),
                }
            }
        }
    }
}

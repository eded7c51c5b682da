//! The state of an aggregate: a plain array with a place for each id of a shard. No hashing, no
//! grouping; a row is an addition at its profile's place.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, Decimal128Array, Float64Array, Int32Array, Int64Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};

use crate::error::{Error, Result};

use super::super::program::{Aggregate, Function};
use super::distinct::Distinct;
use super::having::{Bound, Test, compare_floats};
use super::shard::Shard;
use super::words::Words;

/// What has been seen of each profile of a shard.
#[derive(Debug)]
pub(super) struct State {
    function: Function,
    data_type: DataType,
    /// The profiles with a value: the others are null. Counts are never null.
    has: Words,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Counts(Vec<u32>),
    Distinct(Distinct),
    Integers(Vec<i64>),
    Decimals(Vec<i128>),
    Floats(Vec<f64>),
    Means(Vec<f64>, Vec<u32>),
    Ids,
}

/// Rows of one run: whose they are, and which of them count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Each row's profile.
    pub(super) ids: &'a [i32],
    /// The id of place 0 of the shard.
    pub(super) start: u32,
    /// The rows that count; all where there is nothing.
    pub(super) chosen: Option<&'a Words>,
}

impl Rows<'_> {
    /// Calls `f` with each row that counts and its profile's place.
    pub(super) fn each(self, mut f: impl FnMut(usize, usize)) {
        match self.chosen {
            None => {
                for (row, id) in self.ids.iter().enumerate() {
                    f(row, self.place(*id));
                }
            }
            Some(chosen) => chosen.each(|row| f(row, self.place(self.ids[row]))),
        }
    }

    /// The place of `id` in the shard.
    fn place(self, id: i32) -> usize {
        id.cast_unsigned().wrapping_sub(self.start) as usize
    }

    /// The rows that count and are valid in `nulls`, as words; nothing where that is all of them.
    fn valid(self, nulls: Option<&NullBuffer>) -> Option<Words> {
        let nulls = nulls.filter(|n| n.null_count() > 0)?;
        let mut words = Words(nulls.inner().bit_chunks().iter_padded().collect());
        if let Some(chosen) = self.chosen {
            words.and(&chosen.0);
        }
        Some(words)
    }
}

impl State {
    /// A state for `span` ids.
    pub(super) fn new(aggregate: &Aggregate, span: usize) -> Self {
        let is_decimal = matches!(aggregate.data_type, DataType::Decimal128(..));
        let is_float = aggregate.data_type == DataType::Float64;
        let values = match aggregate.function {
            Function::Count => Values::Counts(vec![0; span]),
            Function::CountDistinct => Values::Distinct(Distinct::new(span)),
            Function::Mean => Values::Means(vec![0.0; span], vec![0; span]),
            Function::Id => Values::Ids,
            _ if is_decimal => Values::Decimals(vec![0; span]),
            _ if is_float => Values::Floats(vec![0.0; span]),
            _ => Values::Integers(vec![0; span]),
        };
        let has = match aggregate.function {
            Function::Count | Function::CountDistinct | Function::Id => Words::default(),
            _ => Words::zeros(span),
        };
        Self { function: aggregate.function, data_type: aggregate.data_type.clone(), has, values }
    }

    /// The bytes that a state for `span` ids takes, about.
    pub(super) fn bytes(aggregate: &Aggregate, span: usize) -> usize {
        let width = match (aggregate.function, &aggregate.data_type) {
            (Function::Count, _) => 4,
            (Function::Id, _) => 0,
            (Function::Mean, _) => 12,
            (_, DataType::Decimal128(..)) => 16,
            _ => 8,
        };
        span * width + span / 8
    }

    /// Takes `rows` in, with their values where the aggregate has an argument.
    pub(super) fn update(&mut self, rows: Rows<'_>, argument: Option<&ArrayRef>) -> Result<()> {
        let valid = rows.valid(argument.and_then(logical_nulls).as_ref());
        let rows = Rows { chosen: valid.as_ref().or(rows.chosen), ..rows };
        match (&mut self.values, argument) {
            (Values::Counts(counts), _) => rows.each(|_, place| counts[place] += 1),
            (Values::Distinct(distinct), Some(values)) => distinct.update(rows, values)?,
            (Values::Integers(into), Some(values)) => {
                let values = integers(values)?;
                update(
                    (self.function, i64::wrapping_add, i64::cmp),
                    rows,
                    &mut self.has,
                    into,
                    values.values(),
                );
            }
            (Values::Decimals(into), Some(values)) => {
                let values = values.as_primitive_opt::<Decimal128Type>().ok_or_else(mismatch)?;
                update(
                    (self.function, i128::wrapping_add, i128::cmp),
                    rows,
                    &mut self.has,
                    into,
                    values.values(),
                );
            }
            (Values::Floats(into), Some(values)) => {
                let values = values.as_primitive_opt::<Float64Type>().ok_or_else(mismatch)?;
                let values = values.values();
                update(
                    (self.function, |a, b| a + b, |a, b| compare_floats(*a, *b)),
                    rows,
                    &mut self.has,
                    into,
                    values,
                );
            }
            (Values::Means(sums, counts), Some(values)) => {
                let values =
                    values.as_primitive_opt::<Float64Type>().ok_or_else(mismatch)?.values();
                let has = &mut self.has;
                rows.each(|row, place| {
                    sums[place] += values[row];
                    counts[place] += 1;
                    has.set(place);
                });
            }
            (Values::Ids, _) => {}
            (_, None) => return Err(mismatch()),
        }
        Ok(())
    }

    /// Takes over what `other`, a state of the same aggregate over other rows, has.
    pub(super) fn take_over(&mut self, other: &Self) -> Result<()> {
        let (into, from) = (&mut self.has, &other.has);
        match (&mut self.values, &other.values) {
            (Values::Counts(counts), Values::Counts(others)) => {
                counts.iter_mut().zip(others).for_each(|(count, other)| *count += other);
            }
            (Values::Distinct(distinct), Values::Distinct(other)) => distinct.take_over(other),
            (Values::Integers(values), Values::Integers(others)) => {
                take_over((self.function, i64::wrapping_add), (into, values), (from, others));
            }
            (Values::Decimals(values), Values::Decimals(others)) => {
                take_over((self.function, i128::wrapping_add), (into, values), (from, others));
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    /// Makes ready for [`State::gather`].
    pub(super) fn finish(&mut self) {
        if let Values::Distinct(distinct) = &mut self.values {
            distinct.finish();
        }
    }

    /// The places of `domain` that `test` is true of, of profiles in `group`; nothing where the constant
    /// is of another type than the aggregate.
    pub(super) fn passing(&self, test: &Test, domain: &Words, group: &Words) -> Option<Words> {
        if test.data_type != self.data_type {
            return None;
        }
        let mut candidates = domain.clone();
        candidates.and(&group.0);
        if !self.has.0.is_empty() {
            candidates.and(&self.has.0);
        }
        let passing = match (&self.values, test.bound) {
            (Values::Counts(counts), Bound::Integer(bound)) => {
                test.passes.places(&candidates, |place| i64::from(counts[place]).cmp(&bound))
            }
            (Values::Distinct(distinct), Bound::Integer(bound)) => test
                .passes
                .places(&candidates, |place| i64::from(distinct.count(place)).cmp(&bound)),
            (Values::Integers(values), Bound::Integer(bound)) => {
                test.passes.places(&candidates, |place| values[place].cmp(&bound))
            }
            (Values::Decimals(values), Bound::Decimal(bound)) => {
                test.passes.places(&candidates, |place| values[place].cmp(&bound))
            }
            (Values::Floats(values), Bound::Float(bound)) => {
                test.passes.places(&candidates, |place| compare_floats(values[place], bound))
            }
            (Values::Means(sums, counts), Bound::Float(bound)) => {
                let mean = |place| mean(sums[place], counts[place]);
                test.passes.places(&candidates, |place| compare_floats(mean(place), bound))
            }
            _ => return None,
        };
        Some(passing)
    }

    /// The results of the profiles at `places`: null for those without a value, and for those that
    /// are not in `group`.
    pub(super) fn gather(&self, places: &[u32], group: &Words, shard: &Shard) -> Result<ArrayRef> {
        let is_valid = |place: u32| {
            let place = place as usize;
            group.has(place) && (self.has.0.is_empty() || self.has.has(place))
        };
        let nulls = places.iter().map(|&p| is_valid(p)).collect::<NullBuffer>();
        let nulls = Some(nulls).filter(|n| n.null_count() > 0);
        let at = |place: &u32| *place as usize;
        let integers = |values: Vec<i64>| -> ArrayRef {
            Arc::new(Int64Array::new(values.into(), nulls.clone()))
        };
        let plain: ArrayRef = match &self.values {
            Values::Counts(counts) => {
                integers(places.iter().map(|p| i64::from(counts[at(p)])).collect())
            }
            Values::Distinct(distinct) => {
                integers(places.iter().map(|p| i64::from(distinct.count(at(p)))).collect())
            }
            Values::Integers(values) => {
                let raw = integers(places.iter().map(|p| values[at(p)]).collect());
                return from_integers(&raw, &self.data_type);
            }
            Values::Decimals(values) => {
                let raw: Vec<i128> = places.iter().map(|p| values[at(p)]).collect();
                let decimals = Decimal128Array::new(raw.into(), nulls);
                Arc::new(decimals.with_data_type(self.data_type.clone()))
            }
            Values::Floats(values) => {
                let raw: Vec<f64> = places.iter().map(|p| values[at(p)]).collect();
                Arc::new(Float64Array::new(raw.into(), nulls))
            }
            Values::Means(sums, counts) => {
                let mean = |p: &u32| mean(sums[at(p)], counts[at(p)]);
                let raw: Vec<f64> = places.iter().map(mean).collect();
                Arc::new(Float64Array::new(raw.into(), nulls))
            }
            Values::Ids => {
                let raw: Vec<i32> = places.iter().map(|p| shard.id(*p).cast_signed()).collect();
                Arc::new(Int32Array::new(raw.into(), nulls))
            }
        };
        Ok(plain)
    }
}

fn mean(sum: f64, count: u32) -> f64 {
    sum / f64::from(count.max(1))
}

/// What a function does with two values: their sum, and how they compare.
type Step<T> = (Function, fn(T, T) -> T, fn(&T, &T) -> Ordering);

/// The state's step for sums, minima and maxima. These do not depend on the order of rows: NaN is greater
/// than all other numbers there, too.
fn update<T: Copy>(
    (function, add, compare): Step<T>,
    rows: Rows<'_>,
    has: &mut Words,
    into: &mut [T],
    values: &[T],
) {
    match function {
        Function::Sum => rows.each(|row, place| {
            into[place] = add(into[place], values[row]);
            has.set(place);
        }),
        Function::Min | Function::Max => {
            let wanted = if function == Function::Min { Ordering::Less } else { Ordering::Greater };
            rows.each(|row, place| {
                let new = values[row];
                if !has.has(place) || compare(&new, &into[place]) == wanted {
                    into[place] = new;
                    has.set(place);
                }
            });
        }
        _ => {}
    }
}

/// [`update`] with the values of another state, where it has some.
fn take_over<T: Copy + PartialOrd>(
    (function, add): (Function, fn(T, T) -> T),
    (has, into): (&mut Words, &mut [T]),
    (others, values): (&Words, &[T]),
) {
    let wanted = if function == Function::Min { Ordering::Less } else { Ordering::Greater };
    others.each(|place| {
        let new = values[place];
        if function == Function::Sum {
            into[place] = add(into[place], new);
        } else if !has.has(place) || new.partial_cmp(&into[place]) == Some(wanted) {
            into[place] = new;
        }
    });
    has.or(&others.0);
}

fn logical_nulls(array: &ArrayRef) -> Option<NullBuffer> {
    array.logical_nulls()
}

/// Numbers, days and moments as 64-bit integers.
pub(super) fn integers(values: &ArrayRef) -> Result<Int64Array> {
    let wide = match values.data_type() {
        DataType::Timestamp(..) | DataType::Int64 | DataType::Date64 => {
            cast(values, &DataType::Int64)
        }
        DataType::Date32 => cast(values, &DataType::Int32).and_then(|v| cast(&v, &DataType::Int64)),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => cast(values, &DataType::Int64),
        _ => return Err(mismatch()),
    };
    Ok(wide.map_err(|_| mismatch())?.as_primitive::<Int64Type>().clone())
}

pub(super) fn from_integers(values: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let narrow = match data_type {
        DataType::Date32 => cast(values, &DataType::Int32).and_then(|v| cast(&v, data_type)),
        _ => cast(values, data_type),
    };
    narrow.map_err(|_| mismatch())
}

fn mismatch() -> Error {
    Error::internal("an aggregate's argument has another type than was planned")
}

//! Conditions and values of rows, evaluated over the columns that a pass has decoded.
//!
//! `DataFusion` evaluates them, so they mean what they mean in a query. Two shapes are taken out of its
//! hands, since they come a dozen times a build: a condition on one text column is evaluated once a
//! distinct value where the file has a dictionary, and `array_has` over a list of few distinct
//! values tests a bit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{
    Array, ArrayRef, AsArray as _, BooleanArray, Date32Array, ListArray, RecordBatch,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer};
use arrow::compute::{FilterBuilder, cast, concat, is_not_null, max, min};
use arrow::datatypes::{
    DataType, Date32Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};

use crate::error::{Error, Result};
use crate::query::df::{
    Expr, ScalarFunction, ScalarValue, Transformed, TransformedResult as _, TreeNode as _,
};
use crate::query::{Formula, Session};
use crate::store::{Dictionary, Places, dictionary};

use super::truths::{Told, Truths};
use super::words::Words;

/// Distinct values of a list's items that fit a word.
const ITEMS_MAX: usize = 64;

/// Values of a dictionary that a condition is asked of even where fewer rows have one: the runs of a row
/// group share it.
const VALUES_FEW: usize = 256;

/// An expression over columns, by their names.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// Why it cannot be evaluated at all, where it cannot: that is for whoever needs its value, and no
    /// reason to stop others.
    formula: Result<Formula>,
    schema: SchemaRef,
    /// The columns, in the order of the schema.
    pub(super) columns: Vec<String>,
    contains: Option<Contains>,
    /// Whether it is a column as it is.
    is_column: bool,
    /// Whether it is the day, in UTC, of a column of moments.
    is_day: bool,
    /// What it said of words.
    told: Told,
}

/// `array_has(column, item)`, or NOT of it.
#[derive(Debug, Clone)]
struct Contains {
    item: String,
    is_negated: bool,
}

/// For each row of a list column, which of the distinct items are in it.
#[derive(Debug)]
pub(super) struct ItemSets {
    places: HashMap<String, u32>,
    sets: Vec<u64>,
    is_valid: Words,
}

/// Columns of the same rows, by name.
#[derive(Debug)]
pub(super) struct Columns {
    arrays: HashMap<String, ArrayRef>,
    rows: usize,
    derived: Mutex<Derived>,
}

/// What conditions made of columns, each once.
#[derive(Debug, Default)]
struct Derived {
    items: HashMap<String, Option<Arc<ItemSets>>>,
    /// The least and the greatest day of columns of days; nothing where all are null.
    days: HashMap<String, Option<(i32, i32)>>,
    /// Columns as another type than in the file.
    conformed: HashMap<(String, DataType), ArrayRef>,
}

impl Columns {
    /// Columns of `rows` rows.
    pub(super) fn new(arrays: HashMap<String, ArrayRef>, rows: usize) -> Self {
        Self { arrays, rows, derived: Mutex::default() }
    }

    fn derived(&self) -> MutexGuard<'_, Derived> {
        self.derived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The columns of `batch`.
    pub(super) fn of(batch: &RecordBatch) -> Self {
        let fields = batch.schema();
        let names = fields.fields().iter().map(|field| field.name().clone());
        Self::new(names.zip(batch.columns().iter().cloned()).collect(), batch.num_rows())
    }

    /// The rows of `chosen` alone.
    pub(super) fn only(self, chosen: &Words) -> Result<Self> {
        let rows = chosen.count();
        if rows == self.rows {
            return Ok(self);
        }
        let bits = BooleanBuffer::new(Buffer::from_vec(chosen.0.clone()), 0, self.rows);
        // The rows are listed once for all columns.
        let chosen = FilterBuilder::new(&BooleanArray::new(bits, None)).optimize().build();
        let one = |(name, array): (String, ArrayRef)| match chosen.filter(&array) {
            Ok(array) => Ok((name, array)),
            Err(error) => Err(Error::internal(format!("column {name}: {error}"))),
        };
        Ok(Self::new(self.arrays.into_iter().map(one).collect::<Result<_>>()?, rows))
    }

    /// How many rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The column `name`.
    pub(super) fn column(&self, name: &str) -> Result<ArrayRef> {
        self.arrays
            .get(name)
            .map(Arc::clone)
            .ok_or_else(|| Error::internal(format!("column {name} was not read")))
    }

    /// The column `name` as `data_type`.
    pub(super) fn conformed(&self, name: &str, data_type: &DataType) -> Result<ArrayRef> {
        let column = self.column(name)?;
        if column.data_type() == data_type {
            return Ok(column);
        }
        match self.derived().conformed.entry((name.to_owned(), data_type.clone())) {
            Entry::Occupied(array) => Ok(Arc::clone(array.get())),
            Entry::Vacant(free) => Ok(Arc::clone(free.insert(conformed(&column, data_type)?))),
        }
    }

    /// The least and the greatest day of the column `name`, which are `days`; nothing where all are
    /// null.
    fn bounds(&self, name: &str, days: &Date32Array) -> Option<(i32, i32)> {
        let bounds = || Some((min(days)?, max(days)?));
        *self.derived().days.entry(name.to_owned()).or_insert_with(bounds)
    }

    /// The item sets of the list column `name`, where its items are few.
    fn items(&self, name: &str) -> Result<Option<Arc<ItemSets>>> {
        let column = self.column(name)?;
        let sets = || ItemSets::of(&column).map(Arc::new);
        Ok(self.derived().items.entry(name.to_owned()).or_insert_with(sets).clone())
    }
}

impl Value {
    /// `expression`, whose columns are those of `table` whatever relation they name.
    pub(super) fn new(session: &Session, expression: &Expr, table: &Schema) -> Result<Self> {
        let mut columns: Vec<String> =
            expression.column_refs().into_iter().map(|c| c.name.clone()).collect();
        columns.sort_unstable();
        columns.dedup();
        let fields = columns.iter().map(|name| {
            table.field_with_name(name).cloned().map_err(|_| {
                Error::internal(format!("a condition names {name}, which is no column"))
            })
        });
        let schema = Schema::new(fields.collect::<Result<Vec<_>>>()?);
        let bare = bare(expression)?;
        Ok(Self {
            formula: session.formula(&bare, &schema),
            schema: Arc::new(schema),
            contains: contains(&bare),
            is_column: matches!(bare, Expr::Column(_)),
            is_day: is_day(&bare, table),
            told: Told::default(),
            columns,
        })
    }

    fn evaluated(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<ArrayRef> {
        self.formula.as_ref().map_err(Clone::clone)?.evaluate(columns, rows)
    }

    /// The value of each row.
    pub(super) fn values(&self, columns: &Columns) -> Result<ArrayRef> {
        let arrays = self.columns.iter().zip(self.schema.fields()).map(|(name, field)| {
            // A column as it is may stay a dictionary.
            if self.is_column
                && let column = columns.column(name)?
                && dictionary(&column).is_some()
            {
                return Ok(column);
            }
            columns.conformed(name, field.data_type())
        });
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        if self.is_column {
            return arrays.into_iter().next().ok_or_else(|| Error::internal("a column of nothing"));
        }
        if self.is_day
            && let Some(moments) = arrays[0].as_primitive_opt::<TimestampMicrosecondType>()
        {
            return Ok(Arc::new(days(moments)));
        }
        self.evaluated(arrays, columns.rows())
    }

    /// The rows that it is true of.
    pub(super) fn is_true(&self, columns: &Columns) -> Result<Words> {
        if let [name] = &self.columns[..] {
            if let Some(contains) = &self.contains
                && let Some(items) = columns.items(name)?
            {
                return Ok(contains.of(&items));
            }
            let column = columns.column(name)?;
            if let Some(dictionary) = dictionary(&column)
                && dictionary.values.len() <= column.len().max(VALUES_FEW)
            {
                return self.of_dictionary(dictionary);
            }
            if let Some(days) = column.as_primitive_opt::<Date32Type>()
                && let Some(bounds) = columns.bounds(name, days)
                && let Some(words) = self.of_days(days, bounds)?
            {
                return Ok(words);
            }
        }
        let arrays = self
            .columns
            .iter()
            .zip(self.schema.fields())
            .map(|(name, field)| columns.conformed(name, field.data_type()));
        let values = self.evaluated(arrays.collect::<Result<Vec<_>>>()?, columns.rows())?;
        Ok(Words::of_true(truth(&values)?))
    }

    /// Evaluates each day between the least and the greatest once, and null; nothing where that is
    /// more than there are rows. What is asked of a day (its month, its age) is slow to compute.
    fn of_days(&self, days: &Date32Array, bounds: (i32, i32)) -> Result<Option<Words>> {
        let (least, greatest) = bounds;
        let span = i64::from(greatest) - i64::from(least);
        if span >= i64::try_from(days.len()).unwrap_or(i64::MAX) {
            return Ok(None);
        }
        let all: ArrayRef = Arc::new(Date32Array::from_iter_values(least..=greatest));
        let truths = self.truths(&all)?;
        let place = |day: i32| day.wrapping_sub(least);
        let day = |place: i32| place.checked_add(least);
        Ok(Some(truths.of(days.values(), days.nulls(), (place, day))))
    }

    /// Evaluates each distinct value once, and null.
    fn of_dictionary(&self, dictionary: Dictionary<'_>) -> Result<Words> {
        let truths = self.told.of(dictionary.values, &|values| self.truths(values))?;
        let nulls = dictionary.nulls;
        Ok(match dictionary.places {
            Places::Narrow(places) => truths.of(places, nulls, (i32::from, narrow)),
            Places::Wide(places) => truths.of(places, nulls, (|place| place, Some)),
        })
    }

    /// Which of `values` it is true of, and whether of null.
    fn truths(&self, values: &ArrayRef) -> Result<Truths> {
        let data_type = self.schema.field(0).data_type();
        let values = conformed(values, data_type)?;
        let null = new_null_array(data_type, 1);
        let with_null = concat(&[values.as_ref(), null.as_ref()])
            .map_err(|e| Error::internal(format!("a dictionary: {e}")))?;
        let rows = with_null.len();
        let truths = Words::of_true(truth(&self.evaluated(vec![with_null], rows)?)?);
        let is_true = (0..rows - 1).map(|row| truths.has(row)).collect();
        Ok(Truths { is_true, of_null: truths.has(rows - 1) })
    }
}

impl Contains {
    fn of(&self, items: &ItemSets) -> Words {
        let bit = items.places.get(&self.item).map_or(0, |place| 1_u64 << place);
        let found = |set: u64| (set & bit != 0) != self.is_negated;
        let mut words = Words::of_values(&items.sets, found);
        words.and(&items.is_valid.0);
        words
    }
}

impl ItemSets {
    /// The sets of `column`, where it is a list of text with at most [`ITEMS_MAX`] distinct items.
    pub(super) fn of(column: &ArrayRef) -> Option<Self> {
        let lists: &ListArray = column.as_list_opt::<i32>()?;
        let Dictionary { values, places: Places::Wide(keys), nulls } = dictionary(lists.values())?
        else {
            return None;
        };
        let values = cast(values, &DataType::Utf8).ok()?;
        let values = values.as_string_opt::<i32>()?;
        let mut places: HashMap<String, u32> = HashMap::new();
        let mut bits = Vec::with_capacity(values.len());
        for value in values {
            let value = value?;
            let next = u32::try_from(places.len()).ok()?;
            let place = *places.entry(value.to_owned()).or_insert(next);
            bits.push(1_u64.checked_shl(place)?);
        }
        if places.len() > ITEMS_MAX {
            return None;
        }
        let bit_of = |item: usize| {
            let is_null = nulls.is_some_and(|nulls| nulls.is_null(item));
            let key = if is_null { None } else { usize::try_from(keys[item]).ok() };
            key.and_then(|k| bits.get(k)).copied().unwrap_or(0)
        };
        let sets = lists.offsets().windows(2).map(|ends| {
            let items =
                usize::try_from(ends[0]).unwrap_or(0)..usize::try_from(ends[1]).unwrap_or(0);
            items.fold(0, |set, item| set | bit_of(item))
        });
        let sets: Vec<u64> = sets.collect();
        let is_valid = Words::of_true(&is_not_null(lists).ok()?);
        Some(Self { places, sets, is_valid })
    }
}

/// `array` as `data_type`, which the columns of formulas have.
pub(super) fn conformed(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if array.data_type() == data_type {
        return Ok(Arc::clone(array));
    }
    cast(array, data_type).map_err(|e| Error::data(format!("the store's files are broken: {e}")))
}

/// Whether `expression` is `CAST(column AS DATE)` of a column of moments in UTC.
fn is_day(expression: &Expr, table: &Schema) -> bool {
    let Expr::Cast(cast) = expression else { return false };
    let Expr::Column(column) = cast.expr.as_ref() else { return false };
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let of_moments = table.field_with_name(&column.name).is_ok_and(|f| f.data_type() == &utc);
    of_moments && cast.field.data_type() == &DataType::Date32
}

/// The days that moments lie in.
fn days(moments: &TimestampMicrosecondArray) -> Date32Array {
    const DAY_US: i64 = 86_400_000_000;
    moments.unary(|us| i32::try_from(us.div_euclid(DAY_US)).unwrap_or(i32::MAX))
}

fn narrow(place: i32) -> Option<u8> {
    u8::try_from(place).ok()
}

fn truth(values: &ArrayRef) -> Result<&BooleanArray> {
    values.as_boolean_opt().ok_or_else(|| {
        Error::internal(format!("a condition is {}, neither true nor false", values.data_type()))
    })
}

/// `expression` with its columns named without a relation.
pub(super) fn bare(expression: &Expr) -> Result<Expr> {
    expression
        .clone()
        .transform_up(|e| {
            Ok(match e {
                Expr::Column(c) if c.relation.is_some() => Transformed::yes(Expr::Column(
                    crate::query::df::Column::new_unqualified(c.name),
                )),
                other => Transformed::no(other),
            })
        })
        .data()
        .map_err(|e| Error::internal(format!("an expression: {e}")))
}

fn contains(expression: &Expr) -> Option<Contains> {
    let (call, is_negated) = match expression {
        Expr::Not(inner) => (inner.as_ref(), true),
        other => (other, false),
    };
    let Expr::ScalarFunction(ScalarFunction { func, args }) = call else { return None };
    let [Expr::Column(_), Expr::Literal(item, _)] = &args[..] else { return None };
    if func.name() != "array_has" {
        return None;
    }
    match item {
        ScalarValue::Utf8(Some(item))
        | ScalarValue::Utf8View(Some(item))
        | ScalarValue::LargeUtf8(Some(item)) => Some(Contains { item: item.clone(), is_negated }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use arrow::array::{DictionaryArray, Int32Array, StringArray};
    use arrow::datatypes::{Field, Int32Type};
    use proptest::prelude::*;

    use super::*;
    use crate::model::AsOf;
    use crate::query::Limits;
    use crate::query::df::{Column, InList, lit};

    fn column() -> Expr {
        Expr::Column(Column::new_unqualified("word"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_dictionary_is_asked_what_its_rows_would_be(
            distinct in prop::sample::select(vec![1_i32, 2, 40, 63, 64, 65, 200, 256, 300]),
            rows in prop::collection::vec(prop::option::of(any::<u16>()), 0..400),
            named in prop::collection::vec(any::<u16>(), 0..5),
            (negated, or_null) in any::<(bool, bool)>(),
        ) {
            let place = |any: u16| i32::from(any) % distinct;
            let keys: Int32Array = rows.iter().map(|row| row.map(place)).collect();
            let words = StringArray::from_iter_values((0..distinct).map(|n| format!("w{n}")));
            let words = DictionaryArray::<Int32Type>::new(keys, Arc::new(words));
            let list = named.iter().map(|any| lit(format!("w{}", place(*any)))).collect();
            let mut condition = Expr::InList(InList::new(Box::new(column()), list, negated));
            if or_null {
                condition = condition.or(column().is_null());
            }
            let table = Schema::new(vec![Field::new("word", DataType::Utf8View, true)]);
            let limits = Limits::with_threads(NonZeroUsize::MIN);
            let session = Session::new(limits, AsOf::parse("2026-11-01").expect("a time"));
            let value = Value::new(&session.expect("a session"), &condition, &table);
            let value = value.expect("a condition");
            let plain = cast(&words, &DataType::Utf8View).expect("words");
            let plain = value.evaluated(vec![plain], rows.len()).expect("truths");
            let plain = Words::of_true(truth(&plain).expect("truths"));
            let array: ArrayRef = Arc::new(words);
            let columns = HashMap::from([("word".to_owned(), array)]);
            let found = value.is_true(&Columns::new(columns, rows.len())).expect("truths");
            prop_assert_eq!(found, plain);
        }
    }
}

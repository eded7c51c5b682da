//! The SQL functions over bitmaps. In SQL a bitmap is a binary value: portable roaring bytes, as the
//! store keeps them. [`super::functions_agg`] makes one of ids, [`super::in_segment`] asks a segment.
//!
//! - `bitmap_and`, `bitmap_or`, `bitmap_andnot`, `bitmap_xor` of two bitmaps
//! - `bitmap_cardinality`, `bitmap_contains(bitmap, id)`, `bitmap_to_ids`
//! - `bitmap_to_FORMAT(bitmap)` and `bitmap_from_FORMAT(value)` for the formats of the engines
//!
//! NULL in is NULL out. A bitmap that is none is an error that says where its bytes are wrong.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, BinaryBuilder, BooleanArray, Int32Builder, Int64Array,
    ListBuilder, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Error;
use crate::membership::Membership;
use crate::membership::wire::{Format, decode, encode};
use crate::model::ProfileId;

/// The formats that are one value, and so have functions.
const VALUES: [(&str, &str, Format); 8] = [
    ("bitmap_to_roaring", "bitmap_from_roaring", Format::Roaring),
    ("bitmap_to_roaring64", "bitmap_from_roaring64", Format::Roaring64),
    ("bitmap_to_clickhouse", "bitmap_from_clickhouse", Format::ClickHouse),
    ("bitmap_to_clickhouse64", "bitmap_from_clickhouse64", Format::ClickHouse64),
    ("bitmap_to_starrocks", "bitmap_from_starrocks", Format::StarRocks),
    ("bitmap_to_elasticsearch", "bitmap_from_elasticsearch", Format::Elasticsearch),
    ("bitmap_to_druid", "bitmap_from_druid", Format::Druid),
    ("bitmap_to_pinot", "bitmap_from_pinot", Format::Pinot),
];

/// What a function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    And,
    Or,
    AndNot,
    Xor,
    Cardinality,
    Contains,
    ToIds,
    To(Format),
    From(Format),
}

/// A function over bitmaps.
#[derive(Debug, PartialEq, Eq)]
struct BitmapFunction {
    name: &'static str,
    work: Work,
    signature: Signature,
}

impl std::hash::Hash for BitmapFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// All functions of one row over bitmaps.
pub(super) fn all() -> Vec<ScalarUDF> {
    let plain = [
        ("bitmap_and", Work::And),
        ("bitmap_or", Work::Or),
        ("bitmap_andnot", Work::AndNot),
        ("bitmap_xor", Work::Xor),
        ("bitmap_cardinality", Work::Cardinality),
        ("bitmap_contains", Work::Contains),
        ("bitmap_to_ids", Work::ToIds),
    ];
    let formats = VALUES
        .into_iter()
        .flat_map(|(to, from, format)| [(to, Work::To(format)), (from, Work::From(format))]);
    plain
        .into_iter()
        .chain(formats)
        .map(|(name, work)| {
            let signature = Signature::user_defined(Volatility::Immutable);
            ScalarUDF::from(BitmapFunction { name, work, signature })
        })
        .collect()
}

impl ScalarUDFImpl for BitmapFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.work {
            Work::Cardinality => DataType::Int64,
            Work::Contains => DataType::Boolean,
            Work::ToIds => ids_type(),
            Work::To(format) if format.is_text() => DataType::Utf8,
            _ => DataType::Binary,
        })
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let wanted = match self.work {
            Work::And | Work::Or | Work::AndNot | Work::Xor => {
                vec![DataType::Binary, DataType::Binary]
            }
            Work::Contains => vec![DataType::Binary, DataType::Int64],
            Work::From(format) if format.is_text() => vec![DataType::Utf8],
            _ => vec![DataType::Binary],
        };
        let fits = wanted.len() == arguments.len()
            && wanted.iter().zip(arguments).all(|(wanted, found)| is_like(wanted, found));
        if fits {
            return Ok(wanted);
        }
        let shown = |types: &[DataType]| {
            types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        Err(DataFusionError::Plan(format!(
            "{} takes ({}), not ({})",
            self.name,
            shown(&wanted),
            shown(arguments)
        )))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let all_scalar =
            arguments.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if all_scalar { 1 } else { rows };
        let columns = arguments
            .args
            .iter()
            .map(|value| Column::new(value, rows))
            .collect::<Result<Vec<_>>>()?;
        let result = self.rows(&columns, rows)?;
        if all_scalar {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(
                &result, 0,
            )?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// Whether a value of type `found` is taken where `wanted` is.
fn is_like(wanted: &DataType, found: &DataType) -> bool {
    match wanted {
        _ if found.is_null() => true,
        DataType::Binary => found.is_binary(),
        DataType::Utf8 => found.is_string(),
        _ => found.is_integer(),
    }
}

impl BitmapFunction {
    fn rows(&self, columns: &[Column], rows: usize) -> Result<ArrayRef> {
        let [first, rest @ ..] = columns else {
            return Err(internal("a function without arguments"));
        };
        let mut first = Bitmaps::new(first);
        let mut second = rest.first().map(Bitmaps::new);
        let mut pair = |row: usize, combine: fn(&Membership, &Membership) -> Membership| {
            let second = second.as_mut().ok_or_else(|| internal("a second bitmap is missing"))?;
            let (Some(a), Some(b)) = (first.get(row)?, second.get(row)?) else { return Ok(None) };
            Ok(Some(encode(&combine(a, b), Format::Roaring)))
        };
        Ok(match self.work {
            Work::And => binary(rows, |row| pair(row, Membership::and))?,
            Work::Or => binary(rows, |row| pair(row, Membership::or))?,
            Work::AndNot => binary(rows, |row| pair(row, Membership::and_not))?,
            Work::Xor => binary(rows, |row| pair(row, Membership::xor))?,
            Work::Cardinality => {
                let count = |row| Ok(first.get(row)?.map(|set| set.len().cast_signed()));
                Arc::new((0..rows).map(count).collect::<Result<Int64Array>>()?)
            }
            Work::Contains => {
                let ids = rest.first().ok_or_else(|| internal("an id is missing"))?;
                let found = |row| {
                    let Some((set, id)) = first.get(row)?.zip(ids.int(row)) else {
                        return Ok(None);
                    };
                    let id = u32::try_from(id).ok().and_then(ProfileId::new);
                    Ok(Some(id.is_some_and(|id| set.contains(id))))
                };
                Arc::new((0..rows).map(found).collect::<Result<BooleanArray>>()?)
            }
            Work::ToIds => to_ids(rows, &mut first)?,
            Work::To(format) if format.is_text() => {
                let mut text = StringBuilder::new();
                for row in 0..rows {
                    let bytes = first.get(row)?.map(|set| encode(set, format));
                    let line = bytes.map(String::from_utf8).transpose();
                    let line = line.map_err(|e| internal(&e.to_string()))?;
                    text.append_option(line.as_deref().map(str::trim_end));
                }
                Arc::new(text.finish())
            }
            Work::To(format) => {
                binary(rows, |row| Ok(first.get(row)?.map(|set| encode(set, format))))?
            }
            Work::From(format) => {
                let column = first.column;
                let made = |row| {
                    let Some(bytes) = column.bytes(row) else { return Ok(None) };
                    let set = decode(bytes, format).map_err(|e| self.failed(&e))?;
                    Ok(Some(encode(&set, Format::Roaring)))
                };
                binary(rows, made)?
            }
        })
    }

    fn failed(&self, cause: &Error) -> DataFusionError {
        DataFusionError::Execution(format!("{}: {cause}", self.name))
    }
}

fn ids_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)))
}

fn to_ids(rows: usize, bitmaps: &mut Bitmaps<'_>) -> Result<ArrayRef> {
    let mut lists = ListBuilder::new(Int32Builder::new());
    for row in 0..rows {
        match bitmaps.get(row)? {
            Some(set) => {
                set.iter().for_each(|id| lists.values().append_value(id.get().cast_signed()));
                lists.append(true);
            }
            None => lists.append(false),
        }
    }
    Ok(Arc::new(lists.finish()))
}

fn binary(rows: usize, mut make: impl FnMut(usize) -> Result<Option<Vec<u8>>>) -> Result<ArrayRef> {
    let mut builder = BinaryBuilder::new();
    for row in 0..rows {
        builder.append_option(make(row)?);
    }
    Ok(Arc::new(builder.finish()))
}

fn internal(what: &str) -> DataFusionError {
    DataFusionError::Internal(format!("bitmaps: {what}"))
}

/// An argument: one value for all rows, or a value a row.
struct Column {
    array: ArrayRef,
    is_scalar: bool,
}

impl Column {
    fn new(value: &ColumnarValue, rows: usize) -> Result<Self> {
        let is_scalar = matches!(value, ColumnarValue::Scalar(_));
        let array = value.to_array(if is_scalar { 1 } else { rows })?;
        Ok(Self { array, is_scalar })
    }

    fn place(&self, row: usize) -> usize {
        if self.is_scalar { 0 } else { row }
    }

    fn bytes(&self, row: usize) -> Option<&[u8]> {
        let row = self.place(row);
        if self.array.is_null(row) {
            return None;
        }
        match self.array.data_type() {
            DataType::Utf8 => Some(self.array.as_string::<i32>().value(row).as_bytes()),
            DataType::Binary => Some(self.array.as_binary::<i32>().value(row)),
            _ => None,
        }
    }

    fn int(&self, row: usize) -> Option<i64> {
        let row = self.place(row);
        self.array.is_valid(row).then(|| self.array.as_primitive::<Int64Type>().value(row))
    }
}

/// The bitmaps of an argument; one that comes again at once is decoded once.
struct Bitmaps<'a> {
    column: &'a Column,
    last: Option<(usize, Membership)>,
}

impl<'a> Bitmaps<'a> {
    fn new(column: &'a Column) -> Self {
        Self { column, last: None }
    }

    fn get(&mut self, row: usize) -> Result<Option<&Membership>> {
        let Some(bytes) = self.column.bytes(row) else { return Ok(None) };
        let same =
            self.last.as_ref().is_some_and(|(last, _)| self.column.bytes(*last) == Some(bytes));
        if !same {
            let set = decode(bytes, Format::Roaring)
                .map_err(|e| DataFusionError::Execution(e.to_string()))?;
            self.last = Some((row, set));
        }
        Ok(self.last.as_ref().map(|(_, set)| set))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::BinaryArray;

    use super::*;

    /// A column of one bitmap.
    fn one(ids: &[u32]) -> BinaryArray {
        let set: Membership = ids.iter().filter_map(|id| ProfileId::new(*id)).collect();
        BinaryArray::from_iter_values([encode(&set, Format::Roaring)])
    }

    #[test]
    fn a_bitmap_that_comes_again_is_decoded_once() {
        let column = Column { array: Arc::new(one(&[3, 5])), is_scalar: true };
        let mut bitmaps = Bitmaps::new(&column);
        for row in 0..3 {
            assert_eq!(bitmaps.get(row).expect("a bitmap").map(Membership::len), Some(2));
        }
        assert_eq!(bitmaps.last.as_ref().map(|(row, _)| *row), Some(0));
    }
}

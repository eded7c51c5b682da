//! The Arrow types that Throng keeps the columns of Parquet files in, and which type holds the
//! values of two of them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use super::types::timestamp;

/// The type that a column of `found` is kept in: signed integers, text as `Utf8`, times in
/// microseconds UTC, times of day and intervals as text, durations as microseconds, lists alike.
/// Structs and maps stay as they are.
pub(super) fn kept_type(found: &DataType) -> DataType {
    match found {
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::Duration(_) => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Interval(_)
        | DataType::Decimal256(39.., _) => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(..) => timestamp(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal256(precision, scale) => DataType::Decimal128(*precision, *scale),
        DataType::Dictionary(_, value) => kept_type(value),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            DataType::List(Arc::new(Field::new_list_field(kept_type(item.data_type()), true)))
        }
        other => other.clone(),
    }
}

/// The narrowest type that holds all values of both, if there is one.
pub(super) fn widen(a: &DataType, b: &DataType) -> Option<DataType> {
    if a == b || *b == DataType::Null {
        return Some(a.clone());
    }
    if *a == DataType::Null {
        return Some(b.clone());
    }
    let (int_a, int_b) = (int_digits(a), int_digits(b));
    match (a, b) {
        (DataType::Decimal128(..), _) | (_, DataType::Decimal128(..)) => {
            decimal(decimal_digits(a)?, decimal_digits(b)?)
        }
        (DataType::Float32 | DataType::Float64, DataType::Float32 | DataType::Float64) => {
            Some(DataType::Float64)
        }
        // Every integer of at most 32 bits is a double.
        (DataType::Float32 | DataType::Float64, _) => (int_b? <= 10).then_some(DataType::Float64),
        (_, DataType::Float32 | DataType::Float64) => (int_a? <= 10).then_some(DataType::Float64),
        _ => Some(if int_a? > int_b? { a.clone() } else { b.clone() }),
    }
}

/// The most digits of an integer of this type.
fn int_digits(data_type: &DataType) -> Option<u8> {
    match data_type {
        DataType::Int8 => Some(3),
        DataType::Int16 => Some(5),
        DataType::Int32 => Some(10),
        DataType::Int64 => Some(19),
        _ => None,
    }
}

/// The most digits before and after the point.
fn decimal_digits(data_type: &DataType) -> Option<(i16, i8)> {
    match data_type {
        DataType::Decimal128(precision, scale) => {
            Some((i16::from(*precision) - i16::from(*scale), *scale))
        }
        other => Some((i16::from(int_digits(other)?), 0)),
    }
}

fn decimal(a: (i16, i8), b: (i16, i8)) -> Option<DataType> {
    let (whole, scale) = (a.0.max(b.0), a.1.max(b.1));
    let precision = u8::try_from(whole + i16::from(scale)).ok()?;
    (precision <= 38).then_some(DataType::Decimal128(precision, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_loses_nothing() {
        use DataType::{Decimal128, Float32, Float64, Int16, Int32, Int64, Null, Utf8};
        for (a, b, expected) in [
            (Int32, Int64, Some(Int64)),
            (Int16, Int32, Some(Int32)),
            (Int32, Float64, Some(Float64)),
            (Int64, Float64, None),
            (Float32, Float64, Some(Float64)),
            (Int64, Utf8, None),
            (Null, Utf8, Some(Utf8)),
            (Decimal128(20, 0), Int64, Some(Decimal128(20, 0))),
            (Decimal128(12, 2), Decimal128(10, 4), Some(Decimal128(14, 4))),
            (Decimal128(38, 0), Decimal128(38, 10), None),
            (Decimal128(12, 2), Float64, None),
        ] {
            assert_eq!(widen(&a, &b), expected, "{a} {b}");
            assert_eq!(widen(&b, &a), expected, "{b} {a}");
        }
    }
}

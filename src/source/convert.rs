//! Decoded Parquet columns to the types of the table. A value that has no counterpart makes its
//! row a reject; nothing is rounded or cut in silence.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::column::Column;
use super::guess::Rules;
use super::table::ColumnPlan;
use super::times::in_years;
use super::types::type_name;
use crate::error::{Error, Result};

/// The rows of a batch that do not fit: why, and the value.
pub(super) type Bad = BTreeMap<usize, (String, String)>;

/// Brings `array` to the type of `column`; rows that do not fit are noted in `bad`, and are null in
/// what is returned.
///
/// # Errors
/// Where no value of the array's type can be one of the column's.
pub(super) fn convert(
    array: &ArrayRef,
    column: &ColumnPlan,
    rules: &Rules,
    bad: &mut Bad,
) -> Result<ArrayRef> {
    let wanted = &column.data_type;
    match (array.data_type(), wanted) {
        (DataType::Timestamp(..), DataType::Timestamp(..)) => moments(array, column, rules, bad),
        (found, wanted) if found == wanted => Ok(Arc::clone(array)),
        (found, DataType::Dictionary(_, value)) if !is_text(found) => {
            let plain = ColumnPlan { data_type: (**value).clone(), ..column.clone() };
            let text = convert(array, &plain, rules, bad)?;
            cast_with_options(&text, wanted, &SAFE).map_err(|it| no_way(array, column, it))
        }
        (DataType::FixedSizeBinary(16), DataType::Utf8) => {
            Ok(uuid_texts(array.as_fixed_size_binary()))
        }
        (DataType::Duration(_), DataType::Int64) => {
            let micros = DataType::Duration(TimeUnit::Microsecond);
            let micros =
                cast_with_options(array, &micros, &SAFE).map_err(|it| no_way(array, column, it))?;
            checked_cast(&micros, column, bad)
        }
        (found, wanted) if is_text(found) && !is_text(wanted) => reread(array, column, rules, bad),
        (found, DataType::Timestamp(..) | DataType::Date32) if found.is_integer() => {
            reread(array, column, rules, bad)
        }
        _ => checked_cast(array, column, bad),
    }
}

const SAFE: CastOptions<'static> = CastOptions { safe: true, format_options: FormatOptions::new() };

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn no_way(array: &ArrayRef, column: &ColumnPlan, cause: ArrowError) -> Error {
    let (name, found) = (&column.name, type_name(array.data_type()));
    Error::data(format!(
        "column \"{name}\" is {found}, which is no {}",
        type_name(&column.data_type)
    ))
    .with_hint(format!("declare another type, for instance types: {name} text"))
    .with_cause(cause)
}

/// Casts, and notes the rows whose value is lost or, between numbers, changed.
fn checked_cast(array: &ArrayRef, column: &ColumnPlan, bad: &mut Bad) -> Result<ArrayRef> {
    let wanted = &column.data_type;
    let failed = |cause| no_way(array, column, cause);
    let out = cast_with_options(array, wanted, &SAFE).map_err(failed)?;
    if out.logical_null_count() > array.logical_null_count() {
        for row in (0..array.len()).filter(|&row| array.is_valid(row) && out.is_null(row)) {
            note(array, row, column, &format!("is no {}", type_name(wanted)), bad);
        }
    }
    let whole = |it: &DataType| it.is_integer() || matches!(it, DataType::Decimal128(_, 0));
    if array.data_type().is_numeric() && (whole(wanted) || *wanted == DataType::Float64) {
        let back = cast_with_options(&out, array.data_type(), &SAFE).map_err(failed)?;
        let same = not_distinct(&back, array).map_err(failed)?;
        for row in (0..array.len()).filter(|&row| !same.value(row) && out.is_valid(row)) {
            note(array, row, column, &format!("is no {}", type_name(wanted)), bad);
        }
    }
    Ok(out)
}

/// Reads text, or counts since 1970, as the text formats are read.
fn reread(array: &ArrayRef, column: &ColumnPlan, rules: &Rules, bad: &mut Bad) -> Result<ArrayRef> {
    let failed = |cause| no_way(array, column, cause);
    let mut out = Column::new(&column.name, &column.data_type, column.reading)?;
    let text = cast_with_options(array, &DataType::Utf8, &SAFE).map_err(failed)?;
    for (row, value) in text.as_string::<i32>().iter().enumerate() {
        let fitted = match value {
            None => {
                out.push_null();
                Ok(())
            }
            Some(value) => out.push_text(value.as_bytes(), rules),
        };
        if let Err(reason) = fitted {
            out.push_null();
            bad.entry(row).or_insert_with(|| (reason, value.unwrap_or_default().to_owned()));
        }
    }
    out.finish()
}

/// Times of any unit as microseconds UTC, those without a zone in the source's. What is finer than
/// a microsecond is cut off.
fn moments(
    array: &ArrayRef,
    column: &ColumnPlan,
    rules: &Rules,
    bad: &mut Bad,
) -> Result<ArrayRef> {
    let failed = |cause| no_way(array, column, cause);
    let raw = cast_with_options(array, &DataType::Int64, &SAFE).map_err(failed)?;
    let raw = raw.as_primitive::<Int64Type>();
    let naive = matches!(array.data_type(), DataType::Timestamp(_, None));
    let (times, per) = match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => (1_000_000, 1),
        DataType::Timestamp(TimeUnit::Millisecond, _) => (1_000, 1),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => (1, 1_000),
        _ => (1, 1),
    };
    let micros: Vec<i64> = raw
        .iter()
        .enumerate()
        .map(|(row, value)| {
            let Some(value) = value else { return 0 };
            let scaled = value.saturating_mul(times).div_euclid(per);
            let moment = if naive { rules.times.localise(scaled) } else { in_years(scaled) };
            moment.unwrap_or_else(|fault| {
                note(array, row, column, &fault.reason("timestamp"), bad);
                0
            })
        })
        .collect();
    let out = TimestampMicrosecondArray::new(micros.into(), raw.nulls().cloned());
    Ok(Arc::new(out.with_timezone("UTC")))
}

fn note(array: &ArrayRef, row: usize, column: &ColumnPlan, fault: &str, bad: &mut Bad) {
    let options = FormatOptions::new().with_display_error(true);
    let text = ArrayFormatter::try_new(array, &options)
        .map(|formatter| formatter.value(row).to_string())
        .unwrap_or_default();
    let reason = format!("column \"{}\": \"{text}\" {fault}", column.name);
    bad.entry(row).or_insert((reason, text));
}

/// UUIDs as they are written, in lower-case hex with dashes.
fn uuid_texts(array: &FixedSizeBinaryArray) -> ArrayRef {
    let text = |bytes: &[u8]| {
        let mut text = String::with_capacity(36);
        for (at, byte) in bytes.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('?'));
            }
        }
        text
    };
    Arc::new(array.iter().map(|value| value.map(text)).collect::<StringArray>())
}

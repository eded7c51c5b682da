//! Columns under construction: fields of text and JSON values in, Arrow arrays out, without an
//! allocation per value. A row that fails half way is taken back with [`Column::truncate`].

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, ListArray, NullBufferBuilder, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};

use super::guess::Rules;
use super::numbers::{Numbers, is_padded, truth};
use super::times::{Reading, Times};
use super::types::type_name;
use crate::error::{Error, Result};

/// The longest value that a reason quotes, in characters.
const QUOTED_CHARS_MAX: usize = 60;

/// What is wrong with `007` in a column that was taken for one of numbers.
const PADDED: &str = "has a leading zero or plus sign that a number would lose";

/// Offsets into bytes, as Arrow keeps strings.
#[derive(Debug)]
struct Texts {
    ends: Vec<i32>,
    bytes: Vec<u8>,
}

impl Texts {
    fn new() -> Self {
        Self { ends: vec![0], bytes: Vec::new() }
    }

    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        // Batches end long before 2 GiB (see `rows::TEXT_BYTES_MAX`).
        self.ends.push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
    }

    fn truncate(&mut self, texts: usize) {
        self.ends.truncate(texts + 1);
        self.bytes.truncate(self.ends.last().map_or(0, |&end| end.cast_unsigned() as usize));
    }

    fn finish(&mut self, nulls: Option<NullBuffer>) -> Result<StringArray> {
        let done = std::mem::replace(self, Self::new());
        let offsets = OffsetBuffer::new(done.ends.into());
        StringArray::try_new(offsets, Buffer::from_vec(done.bytes), nulls)
            .map_err(|cause| Error::internal("a text column is not UTF-8").with_cause(cause))
    }
}

#[derive(Debug)]
enum Values {
    Bool(Vec<bool>),
    Int { values: Vec<i64>, range: std::ops::RangeInclusive<i64> },
    Float(Vec<f64>),
    Decimal { values: Vec<i128>, precision: u8, scale: i8 },
    Date(Vec<i32>),
    Time(Vec<i64>),
    Text(Texts),
    List { ends: Vec<i32>, items: Texts },
}

/// A column that rows are added to.
#[derive(Debug)]
pub(super) struct Column {
    name: String,
    data_type: DataType,
    reading: Reading,
    values: Values,
    valid: NullBufferBuilder,
    len: usize,
}

impl Column {
    /// An empty column.
    ///
    /// # Errors
    /// Where text cannot be read as `data_type`.
    pub(super) fn new(name: &str, data_type: &DataType, reading: Reading) -> Result<Self> {
        let ints = |range| Values::Int { values: Vec::new(), range };
        let values = match data_type {
            DataType::Boolean => Values::Bool(Vec::new()),
            DataType::Int16 => ints(i16::MIN.into()..=i16::MAX.into()),
            DataType::Int32 => ints(i32::MIN.into()..=i32::MAX.into()),
            DataType::Int64 => ints(i64::MIN..=i64::MAX),
            DataType::Float32 | DataType::Float64 => Values::Float(Vec::new()),
            DataType::Decimal128(precision, scale) => {
                Values::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Timestamp(..) => Values::Time(Vec::new()),
            DataType::Utf8 => Values::Text(Texts::new()),
            DataType::List(_) => Values::List { ends: vec![0], items: Texts::new() },
            other => {
                return Err(Error::input(format!(
                    "column \"{name}\": text is not read as {other}"
                )));
            }
        };
        Ok(Self {
            name: name.to_owned(),
            data_type: data_type.clone(),
            reading,
            values,
            valid: NullBufferBuilder::new(0),
            len: 0,
        })
    }

    /// The column's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Rows so far.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a field of text, which is UTF-8; a null spelling becomes null, and so does a blank field
    /// of any type but text.
    ///
    /// # Errors
    /// The reason why it does not fit; the column is then as it was.
    pub(super) fn push_text(&mut self, field: &[u8], rules: &Rules) -> Result<(), String> {
        if rules.is_null(field) {
            self.push_null();
            return Ok(());
        }
        self.push_value(field, rules.numbers, &rules.times)
    }

    fn push_value(&mut self, field: &[u8], numbers: Numbers, times: &Times) -> Result<(), String> {
        if field.trim_ascii().is_empty() && !matches!(self.values, Values::Text(_)) {
            self.push_null();
            return Ok(());
        }
        let reading = self.reading;
        let inferred = reading == Reading::Inferred;
        let fault = match &mut self.values {
            Values::Int { .. } | Values::Float(_) if inferred && is_padded(field) => {
                Some(PADDED.to_owned())
            }
            Values::Text(texts) => {
                texts.push(field);
                None
            }
            Values::Bool(values) => push(values, truth(field), "is neither true nor false"),
            Values::Int { values, range } => {
                let int = numbers.int(field);
                push(values, int.filter(|int| range.contains(int)), "is no integer")
            }
            Values::Float(values) => push(values, numbers.float(field), "is no number"),
            Values::Decimal { values, precision, scale } => {
                push(values, numbers.decimal(field, *precision, *scale), "does not fit")
            }
            Values::Date(values) => push_time(values, times.date(field, reading), "date"),
            Values::Time(values) => push_time(values, times.timestamp(field, reading), "timestamp"),
            Values::List { .. } => Some("is no list".to_owned()),
        };
        match fault {
            None => {
                self.valid.append_non_null();
                self.len += 1;
                Ok(())
            }
            Some(fault) => Err(self.reason(field, &fault)),
        }
    }

    /// Adds a whole number.
    ///
    /// # Errors
    /// As [`Column::push_text`].
    pub(super) fn push_int(&mut self, int: i64, rules: &Rules) -> Result<(), String> {
        match &mut self.values {
            Values::Int { values, range } if range.contains(&int) => {
                values.push(int);
                self.valid.append_non_null();
                self.len += 1;
                Ok(())
            }
            _ => self.push_plain(int.to_string().as_bytes(), rules),
        }
    }

    /// Adds a float.
    ///
    /// # Errors
    /// As [`Column::push_text`].
    pub(super) fn push_float(&mut self, float: f64, rules: &Rules) -> Result<(), String> {
        if let Values::Float(values) = &mut self.values {
            values.push(float);
            self.valid.append_non_null();
            self.len += 1;
            return Ok(());
        }
        let text =
            serde_json::Number::from_f64(float).map_or_else(String::new, |it| it.to_string());
        self.push_plain(text.as_bytes(), rules)
    }

    /// Adds a JSON string; the empty string stays one in a column of text.
    ///
    /// # Errors
    /// As [`Column::push_text`].
    pub(super) fn push_string(&mut self, text: &str, rules: &Rules) -> Result<(), String> {
        if text.is_empty() && matches!(self.values, Values::Text(_)) {
            return self.push_value(b"", rules.numbers, &rules.times);
        }
        self.push_text(text.as_bytes(), rules)
    }

    /// Adds a number in JSON's spelling, with a point whatever the source's decimal mark.
    pub(super) fn push_plain(&mut self, text: &[u8], rules: &Rules) -> Result<(), String> {
        self.push_value(text, Numbers::new(None), &rules.times)
    }

    /// Adds a list of strings.
    ///
    /// # Errors
    /// Where the column is no list.
    pub(super) fn push_list<'a>(
        &mut self,
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<(), String> {
        let Values::List { ends, items } = &mut self.values else {
            return Err(self.reason(b"[..]", "is a list"));
        };
        texts.for_each(|text| items.push(text.as_bytes()));
        ends.push(i32::try_from(items.ends.len() - 1).unwrap_or(i32::MAX));
        self.valid.append_non_null();
        self.len += 1;
        Ok(())
    }

    /// Whether lists are what this column holds.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.values, Values::List { .. })
    }

    /// Whether text is what this column holds.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.values, Values::Text(_))
    }

    /// Adds a null.
    pub(super) fn push_null(&mut self) {
        match &mut self.values {
            Values::Bool(values) => values.push(false),
            Values::Int { values, .. } | Values::Time(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Date(values) => values.push(0),
            Values::Text(texts) => texts.push(b""),
            Values::List { ends, items } => {
                ends.push(i32::try_from(items.ends.len() - 1).unwrap_or(i32::MAX));
            }
        }
        self.valid.append_null();
        self.len += 1;
    }

    /// Takes back all rows from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        if self.len <= len {
            return;
        }
        match &mut self.values {
            Values::Bool(values) => values.truncate(len),
            Values::Int { values, .. } | Values::Time(values) => values.truncate(len),
            Values::Float(values) => values.truncate(len),
            Values::Decimal { values, .. } => values.truncate(len),
            Values::Date(values) => values.truncate(len),
            Values::Text(texts) => texts.truncate(len),
            Values::List { ends, items } => {
                ends.truncate(len + 1);
                items.truncate(ends.last().map_or(0, |&end| end.cast_unsigned() as usize));
            }
        }
        self.valid.truncate(len);
        self.len = len;
    }

    /// Hands over the rows as an array and starts again with none.
    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        let nulls = self.valid.finish();
        self.len = 0;
        let array: ArrayRef = match &mut self.values {
            Values::Bool(values) => {
                Arc::new(BooleanArray::new(std::mem::take(values).into(), nulls))
            }
            Values::Int { values, .. } => {
                finish_ints(&self.data_type, std::mem::take(values), nulls)
            }
            Values::Float(values) => finish_floats(&self.data_type, std::mem::take(values), nulls),
            Values::Decimal { values, .. } => Arc::new(
                Decimal128Array::new(std::mem::take(values).into(), nulls)
                    .with_data_type(self.data_type.clone()),
            ),
            Values::Date(values) => {
                Arc::new(Date32Array::new(std::mem::take(values).into(), nulls))
            }
            Values::Time(values) => Arc::new(
                TimestampMicrosecondArray::new(std::mem::take(values).into(), nulls)
                    .with_data_type(self.data_type.clone()),
            ),
            Values::Text(texts) => Arc::new(texts.finish(nulls)?),
            Values::List { ends, items } => {
                let offsets = OffsetBuffer::new(std::mem::replace(ends, vec![0]).into());
                let field = Arc::new(Field::new_list_field(DataType::Utf8, true));
                Arc::new(ListArray::new(field, offsets, Arc::new(items.finish(None)?), nulls))
            }
        };
        Ok(array)
    }

    fn reason(&self, value: &[u8], fault: &str) -> String {
        let value = String::from_utf8_lossy(value);
        let mut quoted: String = value.chars().take(QUOTED_CHARS_MAX).collect();
        if quoted.len() < value.len() {
            quoted.push_str("...");
        }
        let name = &self.name;
        let fault = match (&self.values, fault) {
            (Values::Decimal { .. }, "does not fit") => {
                format!("is no {}", type_name(&self.data_type))
            }
            (Values::Int { .. }, "is no integer") if self.data_type != DataType::Int64 => {
                format!("is no {}", type_name(&self.data_type))
            }
            _ => fault.to_owned(),
        };
        match self.reading {
            Reading::Inferred => {
                let word =
                    if name.contains([' ', ',']) { format!("\"{name}\"") } else { name.clone() };
                format!("column \"{name}\": \"{quoted}\" {fault}; declare types: {word} text")
            }
            Reading::Declared => format!("column \"{name}\": \"{quoted}\" {fault}"),
        }
    }
}

fn push<T>(values: &mut Vec<T>, value: Option<T>, fault: &str) -> Option<String> {
    match value {
        Some(value) => {
            values.push(value);
            None
        }
        None => Some(fault.to_owned()),
    }
}

fn push_time<T>(
    values: &mut Vec<T>,
    value: Result<T, super::times::TimeFault>,
    wanted: &str,
) -> Option<String> {
    value.map(|value| values.push(value)).err().map(|fault| fault.reason(wanted))
}

#[expect(clippy::cast_possible_truncation, reason = "push checked the range")]
fn finish_ints(data_type: &DataType, values: Vec<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
    match data_type {
        DataType::Int16 => {
            let values: Vec<i16> = values.into_iter().map(|value| value as i16).collect();
            Arc::new(Int16Array::new(values.into(), nulls))
        }
        DataType::Int32 => {
            let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
            Arc::new(Int32Array::new(values.into(), nulls))
        }
        _ => Arc::new(Int64Array::new(values.into(), nulls)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "real is what the user declared")]
fn finish_floats(data_type: &DataType, values: Vec<f64>, nulls: Option<NullBuffer>) -> ArrayRef {
    if *data_type == DataType::Float32 {
        let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        Arc::new(Float32Array::new(values.into(), nulls))
    } else {
        Arc::new(Float64Array::new(values.into(), nulls))
    }
}

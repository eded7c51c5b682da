//! Arrow columns made without a text for each row: words by number, ids by digits.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int8Array, Int16Array, PrimitiveArray, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Int8Type, Int16Type, TimeUnit};

/// The Arrow type of a moment.
pub(super) fn moment_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The Arrow type of up to 128 words.
pub(super) fn words_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))
}

/// The Arrow type of up to 32,768 words.
pub(super) fn many_words_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8))
}

/// A column of words from a short list; every key must be a place in it.
pub(super) fn words<'a>(
    list: impl IntoIterator<Item = &'a str>,
    keys: impl IntoIterator<Item = Option<u8>>,
) -> ArrayRef {
    let values = StringArray::from_iter_values(list);
    let keys: Int8Array = keys.into_iter().map(|key| key.map(|key| key as i8)).collect();
    Arc::new(DictionaryArray::<Int8Type>::new(keys, Arc::new(values)))
}

/// A column of words from a long list; every key must be a place in it.
pub(super) fn many_words(
    list: &Arc<StringArray>,
    keys: impl IntoIterator<Item = Option<u16>>,
) -> ArrayRef {
    let keys: Int16Array = keys.into_iter().map(|key| key.map(|key| key as i16)).collect();
    let values: ArrayRef = Arc::<StringArray>::clone(list);
    Arc::new(DictionaryArray::<Int16Type>::new(keys, values))
}

/// A column of ids: a letter and `width` digits to `base` 10 or 16; 0 is null where `nullable`.
pub(super) fn ids(
    letter: u8,
    width: usize,
    base: u64,
    numbers: impl ExactSizeIterator<Item = Option<u64>>,
) -> ArrayRef {
    let rows = numbers.len();
    let mut text = Vec::with_capacity(rows * (width + 1));
    let mut lengths = Vec::with_capacity(rows);
    for number in numbers {
        lengths.push(if number.is_some() { width + 1 } else { 0 });
        let Some(mut rest) = number else { continue };
        let start = text.len();
        text.resize(start + width + 1, letter);
        for digit in text[start + 1..].iter_mut().rev() {
            *digit = b"0123456789abcdef"[(rest % base) as usize];
            rest /= base;
        }
    }
    let valid: NullBuffer = lengths.iter().map(|length| *length > 0).collect();
    let valid = Some(valid).filter(|valid| valid.null_count() > 0);
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(StringArray::new(offsets, Buffer::from_vec(text), valid))
}

/// A column of numbers.
pub(super) fn numbers<T: arrow::datatypes::ArrowPrimitiveType>(
    values: impl IntoIterator<Item = Option<T::Native>>,
) -> PrimitiveArray<T> {
    values.into_iter().collect()
}

//! Dictionary columns: distinct values, and each row's place among them. Columns of few values that stay
//! in memory have places of one byte, so that a condition on them goes over a quarter of the memory.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, DictionaryArray, UInt8Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Int32Type, UInt8Type};

/// Values that a place of one byte can name.
const NARROW: usize = 256;

/// Each row's place among the values of a dictionary; what stands for a null is no place.
#[derive(Debug, Clone, Copy)]
pub enum Places<'a> {
    /// Among at most 256 values.
    Narrow(&'a [u8]),
    /// Among any number.
    Wide(&'a [i32]),
}

/// A dictionary column.
#[derive(Debug, Clone, Copy)]
pub struct Dictionary<'a> {
    /// The distinct values.
    pub values: &'a ArrayRef,
    /// Where each row's value is.
    pub places: Places<'a>,
    /// The rows that are null.
    pub nulls: Option<&'a NullBuffer>,
}

/// `array` as a dictionary, where it is one.
pub fn dictionary(array: &ArrayRef) -> Option<Dictionary<'_>> {
    if let Some(narrow) = array.as_dictionary_opt::<UInt8Type>() {
        let (places, nulls) = (Places::Narrow(narrow.keys().values()), narrow.keys().nulls());
        return Some(Dictionary { values: narrow.values(), places, nulls });
    }
    let wide = array.as_dictionary_opt::<Int32Type>()?;
    let (places, nulls) = (Places::Wide(wide.keys().values()), wide.keys().nulls());
    Some(Dictionary { values: wide.values(), places, nulls })
}

/// `array` with places of one byte, where it is a dictionary of few values.
pub(super) fn narrowed(array: ArrayRef) -> ArrayRef {
    let Some(wide) = array.as_dictionary_opt::<Int32Type>() else { return array };
    if wide.values().len() > NARROW {
        return array;
    }
    let places = wide.keys().values().iter().map(|place| place.to_le_bytes()[0]);
    let keys = UInt8Array::new(places.collect(), wide.keys().nulls().cloned());
    match DictionaryArray::try_new(keys, Arc::clone(wide.values())) {
        Ok(narrow) => Arc::new(narrow),
        Err(_) => array,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringArray};
    use arrow::compute::cast;
    use arrow::datatypes::DataType;
    use proptest::prelude::*;

    use super::*;

    fn text(array: &ArrayRef) -> ArrayRef {
        cast(array, &DataType::Utf8).expect("text")
    }

    proptest! {
        #[test]
        fn narrow_places_are_of_the_same_values(
            count in 1..400_usize,
            rows in prop::collection::vec(prop::option::of(0..400_usize), 0..90),
        ) {
            let values = StringArray::from_iter_values((0..count).map(|n| n.to_string()));
            let keys = rows.iter().map(|row| row.map(|n| i32::try_from(n % count).expect("small")));
            let wide = DictionaryArray::new(keys.collect::<Int32Array>(), Arc::new(values));
            let wide: ArrayRef = Arc::new(wide);
            let narrow = narrowed(Arc::clone(&wide));
            prop_assert_eq!(&text(&narrow), &text(&wide));
            let found = dictionary(&narrow).expect("a dictionary");
            prop_assert_eq!(matches!(found.places, Places::Narrow(_)), count <= NARROW);
            prop_assert_eq!(found.nulls.map_or(0, NullBuffer::null_count), wide.null_count());
        }
    }
}

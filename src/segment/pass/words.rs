//! Sets inside a pass: one bit a row or one bit an id, in words of 64.

use arrow::array::{Array as _, BooleanArray};
use fearless_simd::{Level, dispatch};

/// Bits of a run of rows, or of the ids of a shard from its first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Words(pub(super) Vec<u64>);

impl Words {
    /// `bits` bits, none of them set.
    pub(super) fn zeros(bits: usize) -> Self {
        Self(vec![0; bits.div_ceil(64)])
    }

    /// Bits `0..bits`, all of them set.
    pub(super) fn ones(bits: usize) -> Self {
        let mut words = vec![u64::MAX; bits.div_ceil(64)];
        if let Some(last) = words.last_mut()
            && !bits.is_multiple_of(64)
        {
            *last = (1 << (bits % 64)) - 1;
        }
        Self(words)
    }

    /// The rows of `values` that are true; null is not true.
    pub(super) fn of_true(values: &BooleanArray) -> Self {
        let bits = values.values().bit_chunks().iter_padded();
        let mut words: Vec<u64> = match values.nulls().filter(|n| n.null_count() > 0) {
            None => bits.collect(),
            Some(nulls) => {
                let valid = nulls.inner().bit_chunks().iter_padded();
                bits.zip(valid).map(|(value, valid)| value & valid).collect()
            }
        };
        words.truncate(values.len().div_ceil(64));
        Self(words)
    }

    /// The rows whose value `test` is true of. The loop is compiled for each kind of vector unit: SSE2,
    /// which every machine has, cannot even compare 64-bit numbers.
    pub(super) fn of_values<T: Copy>(values: &[T], test: impl Fn(T) -> bool) -> Self {
        dispatch!(Level::new(), _vectors => Self::of_values_here(values, &test))
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "it is compiled for the vectors of whoever calls it")]
    fn of_values_here<T: Copy>(values: &[T], test: &impl Fn(T) -> bool) -> Self {
        let (whole, rest) = values.as_chunks::<64>();
        let mut words = Vec::with_capacity(values.len().div_ceil(64));
        // A byte a value first, which compilers make wide instructions of; then eight bytes at a time.
        for chunk in whole {
            let mut bytes = [0_u8; 64];
            for (byte, value) in bytes.iter_mut().zip(chunk) {
                *byte = u8::from(test(*value));
            }
            words.push(packed(&bytes));
        }
        if !rest.is_empty() {
            let bits = rest.iter().enumerate();
            words.push(bits.fold(0, |word, (bit, value)| word | u64::from(test(*value)) << bit));
        }
        Self(words)
    }

    pub(super) fn set(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    pub(super) fn has(&self, bit: usize) -> bool {
        self.0.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Clears the bits that `other` does not have.
    pub(super) fn and(&mut self, other: &[u64]) {
        self.0.iter_mut().zip(other).for_each(|(a, b)| *a &= b);
    }

    pub(super) fn or(&mut self, other: &[u64]) {
        self.0.iter_mut().zip(other).for_each(|(a, b)| *a |= b);
    }

    pub(super) fn and_not(&mut self, other: &[u64]) {
        self.0.iter_mut().zip(other).for_each(|(a, b)| *a &= !b);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Calls `f` with every bit that is set, ascending.
    pub(super) fn each(&self, mut f: impl FnMut(usize)) {
        for (index, &word) in self.0.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                f(index * 64 + left.trailing_zeros() as usize);
                left &= left - 1;
            }
        }
    }

    /// The bits that are set, ascending.
    pub(super) fn ids(&self) -> Vec<u32> {
        let mut ids = Vec::with_capacity(self.count());
        self.each(|bit| ids.push(u32::try_from(bit).unwrap_or(u32::MAX)));
        ids
    }
}

/// The lowest bit of each byte. The product moves bit 0 of byte n to bit n of the highest byte: its
/// factors are 7 bits apart, so no two of them meet.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is compiled for the vectors of whoever calls it")]
fn packed(bytes: &[u8; 64]) -> u64 {
    let (eights, _) = bytes.as_chunks::<8>();
    let byte =
        |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    eights.iter().enumerate().fold(0, |word, (place, eight)| word | byte(eight) << (8 * place))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_are_those_of_a_list(values in prop::collection::vec(any::<Option<bool>>(), 0..200)) {
            let words = Words::of_true(&BooleanArray::from(values.clone()));
            let expected: Vec<u32> =
                (0..).zip(&values).filter(|(_, v)| **v == Some(true)).map(|(i, _)| i).collect();
            prop_assert_eq!(&words.ids(), &expected);
            prop_assert_eq!(words.count(), expected.len());
            prop_assert_eq!(&words, &Words::of_values(&values, |value| value == Some(true)));
            prop_assert_eq!(Words::ones(values.len()).count(), values.len());
        }
    }
}

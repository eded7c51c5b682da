//! Memberships from and to words of bits: what the compiler's passes work with.

use roaring::{MultiOps, RoaringBitmap};

use super::set::Membership;

/// Words in a container: 65,536 bits.
const CONTAINER_WORDS: usize = 1_024;

/// Words of 64 ids, the lowest id in the lowest bit.
///
/// ```
/// use throng::membership::Membership;
///
/// let membership = Membership::from_words(65_536, &[0b101, 1]);
/// let ids: Vec<u32> = membership.iter().map(|id| id.get()).collect();
/// assert_eq!(ids, [65_536, 65_538, 65_600]);
///
/// let mut words = [0; 2];
/// membership.fill_words(65_536, &mut words);
/// assert_eq!(words, [0b101, 1]);
/// ```
impl Membership {
    /// The set of ids `start + n` for every bit n of `words`. Costs a step a container, and one a
    /// member in sparse ones.
    ///
    /// # Panics
    /// Where `start` is not a multiple of 65,536.
    pub fn from_words(start: u32, words: &[u64]) -> Self {
        assert!(start.is_multiple_of(65_536), "passes work on shards, which start at containers");
        let containers =
            (0_u32..).zip(words.chunks(CONTAINER_WORDS)).filter_map(|(block, words)| {
                if words.iter().all(|&word| word == 0) {
                    return None;
                }
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                Some(RoaringBitmap::from_lsb0_bytes(start + (block << 16), &bytes))
            });
        Self(containers.union())
    }

    /// Sets bit n of `words` for every member `start + n` that they have a bit for.
    pub fn fill_words(&self, start: u32, words: &mut [u64]) {
        let bits = u32::try_from(words.len() * 64).unwrap_or(u32::MAX);
        for id in self.0.range(start..start.saturating_add(bits)) {
            let bit = (id - start) as usize;
            words[bit / 64] |= 1 << (bit % 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::membership::set::tests::{any_set, members};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn words_hold_the_members_of_their_range(set in any_set(), block in 0..6_u32) {
            let start = block << 16;
            let membership = members(set.iter().copied());
            let mut words = vec![0; 2_048];
            membership.fill_words(start, &mut words);
            let own = members(set.range(start..start + 131_072).copied());
            prop_assert_eq!(Membership::from_words(start, &words), own);
        }
    }
}

//! Memberships from and to words of bits: what the compiler's passes work with.

use super::container::Container;
use super::containers::halves;
use super::kernel::{Block, Kernel};
use super::mask::BLOCK_WORDS;
use super::set::Membership;

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
        let kernel = Kernel::detect();
        let (first, _) = halves(start);
        let row = |(block, words): (u16, &[u64])| {
            let mut bits = Block::EMPTY;
            bits.0[..words.len()].copy_from_slice(words);
            Container::from_bits(block, &bits.0, kernel)
        };
        Self((first..).zip(words.chunks(BLOCK_WORDS)).filter_map(row).collect())
    }

    /// Sets bit n of `words` for every member `start + n` that they have a bit for.
    ///
    /// # Panics
    /// Where `start` is not a multiple of 65,536.
    pub fn fill_words(&self, start: u32, words: &mut [u64]) {
        assert!(start.is_multiple_of(65_536), "passes work on shards, which start at containers");
        let (first, _) = halves(start);
        let blocks = u16::try_from(words.len().div_ceil(BLOCK_WORDS)).unwrap_or(u16::MAX);
        for row in self.0.rows_between(first, first.saturating_add(blocks)) {
            let from = usize::from(row.block - first) * BLOCK_WORDS;
            row.or_into(words.get_mut(from..).unwrap_or_default());
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

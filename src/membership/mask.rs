//! The set inside a pass: one bit an id. Passes fill masks, combine them, and turn what remains into
//! memberships; nothing stores a mask.

use std::fmt;

use super::container::Container;
use super::kernel::Kernel;
use super::set::Membership;
use crate::error::{Error, Result};
use crate::model::ProfileId;
use arrow::array::{Array, BooleanArray, Int32Array, Int64Array};

/// Words in a block: 65,536 bits, the ids of one roaring container.
pub(super) const BLOCK_WORDS: usize = 1_024;
/// Words that cover all ids there can be.
const WORDS_MAX: usize = 1 << (31 - 6);

type Block = Box<[u64; BLOCK_WORDS]>;

/// A set of profiles as one bit an id, in blocks of 65,536 ids (8 KiB) that are allocated when first
/// touched. It grows by itself; setting a bit costs no search.
///
/// ```
/// use arrow::array::{BooleanArray, Int32Array};
/// use throng::membership::Mask;
///
/// let mut mask = Mask::new();
/// mask.insert_ids(&Int32Array::from(vec![Some(70_000), None, Some(3), Some(3)]))?;
/// mask.or_bits(64, &BooleanArray::from(vec![Some(true), Some(false), None]))?;
///
/// let ids: Vec<u32> = mask.to_membership().iter().map(|id| id.get()).collect();
/// assert_eq!(ids, [3, 64, 70_000]);
/// # Ok::<(), throng::error::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Mask {
    /// Block `b` holds the ids from `b << 16`; `None` is a block of zeros.
    blocks: Vec<Option<Block>>,
}

impl Mask {
    /// The empty set; nothing is allocated.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `id` in.
    pub fn insert(&mut self, id: ProfileId) {
        self.insert_number(id.get());
    }

    /// Puts a column of ids in; nulls vanish, and so do duplicates.
    ///
    /// # Errors
    /// Where an id is negative; what stood before it is in the mask then.
    pub fn insert_ids(&mut self, ids: &Int32Array) -> Result<()> {
        if ids.null_count() == 0 {
            // No Option an id where none is null: that is nearly every column, and the hot loop.
            ids.values().iter().try_for_each(|&id| self.insert_i32(id))
        } else {
            ids.iter().flatten().try_for_each(|id| self.insert_i32(id))
        }
    }

    /// Puts a column of 64-bit ids in, as queries that compute with ids return them; nulls vanish,
    /// and so do duplicates.
    ///
    /// # Errors
    /// Where an id is negative or above [`ProfileId::MAX`]; what stood before it is in the mask then.
    pub fn insert_i64(&mut self, ids: &Int64Array) -> Result<()> {
        for id in ids.iter().flatten() {
            let number = u32::try_from(id).ok().and_then(ProfileId::new).ok_or_else(|| {
                Error::data(format!(
                    "profile_id {id} is out of range; ids lie between 0 and {}",
                    ProfileId::MAX
                ))
            })?;
            self.insert(number);
        }
        Ok(())
    }

    /// Puts id `start + row` in for every row of `bits` that is true; false and null rows change
    /// nothing. Fastest where `start` is a multiple of 64: then whole words are combined.
    ///
    /// # Errors
    /// Where a true row lies beyond [`ProfileId::MAX`].
    pub fn or_bits(&mut self, start: u32, bits: &BooleanArray) -> Result<()> {
        let values = bits.values().bit_chunks().iter_padded();
        match bits.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.or_words(start, values),
            Some(nulls) => {
                let valid = nulls.inner().bit_chunks().iter_padded();
                self.or_words(start, values.zip(valid).map(|(value, valid)| value & valid))
            }
        }
    }

    /// Whether `id` is in.
    pub fn contains(&self, id: ProfileId) -> bool {
        let (word, bit) = place(id.get());
        let block = self.blocks.get(word / BLOCK_WORDS).and_then(Option::as_deref);
        block.is_some_and(|words| words[word % BLOCK_WORDS] & bit != 0)
    }

    /// Keeps those that are in `other` too, and adds none.
    pub fn and(&mut self, other: &Self) {
        self.blocks.truncate(other.blocks.len());
        for (mine, theirs) in self.blocks.iter_mut().zip(&other.blocks) {
            match (mine.as_deref_mut(), theirs.as_deref()) {
                (Some(mine), Some(theirs)) => combine(mine, theirs, |a, b| a & b),
                _ => *mine = None,
            }
        }
    }

    /// Adds those that are in `other`.
    pub fn or(&mut self, other: &Self) {
        if self.blocks.len() < other.blocks.len() {
            self.blocks.resize(other.blocks.len(), None);
        }
        for (mine, theirs) in self.blocks.iter_mut().zip(&other.blocks) {
            match (mine.as_deref_mut(), theirs.as_deref()) {
                (Some(mine), Some(theirs)) => combine(mine, theirs, |a, b| a | b),
                (None, Some(_)) => mine.clone_from(theirs),
                (_, None) => {}
            }
        }
    }

    /// Drops those that are in `other`.
    pub fn and_not(&mut self, other: &Self) {
        for (mine, theirs) in self.blocks.iter_mut().zip(&other.blocks) {
            if let (Some(mine), Some(theirs)) = (mine.as_deref_mut(), theirs.as_deref()) {
                combine(mine, theirs, |a, b| a & !b);
            }
        }
    }

    /// How many profiles are in; counts the bits of every block touched.
    pub fn len(&self) -> u64 {
        let words = self.blocks.iter().flatten().flat_map(|block| block.iter());
        words.map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether no profile is in.
    pub fn is_empty(&self) -> bool {
        self.blocks.iter().flatten().all(|block| block.iter().all(|&word| word == 0))
    }

    /// The memory that the mask holds, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let blocks = self.blocks.iter().flatten().count();
        blocks * size_of::<[u64; BLOCK_WORDS]>() + size_of_val(&self.blocks[..])
    }

    /// Takes everybody out and frees the blocks.
    pub fn clear(&mut self) {
        self.blocks.clear();
    }

    /// The set as containers, one a block: its bits are counted and then copied, or walked where they
    /// are few. `benches/membership.rs` measures it against sorted ids.
    pub fn to_membership(&self) -> Membership {
        let kernel = Kernel::detect();
        let rows = (0_u16..=u16::MAX)
            .zip(&self.blocks)
            .filter_map(|(block, words)| Container::from_bits(block, words.as_deref()?, kernel));
        Membership(rows.collect())
    }

    fn insert_i32(&mut self, id: i32) -> Result<()> {
        // A conversion that fails is the one check: every other i32 is an id.
        let id = ProfileId::try_from(id)?;
        self.insert_number(id.get());
        Ok(())
    }

    fn insert_number(&mut self, id: u32) {
        let (word, bit) = place(id);
        self.or_word(word, bit);
    }

    /// Adds the bits of `words`, the first bit of which is id `start`.
    fn or_words(&mut self, start: u32, words: impl Iterator<Item = u64>) -> Result<()> {
        let (first, _) = place(start);
        let shift = start % u64::BITS;
        for (word, bits) in (first..).zip(words).filter(|(_, bits)| *bits != 0) {
            let low = bits << shift;
            // `>> 64` is no shift at all, hence in two steps.
            let high = (bits >> 1) >> (u64::BITS - 1 - shift);
            if word >= WORDS_MAX || (word + 1 == WORDS_MAX && high != 0) {
                return Err(Error::data(format!(
                    "a row for a profile_id above {} is true; it was counted from {start}",
                    ProfileId::MAX
                )));
            }
            if low != 0 {
                self.or_word(word, low);
            }
            if high != 0 {
                self.or_word(word + 1, high);
            }
        }
        Ok(())
    }

    /// Adds `bits` to word `word`, which is below [`WORDS_MAX`].
    fn or_word(&mut self, word: usize, bits: u64) {
        let block = word / BLOCK_WORDS;
        if block >= self.blocks.len() {
            self.blocks.resize(block + 1, None);
        }
        let words = self.blocks[block].get_or_insert_with(|| Box::new([0; BLOCK_WORDS]));
        words[word % BLOCK_WORDS] |= bits;
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = self.blocks.iter().flatten().count();
        write!(f, "Mask<{} values in {blocks} blocks>", self.len())
    }
}

/// The word that `id` lies in, and its bit there.
fn place(id: u32) -> (usize, u64) {
    let word = usize::try_from(id / u64::BITS).expect("a usize has at least 32 bits");
    (word, 1 << (id % u64::BITS))
}

/// Applies `op` word by word; a loop of this shape is vectorised.
fn combine(
    mine: &mut [u64; BLOCK_WORDS],
    theirs: &[u64; BLOCK_WORDS],
    op: impl Fn(u64, u64) -> u64,
) {
    for (a, b) in mine.iter_mut().zip(theirs) {
        *a = op(*a, *b);
    }
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;

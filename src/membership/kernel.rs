//! The counting loops over blocks of bits, on whatever vector unit the machine has: members, runs of
//! members, and what 4 spans of blocks have in common with 4 others, where overlaps spend their time.
//!
//! Each loop is written once, in plain Rust. `fearless_simd` compiles it again for the instruction
//! sets named here, where the compiler makes vector code of it, and hands out a proof that the
//! machine has them; so there is nothing unsafe in this crate. On 64-bit ARM the plain loop is NEON
//! already.

use fearless_simd::Level;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use fearless_simd::{SimdBase as _, SimdInto as _, kernel, u64x8};
#[cfg(target_arch = "x86")]
use std::arch::x86 as arch;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as arch;

use super::container::Container;
use super::mask::BLOCK_WORDS;
use super::merge::{self, words};

/// A block: 65,536 ids as bits. Aligned to a cache line, which is also the widest vector.
#[derive(Clone, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct Block(pub(super) [u64; BLOCK_WORDS]);

impl Block {
    /// A block without members.
    pub(super) const EMPTY: Self = Self([0; BLOCK_WORDS]);

    /// `words` of its words from word `from` on, which it must have, a multiple of [`LANES`].
    pub(super) fn span(&self, from: usize, words: usize) -> &Span {
        self.0[from..from + words].as_chunks().0
    }
}

/// Words in a vector of 512 bits.
pub(super) const LANES: usize = 8;

/// A part of a block, as vectors.
pub(super) type Span = [[u64; LANES]];

/// Spans on a side of a tile: 16 sums fill half of 32 vector registers, and each word that is loaded
/// is used four times.
pub(super) const TILE: usize = 4;

/// How many ids each of four spans has in common with each of four others.
pub(super) type Counts = [[u64; TILE]; TILE];

/// The counting loop for one machine: what was found at run time, or else what the compiler may
/// assume of every machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel(Option<Level>);

impl Kernel {
    /// The fastest loop that this machine can run.
    pub(super) fn detect() -> Self {
        Self(Some(Level::new()))
    }

    /// The loop that every machine can run.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self(None)
    }

    /// How many bits are set.
    pub(super) fn count(self, words: &[u64; BLOCK_WORDS]) -> u32 {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let Some(level) = self.0 {
            if let Some(avx512) = level.as_avx512() {
                return count_avx512(avx512, words);
            }
            if let Some(avx2) = level.as_avx2() {
                return count_avx2(avx2, words);
            }
        }
        count_by_words(words)
    }

    /// How many runs of neighbouring bits are set.
    pub(super) fn runs(self, words: &[u64; BLOCK_WORDS]) -> u32 {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let Some(level) = self.0 {
            if let Some(avx512) = level.as_avx512() {
                return runs_avx512(avx512, words);
            }
            if let Some(avx2) = level.as_avx2() {
                return runs_avx2(avx2, words);
            }
        }
        runs_by_words(words)
    }

    /// How many members two containers of the same block share.
    pub(super) fn and_len(self, a: &Container, b: &Container) -> u64 {
        match self.0 {
            Some(level) => merge::one_and_len(level, a, b),
            None => merge::and_len_plain(std::slice::from_ref(a), std::slice::from_ref(b)),
        }
    }

    /// Adds to `counts` how many ids each of `rows` has in common with each of `columns`, all of them
    /// of the same length.
    pub(super) fn tile(self, rows: [&Span; TILE], columns: [&Span; TILE], counts: &mut Counts) {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let Some(level) = self.0 {
            if let Some(avx512) = level.as_avx512() {
                return tile_avx512(avx512, rows, columns, counts);
            }
            if let Some(avx2) = level.as_avx2() {
                return tile_avx2(avx2, rows, columns, counts);
            }
        }
        tile_wide(rows, columns, counts);
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// All 16 pairs side by side, with a population count of whole vectors. By name, since the
    /// compiler makes words of the plain loop; and in plain loops, since a closure is not always
    /// compiled for the vectors that it is called with. Per vector and pair this takes one and, one count
    /// and one addition, which is all that a core of 4 units of 256 bits does: 1.5 cycles.
    fn tile_avx512(
        avx512: Avx512,
        rows: [&Span; TILE],
        columns: [&Span; TILE],
        counts: &mut Counts,
    ) {
        let mut sums = [arch::_mm512_setzero_si512(); TILE * TILE];
        for at in 0..length(rows, columns) {
            let mut column = [arch::_mm512_setzero_si512(); TILE];
            for (vector, span) in column.iter_mut().zip(&columns) {
                *vector = u64x8::from_slice(avx512, &span[at]).into();
            }
            for (span, sums) in rows.iter().zip(sums.as_chunks_mut::<TILE>().0) {
                let row = u64x8::from_slice(avx512, &span[at]).into();
                for (column, sum) in column.iter().zip(sums) {
                    let both = arch::_mm512_and_si512(row, *column);
                    *sum = arch::_mm512_add_epi64(*sum, arch::_mm512_popcnt_epi64(both));
                }
            }
        }
        let counts = counts.as_flattened_mut().as_chunks_mut::<LANES>().0;
        for (sums, counts) in sums.as_chunks::<LANES>().0.iter().zip(counts) {
            let sums: u64x8<_> = sums_of_eight(avx512, *sums).simd_into(avx512);
            (sums + u64x8::from_slice(avx512, counts)).store_slice(counts);
        }
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// The sums of the lanes of eight vectors, in their order: lanes are paired until one is left.
    #[inline]
    fn sums_of_eight(avx512: Avx512, vectors: [arch::__m512i; LANES]) -> arch::__m512i {
        let [a, b, c, d, e, f, g, h] = vectors;
        let by_lanes = |x, y| {
            let (low, high) =
                (arch::_mm512_unpacklo_epi64(x, y), arch::_mm512_unpackhi_epi64(x, y));
            arch::_mm512_add_epi64(low, high)
        };
        let by_pairs = |x, y| {
            let even = arch::_mm512_shuffle_i64x2::<0b10_00_10_00>(x, y);
            let odd = arch::_mm512_shuffle_i64x2::<0b11_01_11_01>(x, y);
            arch::_mm512_add_epi64(even, odd)
        };
        let (low, high) =
            (by_pairs(by_lanes(a, b), by_lanes(c, d)), by_pairs(by_lanes(e, f), by_lanes(g, h)));
        by_pairs(low, high)
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With half as many registers of half the width: one pair at a time.
    fn tile_avx2(avx2: Avx2, rows: [&Span; TILE], columns: [&Span; TILE], counts: &mut Counts) {
        tile_narrow(rows, columns, counts);
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With a population count of whole vectors.
    fn count_avx512(avx512: Avx512, words: &[u64; BLOCK_WORDS]) -> u32 {
        count_by_words(words)
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With the population count of a word that came with AVX2.
    fn count_avx2(avx2: Avx2, words: &[u64; BLOCK_WORDS]) -> u32 {
        count_by_words(words)
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With a population count of whole vectors.
    fn runs_avx512(avx512: Avx512, words: &[u64; BLOCK_WORDS]) -> u32 {
        runs_by_words(words)
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With the population count of a word that came with AVX2.
    fn runs_avx2(avx2: Avx2, words: &[u64; BLOCK_WORDS]) -> u32 {
        runs_by_words(words)
    }
);

/// Vectors in every span.
#[expect(
    clippy::inline_always,
    reason = "so that the loops below know that they are within bounds"
)]
#[inline(always)]
fn length(rows: [&Span; TILE], columns: [&Span; TILE]) -> usize {
    let length = rows[0].len();
    assert!(rows.iter().chain(&columns).all(|span| span.len() == length), "spans of one length");
    length
}

/// All 16 pairs side by side.
#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
fn tile_wide(rows: [&Span; TILE], columns: [&Span; TILE], counts: &mut Counts) {
    let mut sums = [[[0_u64; LANES]; TILE]; TILE];
    for at in 0..length(rows, columns) {
        for (row, sums) in rows.iter().zip(&mut sums) {
            for (column, sums) in columns.iter().zip(sums) {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum += u64::from((row[at][lane] & column[at][lane]).count_ones());
                }
            }
        }
    }
    for (count, lanes) in counts.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
        *count += lanes.iter().sum::<u64>();
    }
}

/// One pair after the other.
#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
fn tile_narrow(rows: [&Span; TILE], columns: [&Span; TILE], counts: &mut Counts) {
    for (row, counts) in rows.iter().zip(counts) {
        for (column, count) in columns.iter().zip(counts) {
            *count += words(row.as_flattened(), column.as_flattened());
        }
    }
}

#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
fn count_by_words(words: &[u64; BLOCK_WORDS]) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}

/// A run begins at every bit whose lower neighbour is not set.
#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
fn runs_by_words(words: &[u64; BLOCK_WORDS]) -> u32 {
    let first = (words[0] & !(words[0] << 1)).count_ones();
    let pairs = words.iter().zip(&words[1..]);
    let starts = pairs.map(|(before, word)| (word & !(word << 1 | before >> 63)).count_ones());
    first + starts.sum::<u32>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::membership::container::lows;

    /// A block of `ids`, one of which is drawn from `step` on.
    fn block(start: usize, step: usize) -> Block {
        let mut block = Block::EMPTY;
        for id in (start..BLOCK_WORDS * 64).step_by(step) {
            block.0[id / 64] |= 1 << (id % 64);
        }
        block
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn every_machine_counts_the_same(
            shapes in proptest::collection::vec((0..999_usize, 1..99_usize), 2 * TILE),
            vectors in 0..=120_usize,
        ) {
            let words = vectors * LANES;
            let blocks: Vec<Block> = shapes.iter().map(|(start, step)| block(*start, *step)).collect();
            let rows = std::array::from_fn(|i| blocks[i].span(16 * i, words));
            let columns = std::array::from_fn(|i| blocks[TILE + i].span(8 * i, words));
            // They add to what is there.
            let start: Counts = std::array::from_fn(|i| std::array::from_fn(|j| (7 * i + j) as u64));
            let after = |tile: &dyn Fn(&mut Counts)| {
                let mut counts = start;
                tile(&mut counts);
                counts
            };
            let expected = after(&|counts| tile_narrow(rows, columns, counts));
            prop_assert_eq!(after(&|counts| tile_wide(rows, columns, counts)), expected);
            for kernel in [Kernel::detect(), Kernel::plain()] {
                prop_assert_eq!(after(&|counts| kernel.tile(rows, columns, counts)), expected);
            }
            let bits = &blocks[0].0;
            let members: Vec<u16> = lows(bits).collect();
            let runs = members.chunk_by(|a, b| a + 1 == *b).count();
            for kernel in [Kernel::detect(), Kernel::plain()] {
                prop_assert_eq!(usize::try_from(kernel.count(bits))?, members.len());
                prop_assert_eq!(usize::try_from(kernel.runs(bits))?, runs);
            }
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            if let Some(avx2) = Level::new().as_avx2() {
                prop_assert_eq!(after(&|counts| tile_avx2(avx2, rows, columns, counts)), expected);
                prop_assert_eq!(count_avx2(avx2, bits), count_by_words(bits));
                prop_assert_eq!(runs_avx2(avx2, bits), runs_by_words(bits));
            }
        }
    }
}

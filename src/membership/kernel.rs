//! The counting loops over blocks of bits, on whatever vector unit the machine has: members, runs of
//! members, and what 4 spans of blocks have in common with 4 others, where overlaps spend their time.
//!
//! Each loop is written once, in plain Rust. `fearless_simd` compiles it again for the instruction
//! sets named here, where the compiler makes vector code of it, and hands out a proof that the
//! machine has them; so there is nothing unsafe in this crate. On 64-bit ARM the plain loop is NEON
//! already.

use fearless_simd::Level;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use fearless_simd::{SimdBase as _, kernel, u64x8};
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

    /// The part at `at`, below [`BLOCK_WORDS`] / [`SPAN_WORDS`].
    pub(super) fn span(&self, at: usize) -> &Span {
        &self.0.as_chunks().0[at]
    }
}

/// Words of a block that are counted at a time: of 200 sets these take 400 KiB, and stay in the second
/// cache while every two are counted.
pub(super) const SPAN_WORDS: usize = 256;

/// A part of a block.
pub(super) type Span = [u64; SPAN_WORDS];

/// Spans on a side of a tile: 16 sums fill half of 32 vector registers, and each word that is loaded
/// is used four times.
pub(super) const TILE: usize = 4;

/// Words in a vector of 512 bits.
const LANES: usize = 8;

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

    /// How many ids each of `rows` has in common with each of `columns`.
    pub(super) fn tile(self, rows: [&Span; TILE], columns: [&Span; TILE]) -> Counts {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let Some(level) = self.0 {
            if let Some(avx512) = level.as_avx512() {
                return tile_avx512(avx512, rows, columns);
            }
            if let Some(avx2) = level.as_avx2() {
                return tile_avx2(avx2, rows, columns);
            }
        }
        tile_wide(rows, columns)
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// All 16 pairs side by side, with a population count of whole vectors. By name, since the
    /// compiler makes words of the plain loop.
    fn tile_avx512(avx512: Avx512, rows: [&Span; TILE], columns: [&Span; TILE]) -> Counts {
        let vectors = |span: &Span, at: usize| -> arch::__m512i {
            u64x8::from_slice(avx512, &span.as_chunks::<LANES>().0[at]).into()
        };
        let mut sums = [[arch::_mm512_setzero_si512(); TILE]; TILE];
        for at in 0..SPAN_WORDS / LANES {
            let columns = columns.map(|span| vectors(span, at));
            for (row, sums) in rows.iter().zip(&mut sums) {
                let row = vectors(row, at);
                for (column, sum) in columns.iter().zip(sums) {
                    let both = arch::_mm512_and_si512(row, *column);
                    *sum = arch::_mm512_add_epi64(*sum, arch::_mm512_popcnt_epi64(both));
                }
            }
        }
        sums.map(|sums| sums.map(|sum| arch::_mm512_reduce_add_epi64(sum).cast_unsigned()))
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With half as many registers of half the width: one pair at a time.
    fn tile_avx2(avx2: Avx2, rows: [&Span; TILE], columns: [&Span; TILE]) -> Counts {
        tile_narrow(rows, columns)
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

/// All 16 pairs side by side.
#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
fn tile_wide(rows: [&Span; TILE], columns: [&Span; TILE]) -> Counts {
    let rows = rows.map(|span| span.as_chunks::<LANES>().0);
    let columns = columns.map(|span| span.as_chunks::<LANES>().0);
    let mut sums = [[[0_u64; LANES]; TILE]; TILE];
    for at in 0..SPAN_WORDS / LANES {
        for (row, sums) in rows.iter().zip(&mut sums) {
            for (column, sums) in columns.iter().zip(sums) {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum += u64::from((row[at][lane] & column[at][lane]).count_ones());
                }
            }
        }
    }
    sums.map(|sums| sums.map(|lanes| lanes.iter().sum()))
}

/// One pair after the other.
#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
fn tile_narrow(rows: [&Span; TILE], columns: [&Span; TILE]) -> Counts {
    rows.map(|row| columns.map(|column| words(row, column)))
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
        ) {
            let blocks: Vec<Block> = shapes.iter().map(|(start, step)| block(*start, *step)).collect();
            let rows = std::array::from_fn(|i| blocks[i].span(i % 4));
            let columns = std::array::from_fn(|i| blocks[TILE + i].span(i % 4));
            let expected = tile_narrow(rows, columns);
            prop_assert_eq!(tile_wide(rows, columns), expected);
            prop_assert_eq!(Kernel::plain().tile(rows, columns), expected);
            prop_assert_eq!(Kernel::detect().tile(rows, columns), expected);
            let bits = &blocks[0].0;
            let members: Vec<u16> = lows(bits).collect();
            let runs = members.chunk_by(|a, b| a + 1 == *b).count();
            for kernel in [Kernel::detect(), Kernel::plain()] {
                prop_assert_eq!(usize::try_from(kernel.count(bits))?, members.len());
                prop_assert_eq!(usize::try_from(kernel.runs(bits))?, runs);
            }
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            if let Some(avx2) = Level::new().as_avx2() {
                prop_assert_eq!(tile_avx2(avx2, rows, columns), expected);
                prop_assert_eq!(count_avx2(avx2, bits), count_by_words(bits));
                prop_assert_eq!(runs_avx2(avx2, bits), runs_by_words(bits));
            }
        }
    }
}

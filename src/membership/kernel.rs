//! The counting loop that overlaps spend their time in: bits that 4 blocks have in common with 4
//! others, on whatever vector unit the machine has. Only [`super::matrix`] calls it.
//!
//! The loop is written once, in plain Rust. `fearless_simd` compiles it again for the instruction
//! sets named here, where the compiler turns it into vector code, and hands out a proof that the
//! machine has them; so there is nothing unsafe in this crate. On 64-bit ARM the plain loop is NEON
//! already.

use fearless_simd::Level;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use fearless_simd::kernel;

use super::mask::BLOCK_WORDS;

/// A block: 65,536 ids as bits. Aligned to a cache line, which is also the widest vector.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Block(pub(super) [u64; BLOCK_WORDS]);

impl Block {
    /// A block without members.
    pub(super) const EMPTY: Self = Self([0; BLOCK_WORDS]);
}

/// Blocks on a side of a tile: 16 sums fill half of 32 vector registers, and each word that is loaded
/// is used four times.
pub(super) const TILE: usize = 4;

/// Words in a vector of 512 bits.
const LANES: usize = 8;

/// How many ids each of four blocks has in common with each of four others.
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

    /// How many ids `a` and `b` have in common.
    pub(super) fn pair(self, a: &Block, b: &Block) -> u64 {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let Some(level) = self.0 {
            if let Some(avx512) = level.as_avx512() {
                return pair_avx512(avx512, a, b);
            }
            if let Some(avx2) = level.as_avx2() {
                return pair_avx2(avx2, a, b);
            }
        }
        pair_by_words(a, b)
    }

    /// How many ids each of `rows` has in common with each of `columns`.
    pub(super) fn tile(self, rows: [&Block; TILE], columns: [&Block; TILE]) -> Counts {
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
    /// With a population count of whole vectors.
    fn tile_avx512(avx512: Avx512, rows: [&Block; TILE], columns: [&Block; TILE]) -> Counts {
        tile_wide(rows, columns)
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With half as many registers of half the width: one pair at a time.
    fn tile_avx2(avx2: Avx2, rows: [&Block; TILE], columns: [&Block; TILE]) -> Counts {
        tile_narrow(rows, columns)
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With a population count of whole vectors.
    fn pair_avx512(avx512: Avx512, a: &Block, b: &Block) -> u64 {
        pair_by_words(a, b)
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With the population count of a word that came with AVX2.
    fn pair_avx2(avx2: Avx2, a: &Block, b: &Block) -> u64 {
        pair_by_words(a, b)
    }
);

/// All 16 pairs side by side.
#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
fn tile_wide(rows: [&Block; TILE], columns: [&Block; TILE]) -> Counts {
    let rows = rows.map(|block| block.0.as_chunks::<LANES>().0);
    let columns = columns.map(|block| block.0.as_chunks::<LANES>().0);
    let mut sums = [[[0_u64; LANES]; TILE]; TILE];
    for at in 0..BLOCK_WORDS / LANES {
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
fn tile_narrow(rows: [&Block; TILE], columns: [&Block; TILE]) -> Counts {
    rows.map(|row| columns.map(|column| pair_by_words(row, column)))
}

/// One pair.
#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
fn pair_by_words(a: &Block, b: &Block) -> u64 {
    let both = a.0.iter().zip(&b.0).map(|(a, b)| a & b);
    both.map(|word| u64::from(word.count_ones())).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let rows = std::array::from_fn(|i| &blocks[i]);
            let columns = std::array::from_fn(|i| &blocks[TILE + i]);
            let expected = tile_narrow(rows, columns);
            prop_assert_eq!(tile_wide(rows, columns), expected);
            prop_assert_eq!(Kernel::plain().tile(rows, columns), expected);
            prop_assert_eq!(Kernel::detect().tile(rows, columns), expected);
            prop_assert_eq!(Kernel::detect().pair(rows[0], columns[1]), expected[0][1]);
            prop_assert_eq!(Kernel::plain().pair(rows[0], columns[1]), expected[0][1]);
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            if let Some(avx2) = Level::new().as_avx2() {
                prop_assert_eq!(tile_avx2(avx2, rows, columns), expected);
            }
        }
    }
}

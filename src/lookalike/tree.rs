//! Trees over bins, and scoring them: the two shapes that the models grow.
//!
//! [`Oblivious`] trees ask the same question on a whole level, so a block of rows is scored column by
//! column with byte comparisons that the compiler vectorises. [`Cart`] trees ask each node its own
//! question and are walked row by row, several rows side by side. Values are whole numbers, `1 /`
//! [`UNIT`] each: sums of them are exact, and so do not depend on threads or block sizes.

use fearless_simd::{Level, dispatch};
use serde::{Deserialize, Serialize};

/// What 1.0 is in the value of a leaf.
pub(crate) const UNIT: f32 = 1_048_576.0;

/// Rows scored at a time: their bins and sums stay in the first cache.
pub(crate) const BLOCK_ROWS: usize = 512;

/// Levels of an oblivious tree at most.
pub(crate) const DEPTH_MAX: usize = 6;

const LEAVES_MAX: usize = 1 << DEPTH_MAX;

/// What is summed of a feature's bins while trees grow: a place for each byte, so that none is out of bounds,
/// and a few more, so that those of many features do not fall on each other in the first cache.
pub(crate) type Sums = [i64; 264];

/// Features whose bins are summed side by side: an addition to a bin waits for the one before it. With more
/// of them, processors have no registers left.
pub(crate) const SIDE_BY_SIDE: usize = 4;

/// Rows that walk a [`Cart`] side by side, so that one's cache miss does not hold up the others.
const LANES: usize = 8;

/// `value` in units of a leaf.
pub(crate) fn fixed(value: f64) -> i32 {
    (value * f64::from(UNIT)).round().clamp(-1e9, 1e9) as i32
}

/// A tree that asks one question a level.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Oblivious {
    /// The question of each level: the feature, and the bin that is the last to go left.
    pub(crate) levels: Vec<(u16, u8)>,
    /// The values of the leaves; bit `k` of a leaf's place is set where level `k` went right.
    pub(crate) leaves: Vec<i32>,
}

impl Oblivious {
    /// The value for one profile; `bin` tells its bin of a feature.
    pub(crate) fn value(&self, bin: impl Fn(usize) -> u8) -> i32 {
        let place = self.levels.iter().enumerate().fold(0, |place, (level, &(feature, last))| {
            place | usize::from(bin(usize::from(feature)) > last) << level
        });
        self.leaves[place]
    }

    /// Adds the values of a block of rows to `sums`; `columns` hold the bins of the block.
    pub(crate) fn add(&self, columns: &[&[u8]], sums: &mut [i32]) {
        dispatch!(Level::new(), _vectors => self.add_here(columns, sums));
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "it is compiled for the vectors of whoever calls it")]
    fn add_here(&self, columns: &[&[u8]], sums: &mut [i32]) {
        let mut places = [0_u8; BLOCK_ROWS];
        let places = &mut places[..sums.len()];
        for (level, &(feature, last)) in self.levels.iter().enumerate() {
            let bins = &columns[usize::from(feature)][..places.len()];
            for (place, &bin) in places.iter_mut().zip(bins) {
                *place |= u8::from(bin > last) << level;
            }
        }
        // All places lie below 64, and the array says so: no bounds are checked in the loop.
        let mut leaves = [0_i32; LEAVES_MAX];
        leaves[..self.leaves.len()].copy_from_slice(&self.leaves);
        for (sum, &place) in sums.iter_mut().zip(&*places) {
            *sum += leaves[usize::from(place) % LEAVES_MAX];
        }
    }
}

/// A tree whose nodes ask their own questions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cart {
    /// Nodes, the root first. A leaf leads to itself.
    pub(crate) nodes: Vec<Node>,
    /// The value of each node that is a leaf; 0 elsewhere.
    pub(crate) values: Vec<i32>,
    /// Steps from the root to the deepest leaf.
    pub(crate) depth: u32,
}

/// A node of a [`Cart`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    /// Where the left child is; the right one is behind it.
    pub(crate) child: u32,
    /// The feature that is asked for.
    pub(crate) feature: u16,
    /// The bin that is the last to go left; 255 in a leaf, so that nothing goes right.
    pub(crate) last: u8,
}

impl Cart {
    /// The value for one profile; `bin` tells its bin of a feature.
    pub(crate) fn value(&self, bin: impl Fn(usize) -> u8) -> i32 {
        let mut at = 0;
        for _ in 0..self.depth {
            let node = self.nodes[at];
            at = node.child as usize + usize::from(bin(usize::from(node.feature)) > node.last);
        }
        self.values[at]
    }

    /// Adds the values of a block to `sums`; `rows` holds the bins row by row, `width` each.
    pub(crate) fn add(&self, rows: &[u8], width: usize, sums: &mut [i32]) {
        let (blocks, rest) = sums.as_chunks_mut::<LANES>();
        let whole = blocks.len() * LANES;
        for (block, sums) in blocks.iter_mut().enumerate() {
            let rows = &rows[block * LANES * width..(block + 1) * LANES * width];
            let mut at = [0_usize; LANES];
            for _ in 0..self.depth {
                for (lane, at) in at.iter_mut().enumerate() {
                    let node = self.nodes[*at];
                    let bin = rows[lane * width + usize::from(node.feature)];
                    *at = node.child as usize + usize::from(bin > node.last);
                }
            }
            for (sum, at) in sums.iter_mut().zip(at) {
                *sum += self.values[at];
            }
        }
        for (lane, sum) in rest.iter_mut().enumerate() {
            let row = &rows[(whole + lane) * width..(whole + lane + 1) * width];
            *sum += self.value(|feature| row[feature]);
        }
    }
}

/// For each feature a new order of its bins, where words are ordered by how often they are seeds; and
/// nothing where the bins are numbers and keep their order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reorder(pub(crate) Vec<Option<Vec<u8>>>);

/// Rows of evidence that a word's seed rate is drawn towards the mean by, so that a rare word lies in
/// the middle of the order and not at an end (`LightGBM`'s `cat_smooth` is 10, and 50 when tuned).
const WORD_PRIOR_ROWS: f64 = 30.0;

impl Reorder {
    /// The order for training rows `rows` (`width` bins each); `words` tells which features are words.
    pub(crate) fn learn(rows: &[u8], seeds: &[bool], words: &[Option<usize>]) -> Self {
        let width = words.len();
        let base = seeds.iter().filter(|s| **s).count() as f64 / seeds.len().max(1) as f64;
        let order = |(feature, bins): (usize, &Option<usize>)| {
            let bins = (*bins)?;
            let (mut seed, mut all) = (vec![0.0; bins], vec![0.0; bins]);
            for (row, &is_seed) in rows.chunks_exact(width).zip(seeds) {
                let bin = usize::from(row[feature]);
                all[bin] += 1.0;
                seed[bin] += f64::from(u8::from(is_seed));
            }
            let rate =
                |bin: usize| (seed[bin] + base * WORD_PRIOR_ROWS) / (all[bin] + WORD_PRIOR_ROWS);
            let mut by_rate: Vec<usize> = (0..bins).collect();
            by_rate.sort_by(|&a, &b| rate(a).total_cmp(&rate(b)));
            let mut places = vec![0_u8; bins];
            for (place, bin) in by_rate.into_iter().enumerate() {
                places[bin] = place as u8;
            }
            Some(places)
        };
        Self(words.iter().enumerate().map(order).collect())
    }

    /// The place of `bin` of `feature`.
    pub(crate) fn place(&self, feature: usize, bin: u8) -> u8 {
        self.0[feature].as_ref().map_or(bin, |places| places[usize::from(bin)])
    }

    /// Puts rows of bins in their new order.
    pub(crate) fn apply(&self, rows: &mut [u8]) {
        for row in rows.chunks_exact_mut(self.0.len().max(1)) {
            for (bin, places) in row.iter_mut().zip(&self.0) {
                if let Some(places) = places {
                    *bin = places[usize::from(*bin)];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookalike::random::Dice;

    fn rows(dice: &mut Dice, count: usize, width: usize) -> Vec<u8> {
        (0..count * width).map(|_| dice.below(64) as u8).collect()
    }

    fn columns(rows: &[u8], width: usize) -> Vec<Vec<u8>> {
        (0..width).map(|f| rows.iter().skip(f).step_by(width).copied().collect()).collect()
    }

    #[test]
    fn blocks_of_oblivious_trees_are_their_rows() {
        let mut dice = Dice::new(1);
        for depth in 0..=DEPTH_MAX {
            let tree = Oblivious {
                levels: (0..depth).map(|_| (dice.below(7) as u16, dice.below(64) as u8)).collect(),
                leaves: (0..1 << depth)
                    .map(|_| i32::try_from(dice.below(1000)).expect("small") - 500)
                    .collect(),
            };
            let rows = rows(&mut dice, 301, 7);
            let columns = columns(&rows, 7);
            let slices: Vec<&[u8]> = columns.iter().map(Vec::as_slice).collect();
            let mut sums = vec![3; 301];
            tree.add(&slices, &mut sums);
            for (row, sum) in rows.chunks_exact(7).zip(sums) {
                assert_eq!(sum, 3 + tree.value(|f| row[f]));
            }
        }
    }

    #[test]
    fn blocks_of_cart_trees_are_their_rows() {
        let mut dice = Dice::new(2);
        let leaf = |at| Node { child: at, feature: 0, last: 255 };
        let tree = Cart {
            nodes: vec![
                Node { child: 1, feature: 2, last: 30 },
                leaf(1),
                Node { child: 3, feature: 0, last: 10 },
                leaf(3),
                leaf(4),
            ],
            values: vec![0, 5, 0, 7, 11],
            depth: 2,
        };
        let rows = rows(&mut dice, 77, 3);
        let mut sums = vec![0; 77];
        tree.add(&rows, 3, &mut sums);
        for (row, sum) in rows.chunks_exact(3).zip(sums) {
            let plain = match (row[2] > 30, row[0] > 10) {
                (false, _) => 5,
                (true, false) => 7,
                (true, true) => 11,
            };
            assert_eq!((sum, tree.value(|f| row[f])), (plain, plain));
        }
    }

    #[test]
    fn words_are_ordered_by_their_seed_rate_and_rare_ones_lie_in_the_middle() {
        let mut rows = Vec::new();
        let mut seeds = Vec::new();
        for (word, seeds_of, all) in [(0, 0, 1), (1, 90, 100), (2, 1, 100), (3, 1, 1)] {
            for row in 0..all {
                rows.push(word);
                seeds.push(row < seeds_of);
            }
        }
        let order = Reorder::learn(&rows, &seeds, &[Some(4)]);
        assert_eq!(order.0, [Some(vec![1, 3, 0, 2])]);
        order.apply(&mut rows);
        assert_eq!((rows[0], rows[1], order.place(0, 3)), (1, 3, 2));
    }
}

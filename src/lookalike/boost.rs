//! Shrunken gradient boosting of oblivious trees (Friedman 2001; Prokhorenkova et al. 2018).
//!
//! Positives hide among the unlabelled, so the model must not fit single rows: small steps, strong
//! L2 in the leaves, trees of one question a level, fresh rows and features for each tree; and every
//! profile is scored by trees that never saw it.

use super::random::Dice;
use super::tree::{BLOCK_ROWS, DEPTH_MAX, Oblivious, UNIT, fixed};

/// How trees are grown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Growth {
    /// Trees.
    pub(crate) trees: usize,
    /// Questions of each tree.
    pub(crate) depth: usize,
    /// The share of a leaf's value that is taken.
    pub(crate) rate: f64,
    /// L2 in the leaves, in units of the second derivative.
    pub(crate) l2: f64,
    /// The share of features that a tree may ask for.
    pub(crate) feature_share: f64,
    /// The share of seeds that a tree sees.
    pub(crate) seed_share: f64,
    /// The share of the other rows that it sees; each counts for as many as it stands for.
    pub(crate) other_share: f64,
}

/// Training rows: bins row by row, and which rows are seeds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// `width` bins a row.
    pub(crate) bins: &'a [u8],
    /// How many bins each feature has.
    pub(crate) bin_counts: &'a [usize],
    /// Which rows are seeds.
    pub(crate) seeds: &'a [bool],
}

impl Rows<'_> {
    pub(crate) fn width(&self) -> usize {
        self.bin_counts.len()
    }

    pub(crate) fn row(&self, row: usize) -> &[u8] {
        &self.bins[row * self.width()..(row + 1) * self.width()]
    }
}

/// Where a split's gain must lie above, so that rounding makes no splits.
const GAIN_MIN: f64 = 1e-9;

fn sigmoid(margin: f32) -> f32 {
    1.0 / (1.0 + (-margin).exp())
}

/// Grows trees on `rows`; `stream` decides the draws. The log odds of the base rate is where they
/// start from, and no part of them.
pub(crate) fn grow(rows: &Rows<'_>, growth: &Growth, stream: u64) -> Vec<Oblivious> {
    let count = rows.seeds.len();
    let positives = rows.seeds.iter().filter(|s| **s).count() as f32;
    let base = (positives / (count as f32 - positives).max(1.0)).max(1e-6).ln();
    let mut margins = vec![base; count];
    let mut dice = Dice::new(stream);
    let mut grown = Vec::with_capacity(growth.trees);
    let mut work = Work::default();
    let columns: Vec<Vec<u8>> = (0..rows.width())
        .map(|feature| rows.bins.iter().skip(feature).step_by(rows.width()).copied().collect())
        .collect();
    for _ in 0..growth.trees {
        let tree = work.tree(rows, growth, &margins, &mut dice);
        add_margins(&tree, &columns, &mut margins);
        grown.push(tree);
    }
    grown
}

/// Adds a tree to the margins of all rows, a block at a time.
fn add_margins(tree: &Oblivious, columns: &[Vec<u8>], margins: &mut [f32]) {
    let mut sums = [0; BLOCK_ROWS];
    for (block, margins) in margins.chunks_mut(BLOCK_ROWS).enumerate() {
        let start = block * BLOCK_ROWS;
        let sums = &mut sums[..margins.len()];
        sums.fill(0);
        let own = |column: &'_ Vec<u8>| start..(start + BLOCK_ROWS).min(column.len());
        let columns: Vec<&[u8]> = columns.iter().map(|column| &column[own(column)]).collect();
        tree.add(&columns, sums);
        for (margin, sum) in margins.iter_mut().zip(sums) {
            *margin += *sum as f32 / UNIT;
        }
    }
}

/// First and second derivatives as one whole number, the first in its upper half: one addition sums both,
/// and exactly, in whatever order.
#[derive(Debug, Clone, Copy)]
struct Scale(f64);

impl Scale {
    /// For rows whose weights add up to `weights`: no derivative is larger than the weight, so sums of
    /// them stay within their halves.
    fn of(weights: f64) -> Self {
        Self((f64::from(1_u32 << 30) / weights.max(1.0)).log2().floor().exp2())
    }

    fn packed(self, first: f64, second: f64) -> i64 {
        let fixed = |value: f64| (value * self.0).round() as i64;
        (fixed(first) << 32) + fixed(second)
    }

    fn first_and_second(self, packed: i64) -> [f64; 2] {
        [(packed >> 32) as f64 / self.0, f64::from(packed as u32) / self.0]
    }
}

/// Sums of a feature have a place for each byte, so that none is out of bounds, and a few more, so that
/// those of many features do not fall on each other in the first cache.
type Sums = [i64; 264];

#[derive(Default)]
struct Work {
    /// The rows that this tree sees.
    sampled: Vec<u32>,
    /// Their bins of the features that it may ask for, row by row.
    bins: Vec<u8>,
    /// Their derivatives.
    gradients: Vec<i64>,
    leaf_of: Vec<u8>,
    /// By leaf and feature.
    sums: Vec<Sums>,
}

/// The features that a tree may ask for, and how many bins each has.
type Features = Vec<(usize, usize)>;

impl Work {
    fn tree(
        &mut self,
        rows: &Rows<'_>,
        growth: &Growth,
        margins: &[f32],
        dice: &mut Dice,
    ) -> Oblivious {
        let scale = self.sample(rows, growth, margins, dice);
        let share = rows.width() as f64 * growth.feature_share;
        let mut features = dice.sample(rows.width(), (share.ceil() as usize).max(1));
        features.sort_unstable();
        let features: Features = features.into_iter().map(|f| (f, rows.bin_counts[f])).collect();
        self.bins.clear();
        for &row in &self.sampled {
            let own = rows.row(row as usize);
            self.bins.extend(features.iter().map(|(feature, _)| own[*feature]));
        }
        self.sums.resize(features.len() << growth.depth.saturating_sub(1), [0; 264]);
        let mut tree = Oblivious::default();
        for level in 0..growth.depth {
            self.gather(&features, level);
            let Some((place, last)) = self.best(&features, 1 << level, growth.l2, scale) else {
                break;
            };
            let bins = self.bins.iter().skip(place).step_by(features.len());
            for (leaf, bin) in self.leaf_of.iter_mut().zip(bins) {
                *leaf |= u8::from(*bin > last) << level;
            }
            tree.levels.push((features[place].0 as u16, last));
        }
        tree.leaves = self.leaves(1 << tree.levels.len(), growth, scale);
        tree
    }

    /// Draws the rows that the tree sees, and their derivatives.
    fn sample(
        &mut self,
        rows: &Rows<'_>,
        growth: &Growth,
        margins: &[f32],
        dice: &mut Dice,
    ) -> Scale {
        self.sampled.clear();
        self.gradients.clear();
        let other_weight = growth.seed_share / growth.other_share;
        let weight = |seed: bool| if seed { 1.0 } else { other_weight };
        let mut weights = 0.0;
        for (row, &seed) in rows.seeds.iter().enumerate() {
            let share = if seed { growth.seed_share } else { growth.other_share };
            if share < 1.0 && super::random::unit(dice.next()) >= share {
                continue;
            }
            weights += weight(seed);
            self.sampled.push(row as u32);
        }
        let scale = Scale::of(weights);
        let derivatives = |row: &u32| {
            let row = *row as usize;
            let (weight, chance) = (weight(rows.seeds[row]), f64::from(sigmoid(margins[row])));
            let target = f64::from(u8::from(rows.seeds[row]));
            scale.packed(weight * (chance - target), weight * chance * (1.0 - chance))
        };
        self.gradients.extend(self.sampled.iter().map(derivatives));
        self.leaf_of.clear();
        self.leaf_of.resize(self.sampled.len(), 0);
        scale
    }

    /// Sums derivatives by leaf, feature and bin, for the leaves that `level` questions make. Below the
    /// root only the smaller child of each leaf is counted: the other one is what is left of the leaf.
    fn gather(&mut self, features: &Features, level: usize) {
        let width = features.len();
        let half = if level == 0 { 0 } else { 1 << (level - 1) };
        let mut sizes = [0_u32; 1 << DEPTH_MAX];
        for &leaf in &self.leaf_of {
            sizes[usize::from(leaf)] += 1;
        }
        let high_is_smaller = |low: usize| sizes[low + half] < sizes[low];
        // What is counted lies in the upper half for now, whichever child it is.
        let fresh = self.sums[width * half..width * (1 << level)].iter_mut();
        for (sums, (_, bins)) in fresh.zip(features.iter().cycle()) {
            sums[..*bins].fill(0);
        }
        let sampled = self.bins.chunks_exact(width).zip(&self.gradients).zip(&self.leaf_of);
        for ((bins, &gradient), &leaf) in sampled {
            let (leaf, mut slot) = (usize::from(leaf), 0);
            if level > 0 {
                let low = leaf % half;
                if (leaf >= half) != high_is_smaller(low) {
                    continue;
                }
                slot = low + half;
            }
            for (sums, &bin) in self.sums[slot * width..][..width].iter_mut().zip(bins) {
                sums[usize::from(bin)] += gradient;
            }
        }
        let (parents, children) = self.sums.split_at_mut(width * half);
        let pairs = parents.iter_mut().zip(children).enumerate();
        for (at, (parent, child)) in pairs {
            let high_was_counted = high_is_smaller(at / width);
            let bins = features[at % width].1;
            for (parent, child) in parent[..bins].iter_mut().zip(&mut child[..bins]) {
                let rest = *parent - *child;
                (*parent, *child) = if high_was_counted { (rest, *child) } else { (*child, rest) };
            }
        }
    }

    /// The question that lowers the loss most, over all leaves together: the place of its feature, and the
    /// last bin to go left.
    fn best(
        &self,
        features: &Features,
        leaves: usize,
        l2: f64,
        scale: Scale,
    ) -> Option<(usize, u8)> {
        let score = |first: f64, second: f64| first * first / (second + l2);
        let mut best = (GAIN_MIN, None);
        let mut gains = Vec::new();
        for (place, &(_, bins)) in features.iter().enumerate() {
            gains.clear();
            gains.resize(bins - 1, 0.0);
            for leaf in 0..leaves {
                let sums = &self.sums[leaf * features.len() + place][..bins];
                let all: i64 = sums.iter().sum();
                let total = scale.first_and_second(all);
                let whole = score(total[0], total[1]);
                let mut left = 0;
                for (gain, sum) in gains.iter_mut().zip(sums) {
                    left += sum;
                    let [first, second] = scale.first_and_second(left);
                    *gain +=
                        score(first, second) + score(total[0] - first, total[1] - second) - whole;
                }
            }
            for (last, &gain) in gains.iter().enumerate() {
                if gain > best.0 {
                    best = (gain, Some((place, last as u8)));
                }
            }
        }
        best.1
    }

    fn leaves(&self, leaves: usize, growth: &Growth, scale: Scale) -> Vec<i32> {
        let mut sums = vec![0; leaves];
        for (&leaf, gradient) in self.leaf_of.iter().zip(&self.gradients) {
            sums[usize::from(leaf)] += gradient;
        }
        let value = |packed: i64| {
            let [first, second] = scale.first_and_second(packed);
            fixed(-growth.rate * first / (second + growth.l2))
        };
        sums.into_iter().map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookalike::metrics::auc;

    const GROWTH: Growth = Growth {
        trees: 40,
        depth: 3,
        rate: 0.1,
        l2: 1.0,
        feature_share: 1.0,
        seed_share: 0.8,
        other_share: 0.4,
    };

    #[test]
    fn it_learns_what_no_single_feature_tells() {
        let mut dice = Dice::new(9);
        let mut bins = Vec::new();
        let mut seeds = Vec::new();
        for _ in 0..4_000 {
            let row = [dice.below(16) as u8, dice.below(16) as u8, dice.below(16) as u8];
            // Mostly an exclusive or, and a little of each alone, as a greedy tree needs to begin.
            let inside = (row[0] > 6) != (row[1] > 8);
            seeds.push(dice.below(10) < if inside { 6 } else { 1 });
            bins.extend(row);
        }
        let rows = Rows { bins: &bins, bin_counts: &[16; 3], seeds: &seeds };
        let trees = grow(&rows, &GROWTH, 1);
        let score = |row: usize| -> f32 {
            trees.iter().map(|t| t.value(|f| rows.row(row)[f]) as f32).sum()
        };
        let scores: Vec<f32> = (0..seeds.len()).map(score).collect();
        assert!(auc(&scores, &seeds) > 0.7, "{}", auc(&scores, &seeds));
        assert_eq!(grow(&rows, &GROWTH, 1), trees);
        assert_ne!(grow(&rows, &GROWTH, 2), trees);
    }

    #[test]
    fn sums_of_both_derivatives_come_apart_again() {
        let mut dice = Dice::new(3);
        let scale = Scale::of(20_000.0);
        let (mut packed, mut plain) = (0, [0.0, 0.0]);
        for _ in 0..10_000 {
            let (first, second) = (dice.normal().clamp(-2.0, 2.0), dice.normal().abs().min(0.5));
            packed += scale.packed(first, second);
            plain = [plain[0] + first, plain[1] + second];
        }
        let [first, second] = scale.first_and_second(packed);
        assert!((first - plain[0]).abs() < 0.1 && (second - plain[1]).abs() < 0.1);
        // The largest sums there can be, of either sign.
        for weight in [-20_000.0, 20_000.0] {
            let [first, second] = scale.first_and_second(scale.packed(weight, 5_000.0));
            assert!((first - weight).abs() < 1e-6 && (second - 5_000.0).abs() < 1e-6);
        }
    }

    #[test]
    fn without_a_pattern_leaves_stay_near_nothing() {
        let bins = [0, 0, 0, 0];
        let rows = Rows { bins: &bins, bin_counts: &[1], seeds: &[true, false, false, false] };
        let trees = grow(&rows, &Growth { seed_share: 1.0, other_share: 1.0, ..GROWTH }, 1);
        assert!(trees.iter().all(|t| t.levels.is_empty() && t.leaves.len() == 1));
    }
}

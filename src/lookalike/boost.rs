//! Shrunken gradient boosting of oblivious trees (Friedman 2001; Prokhorenkova et al. 2018).
//!
//! Positives hide among the unlabelled, so the model must not fit single rows: small steps, strong
//! L2 in the leaves, trees of one question a level, fresh rows and features for each tree; and every
//! profile is scored by trees that never saw it.

use super::random::Dice;
use super::tree::{DEPTH_MAX, Oblivious, fixed};

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
    let mut work = Work::new(rows, growth);
    for _ in 0..growth.trees {
        let tree = work.tree(rows, growth, &margins, &mut dice);
        for (row, margin) in margins.iter_mut().enumerate() {
            let bins = rows.row(row);
            *margin += tree.value(|feature| bins[feature]) as f32 / super::tree::UNIT;
        }
        grown.push(tree);
    }
    grown
}

/// The sums of a bin: first and second derivatives.
type Sums = [f32; 2];

struct Work {
    sampled: Vec<u32>,
    gradients: Vec<Sums>,
    leaf_of: Vec<u8>,
    sums: Vec<Sums>,
}

impl Work {
    fn new(rows: &Rows<'_>, growth: &Growth) -> Self {
        let most: usize = rows.bin_counts.iter().sum();
        let count = rows.seeds.len();
        Self {
            sampled: Vec::with_capacity(count),
            gradients: Vec::with_capacity(count),
            leaf_of: Vec::with_capacity(count),
            sums: vec![[0.0; 2]; most << growth.depth.saturating_sub(1)],
        }
    }

    fn tree(
        &mut self,
        rows: &Rows<'_>,
        growth: &Growth,
        margins: &[f32],
        dice: &mut Dice,
    ) -> Oblivious {
        self.sample(rows, growth, margins, dice);
        let share = rows.width() as f64 * growth.feature_share;
        let mut features = dice.sample(rows.width(), (share.ceil() as usize).max(1));
        features.sort_unstable();
        let places = Places::new(rows, &features);
        let mut tree = Oblivious::default();
        for level in 0..growth.depth {
            self.gather(rows, &places, level);
            let Some((feature, last)) = self.best(rows, &places, 1 << level, growth.l2) else {
                break;
            };
            for (leaf, &row) in self.leaf_of.iter_mut().zip(&self.sampled) {
                *leaf |= u8::from(rows.row(row as usize)[feature] > last) << level;
            }
            tree.levels.push((feature as u16, last));
        }
        tree.leaves = self.leaves(1 << tree.levels.len(), growth);
        tree
    }

    fn sample(&mut self, rows: &Rows<'_>, growth: &Growth, margins: &[f32], dice: &mut Dice) {
        self.sampled.clear();
        self.gradients.clear();
        let other_weight = (growth.seed_share / growth.other_share) as f32;
        for (row, &margin) in margins.iter().enumerate() {
            let seed = rows.seeds[row];
            let share = if seed { growth.seed_share } else { growth.other_share };
            if share < 1.0 && super::random::unit(dice.next()) >= share {
                continue;
            }
            let weight = if seed { 1.0 } else { other_weight };
            let chance = sigmoid(margin);
            let target = f32::from(u8::from(seed));
            self.sampled.push(row as u32);
            self.gradients.push([weight * (chance - target), weight * chance * (1.0 - chance)]);
        }
        self.leaf_of.clear();
        self.leaf_of.resize(self.sampled.len(), 0);
    }

    /// Sums derivatives by leaf, feature and bin, for the leaves that `level` questions make. Below the
    /// root only the smaller child of each leaf is counted: the other one is what is left of the leaf.
    fn gather(&mut self, rows: &Rows<'_>, places: &Places, level: usize) {
        let stride = places.stride;
        let half = if level == 0 { 0 } else { 1 << (level - 1) };
        let mut sizes = [0_u32; 1 << DEPTH_MAX];
        for &leaf in &self.leaf_of {
            sizes[usize::from(leaf)] += 1;
        }
        let high_is_smaller = |low: usize| sizes[low + half] < sizes[low];
        // What is counted lies in the upper half for now, whichever child it is.
        self.sums[stride * half..stride * (1 << level)].fill([0.0; 2]);
        for ((&row, &[first, second]), &leaf) in
            self.sampled.iter().zip(&self.gradients).zip(&self.leaf_of)
        {
            let (leaf, mut slot) = (usize::from(leaf), 0);
            if level > 0 {
                let low = leaf % half;
                if (leaf >= half) != high_is_smaller(low) {
                    continue;
                }
                slot = low + half;
            }
            let bins = rows.row(row as usize);
            let sums = &mut self.sums[slot * stride..][..stride];
            for &(feature, offset) in &places.features {
                let sum = &mut sums[offset + usize::from(bins[feature])];
                sum[0] += first;
                sum[1] += second;
            }
        }
        let (parents, children) = self.sums.split_at_mut(stride * half);
        let pairs = parents.chunks_exact_mut(stride).zip(children.chunks_exact_mut(stride));
        for (low, (parent, child)) in pairs.enumerate() {
            let high_was_counted = high_is_smaller(low);
            for (parent, child) in parent.iter_mut().zip(child) {
                let rest = [parent[0] - child[0], parent[1] - child[1]];
                (*parent, *child) = if high_was_counted { (rest, *child) } else { (*child, rest) };
            }
        }
    }

    /// The question that lowers the loss most, over all leaves together.
    fn best(
        &self,
        rows: &Rows<'_>,
        places: &Places,
        leaves: usize,
        l2: f64,
    ) -> Option<(usize, u8)> {
        let score = |first: f64, second: f64| first * first / (second + l2);
        let mut best = (GAIN_MIN, None);
        let mut gains = Vec::new();
        for &(feature, offset) in &places.features {
            let bins = rows.bin_counts[feature];
            gains.clear();
            gains.resize(bins - 1, 0.0);
            for leaf in 0..leaves {
                let sums = &self.sums[leaf * places.stride + offset..][..bins];
                let total = sums
                    .iter()
                    .fold([0.0_f64; 2], |t, s| [t[0] + f64::from(s[0]), t[1] + f64::from(s[1])]);
                let whole = score(total[0], total[1]);
                let mut left = [0.0_f64; 2];
                for (gain, sum) in gains.iter_mut().zip(sums) {
                    left = [left[0] + f64::from(sum[0]), left[1] + f64::from(sum[1])];
                    *gain += score(left[0], left[1])
                        + score(total[0] - left[0], total[1] - left[1])
                        - whole;
                }
            }
            for (last, &gain) in gains.iter().enumerate() {
                if gain > best.0 {
                    best = (gain, Some((feature, last as u8)));
                }
            }
        }
        best.1
    }

    fn leaves(&self, leaves: usize, growth: &Growth) -> Vec<i32> {
        let mut sums = vec![[0.0_f64; 2]; leaves];
        for (&leaf, &[first, second]) in self.leaf_of.iter().zip(&self.gradients) {
            let sum = &mut sums[usize::from(leaf)];
            sum[0] += f64::from(first);
            sum[1] += f64::from(second);
        }
        let value = |[first, second]: [f64; 2]| -growth.rate * first / (second + growth.l2);
        sums.into_iter().map(|sum| fixed(value(sum))).collect()
    }
}

/// Where the sums of a leaf lie.
struct Places {
    /// The features that are summed, and where the bins of each begin.
    features: Vec<(usize, usize)>,
    /// Bins of all of them.
    stride: usize,
}

impl Places {
    fn new(rows: &Rows<'_>, features: &[usize]) -> Self {
        let mut stride = 0;
        let place = |&feature: &usize| {
            stride += rows.bin_counts[feature];
            (feature, stride - rows.bin_counts[feature])
        };
        Self { features: features.iter().map(place).collect(), stride }
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
    fn without_a_pattern_leaves_stay_near_nothing() {
        let bins = [0, 0, 0, 0];
        let rows = Rows { bins: &bins, bin_counts: &[1], seeds: &[true, false, false, false] };
        let trees = grow(&rows, &Growth { seed_share: 1.0, other_share: 1.0, ..GROWTH }, 1);
        assert!(trees.iter().all(|t| t.levels.is_empty() && t.leaves.len() == 1));
    }
}

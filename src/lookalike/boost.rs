//! Shrunken gradient boosting of oblivious trees (Friedman 2001; Prokhorenkova et al. 2018).
//!
//! Positives hide among the unlabelled, so the model must not fit single rows: small steps, strong
//! L2 in the leaves, trees of one question a level, fresh rows and features for each tree; and every
//! profile is scored by trees that never saw it.

use std::ops::Range;

use super::random::Dice;
use super::tree::{BLOCK_ROWS, Oblivious, SIDE_BY_SIDE, Sums, UNIT, fixed};

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
    let columns: Vec<Vec<u8>> = (0..rows.width())
        .map(|feature| rows.bins.iter().skip(feature).step_by(rows.width()).copied().collect())
        .collect();
    let mut work = Work::new(rows, &columns, growth);
    for _ in 0..growth.trees {
        let tree = work.tree(&margins, &mut dice);
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
        // Rounded as `round` does, which is a call where processors may be old.
        let fixed = |value: f64| (value * self.0 + 0.5_f64.copysign(value)) as i64;
        (fixed(first) << 32) + fixed(second)
    }

    fn first_and_second(self, packed: i64) -> [f64; 2] {
        // A power of two: its inverse is exact, and quicker to multiply by than it is to divide by.
        let unit = self.0.recip();
        [(packed >> 32) as f64 * unit, f64::from(packed as u32) * unit]
    }
}

struct Work<'a> {
    rows: &'a Rows<'a>,
    /// The bins of all rows by feature.
    columns: &'a [Vec<u8>],
    growth: &'a Growth,
    /// The rows that this tree sees, leaf by leaf.
    sampled: Vec<u32>,
    /// Their derivatives.
    gradients: Vec<i64>,
    /// Where a leaf's rows are while they part.
    aside: Vec<(u32, i64)>,
    /// Where each leaf's rows lie, by its place in the tree.
    leaves: Vec<Range<usize>>,
    /// By leaf and feature.
    sums: Vec<Sums>,
}

/// The features that a tree may ask for, and how many bins each has.
type Features = Vec<(usize, usize)>;

impl<'a> Work<'a> {
    fn new(rows: &'a Rows<'a>, columns: &'a [Vec<u8>], growth: &'a Growth) -> Self {
        Self {
            rows,
            columns,
            growth,
            sampled: Vec::new(),
            gradients: Vec::new(),
            aside: Vec::new(),
            leaves: Vec::new(),
            sums: Vec::new(),
        }
    }

    fn tree(&mut self, margins: &[f32], dice: &mut Dice) -> Oblivious {
        let Self { rows, columns, growth, .. } = *self;
        let scale = self.sample(margins, dice);
        let share = rows.width() as f64 * growth.feature_share;
        let mut features = dice.sample(rows.width(), (share.ceil() as usize).max(1));
        features.sort_unstable();
        let features: Features = features.into_iter().map(|f| (f, rows.bin_counts[f])).collect();
        self.sums.resize(features.len() << growth.depth.saturating_sub(1), [0; 264]);
        let mut tree = Oblivious::default();
        for _ in 0..growth.depth {
            self.gather(&features);
            let Some((feature, last)) = self.best(&features, scale) else { break };
            self.part(&columns[feature], last);
            tree.levels.push((feature as u16, last));
        }
        tree.leaves = self.values(scale);
        tree
    }

    /// Draws the rows that the tree sees, and their derivatives.
    fn sample(&mut self, margins: &[f32], dice: &mut Dice) -> Scale {
        let Self { rows, growth, .. } = *self;
        let limits = [growth.other_share, growth.seed_share].map(chosen_below);
        self.sampled.clear();
        self.sampled.resize(rows.seeds.len(), 0);
        let mut sampled = [0; 2];
        for (row, &seed) in rows.seeds.iter().enumerate() {
            // Every row is written, and the next one over it unless it was drawn: no branch to guess.
            self.sampled[sampled[0] + sampled[1]] = row as u32;
            sampled[usize::from(seed)] +=
                usize::from(dice.next() >> 11 < limits[usize::from(seed)]);
        }
        self.sampled.truncate(sampled[0] + sampled[1]);
        let weights = [growth.seed_share / growth.other_share, 1.0];
        let scale = Scale::of(sampled[0] as f64 * weights[0] + sampled[1] as f64);
        self.gradients.clear();
        self.gradients.extend(self.sampled.iter().map(|&row| {
            let seed = usize::from(rows.seeds[row as usize]);
            let (weight, chance) = (weights[seed], f64::from(sigmoid(margins[row as usize])));
            scale.packed(weight * (chance - seed as f64), weight * chance * (1.0 - chance))
        }));
        self.leaves.clear();
        self.leaves.push(0..self.sampled.len());
        scale
    }

    /// Parts each leaf by a question: those whose bin is at most `last` go left.
    fn part(&mut self, bins: &[u8], last: u8) {
        for place in 0..self.leaves.len() {
            let Range { start, end } = self.leaves[place];
            let rows = &mut self.sampled[start..end];
            let gradients = &mut self.gradients[start..end];
            self.aside.resize(self.aside.len().max(rows.len()), (0, 0));
            let (mut left, mut right) = (0, 0);
            for at in 0..rows.len() {
                let (row, gradient) = (rows[at], gradients[at]);
                let goes_right = usize::from(bins[row as usize] > last);
                // Both are written, and the next row over the wrong one: no branch to guess.
                (rows[left], gradients[left]) = (row, gradient);
                self.aside[right] = (row, gradient);
                left += 1 - goes_right;
                right += goes_right;
            }
            let slots = rows[left..].iter_mut().zip(&mut gradients[left..]);
            for ((row, gradient), aside) in slots.zip(&self.aside[..right]) {
                (*row, *gradient) = *aside;
            }
            self.leaves[place] = start..start + left;
            self.leaves.push(start + left..end);
        }
    }

    /// Sums derivatives by leaf, feature and bin. Below the root only the smaller child of each leaf is
    /// counted: the other one is what is left of the leaf.
    fn gather(&mut self, features: &Features) {
        let width = features.len();
        let half = self.leaves.len() / 2;
        if half == 0 {
            self.count(features, 0..self.sampled.len(), 0);
        }
        for place in 0..half {
            let (left, right) = (self.leaves[place].clone(), self.leaves[half + place].clone());
            let right_is_counted = right.len() < left.len();
            let counted = if right_is_counted { right } else { left };
            self.count(features, counted, half + place);
            let (lefts, rights) = self.sums.split_at_mut(width * (half + place));
            let pairs = lefts[width * place..].iter_mut().zip(rights);
            for ((left, right), (_, bins)) in pairs.zip(features) {
                for (left, right) in left[..*bins].iter_mut().zip(&mut right[..*bins]) {
                    let rest = *left - *right;
                    (*left, *right) =
                        if right_is_counted { (rest, *right) } else { (*right, rest) };
                }
            }
        }
    }

    /// Sums the derivatives of the rows at `own` by feature and bin, as those of the leaf at `place`.
    fn count(&mut self, features: &Features, own: Range<usize>, place: usize) {
        let sums = &mut self.sums[place * features.len()..][..features.len()];
        for (sums, (_, bins)) in sums.iter_mut().zip(features) {
            sums[..*bins].fill(0);
        }
        let gradients = self.gradients[own.clone()].iter().copied();
        let rows = self.sampled[own].iter().copied().zip(gradients);
        let columns = self.columns;
        let column = |feature: &(usize, usize)| columns[feature.0].as_slice();
        let (groups, rest) = features.as_chunks::<SIDE_BY_SIDE>();
        let (group_sums, rest_sums) = sums.as_chunks_mut::<SIDE_BY_SIDE>();
        for (group, sums) in groups.iter().zip(group_sums) {
            add(rows.clone(), group.each_ref().map(column), sums);
        }
        for (feature, sums) in rest.iter().zip(rest_sums) {
            let bins = column(feature);
            rows.clone()
                .for_each(|(row, gradient)| sums[usize::from(bins[row as usize])] += gradient);
        }
    }

    /// The question that lowers the loss most, over all leaves together: its feature, and the last bin to
    /// go left.
    fn best(&self, features: &Features, scale: Scale) -> Option<(usize, u8)> {
        let score = |first: f64, second: f64| first * first / (second + self.growth.l2);
        let mut best = (GAIN_MIN, None);
        let mut gains = Vec::new();
        for (at, &(feature, bins)) in features.iter().enumerate() {
            gains.clear();
            gains.resize(bins - 1, 0.0);
            for place in 0..self.leaves.len() {
                let sums = &self.sums[place * features.len() + at][..bins];
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
                    best = (gain, Some((feature, last as u8)));
                }
            }
        }
        best.1
    }

    /// The values of the leaves.
    fn values(&self, scale: Scale) -> Vec<i32> {
        let value = |own: &Range<usize>| {
            let sum = self.gradients[own.clone()].iter().sum();
            let [first, second] = scale.first_and_second(sum);
            fixed(-self.growth.rate * first / (second + self.growth.l2))
        };
        self.leaves.iter().map(value).collect()
    }
}

/// Adds the derivative of each row to the sums of its bins.
fn add(
    rows: impl Iterator<Item = (u32, i64)>,
    columns: [&[u8]; SIDE_BY_SIDE],
    sums: &mut [Sums; SIDE_BY_SIDE],
) {
    // All columns have as many rows, and the slices say so: one bound is checked for all of them.
    let count = columns[0].len();
    let [c0, c1, c2, c3] = columns.map(|column| &column[..count]);
    let [s0, s1, s2, s3] = sums;
    for (row, gradient) in rows {
        let row = row as usize;
        if row >= count {
            break;
        }
        s0[usize::from(c0[row])] += gradient;
        s1[usize::from(c1[row])] += gradient;
        s2[usize::from(c2[row])] += gradient;
        s3[usize::from(c3[row])] += gradient;
    }
}

/// What a draw of 53 bits lies below for a share of the draws.
fn chosen_below(share: f64) -> u64 {
    (share * (1_u64 << 53) as f64).ceil() as u64
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

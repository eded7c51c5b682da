//! PU bagging (Mordelet and Vert 2014): many trees, each of all training seeds against as many
//! profiles drawn from the unlabelled. A hidden positive is in few bags, so it does little harm; and
//! a profile is scored by trees that never saw it.

use super::boost::Rows;
use super::random::Dice;
use super::tree::{Cart, Node, SIDE_BY_SIDE, Sums, fixed};

/// How trees are grown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bagging {
    /// Trees.
    pub(crate) trees: usize,
    /// Rows in a leaf at least.
    pub(crate) leaf_rows: usize,
    /// Levels at most.
    pub(crate) depth: u32,
    /// Seeds in a bag at most; as many unlabelled come with them.
    pub(crate) seeds_max: usize,
}

/// Grows trees on `rows`; `stream` decides the draws.
pub(crate) fn grow(rows: &Rows<'_>, bagging: &Bagging, stream: u64) -> Vec<Cart> {
    let (mut seeds, mut others) = (Vec::new(), Vec::new());
    for (row, &seed) in rows.seeds.iter().enumerate() {
        if seed { seeds.push(row as u32) } else { others.push(row as u32) }
    }
    if seeds.is_empty() || others.is_empty() {
        return Vec::new();
    }
    let mut dice = Dice::new(stream);
    let mut work = Work { rows, bagging, sums: Vec::new() };
    let one = |_| {
        let count = seeds.len().min(bagging.seeds_max);
        let mut counts = vec![0; rows.seeds.len()];
        for (kind, one) in [(&seeds, SEED), (&others, OTHER)] {
            for _ in 0..count {
                counts[kind[dice.below(kind.len())] as usize] += one;
            }
        }
        // A row that was drawn more than once is there once, and counts as many times.
        let mut bag: Vec<Drawn> = (0..).zip(counts).filter(|(_, count)| *count > 0).collect();
        work.tree(&mut bag, &mut dice)
    };
    (0..bagging.trees).map(one).collect()
}

/// Rows in the upper half and seeds in the lower, so that one addition counts both.
const SEED: i64 = OTHER + 1;
const OTHER: i64 = 1 << 32;

/// A row, and what it counts for.
type Drawn = (u32, i64);

fn rows_and_seeds(count: i64) -> (u32, u32) {
    ((count >> 32) as u32, count as u32)
}

fn counted(part: &[Drawn]) -> (u32, u32) {
    rows_and_seeds(part.iter().map(|(_, count)| count).sum())
}

/// Adds what each row counts for to the sums of its bins.
fn add<'a>(
    rows: impl Iterator<Item = (&'a [u8], i64)>,
    features: [usize; SIDE_BY_SIDE],
    sums: &mut [Sums; SIDE_BY_SIDE],
) {
    let last = features.into_iter().fold(0, usize::max);
    let [f0, f1, f2, f3] = features;
    let [s0, s1, s2, s3] = sums;
    for (bins, count) in rows {
        // One bound is checked for all of them.
        let bins = &bins[..=last];
        s0[usize::from(bins[f0])] += count;
        s1[usize::from(bins[f1])] += count;
        s2[usize::from(bins[f2])] += count;
        s3[usize::from(bins[f3])] += count;
    }
}

struct Work<'a> {
    rows: &'a Rows<'a>,
    bagging: &'a Bagging,
    /// What was drawn of each bin, for some features.
    sums: Vec<[Sums; SIDE_BY_SIDE]>,
}

/// A node that is still to be split.
struct Open {
    at: usize,
    from: usize,
    to: usize,
    depth: u32,
}

impl Work<'_> {
    fn tree(&mut self, bag: &mut [Drawn], dice: &mut Dice) -> Cart {
        let leaf = |at: usize| Node { child: at as u32, feature: 0, last: 255 };
        let mut tree = Cart { nodes: vec![leaf(0)], values: vec![0], depth: 0 };
        let mut open = vec![Open { at: 0, from: 0, to: bag.len(), depth: 0 }];
        while let Some(Open { at, from, to, depth }) = open.pop() {
            let part = &mut bag[from..to];
            let split = if depth < self.bagging.depth { self.best(part, dice) } else { None };
            let Some((feature, last)) = split else {
                let (rows, seeds) = counted(part);
                tree.values[at] = fixed(f64::from(seeds) / f64::from(rows.max(1)));
                continue;
            };
            let left = from + self.divide(part, feature, last);
            let child = tree.nodes.len();
            tree.nodes[at] = Node { child: child as u32, feature: feature as u16, last };
            tree.nodes.extend([leaf(child), leaf(child + 1)]);
            tree.values.extend([0, 0]);
            tree.depth = tree.depth.max(depth + 1);
            open.push(Open { at: child + 1, from: left, to, depth: depth + 1 });
            open.push(Open { at: child, from, to: left, depth: depth + 1 });
        }
        tree
    }

    /// The question that makes both sides purest (Gini), among the square root of all features.
    fn best(&mut self, part: &[Drawn], dice: &mut Dice) -> Option<(usize, u8)> {
        let leaf = self.bagging.leaf_rows as u32;
        let (rows, seeds) = counted(part);
        if rows < 2 * leaf || seeds == 0 || seeds == rows {
            return None;
        }
        let width = self.rows.width();
        let tried = (width as f64).sqrt().ceil() as usize;
        let purity = |seeds: u32, rows: u32| {
            let (seeds, rows) = (f64::from(seeds), f64::from(rows));
            (seeds * seeds + (rows - seeds) * (rows - seeds)) / rows
        };
        let mut best = (purity(seeds, rows) + 1e-9, None);
        // Features that cannot split these rows do not count, as in scikit-learn.
        let mut useful = 0;
        let order = dice.sample(width, width);
        let mut rest = order.as_slice();
        while useful < tried && !rest.is_empty() {
            let (group, behind) = rest.split_at((tried - useful).min(rest.len()));
            rest = behind;
            self.count(part, group);
            for (sums, &feature) in self.sums.as_flattened().iter().zip(group) {
                let sums = &sums[..self.rows.bin_counts[feature]];
                let mut left = [0, 0];
                let mut splits = false;
                for (last, sum) in sums.iter().enumerate() {
                    let (own, own_seeds) = rows_and_seeds(*sum);
                    left = [left[0] + own, left[1] + own_seeds];
                    splits |= left[0] > 0 && left[0] < rows;
                    if own == 0 || left[0] < leaf || rows - left[0] < leaf {
                        continue;
                    }
                    let both = purity(left[1], left[0]) + purity(seeds - left[1], rows - left[0]);
                    if both > best.0 {
                        best = (both, Some((feature, last as u8)));
                    }
                }
                useful += usize::from(splits);
            }
        }
        best.1
    }

    /// Counts the rows and seeds of each bin of the features of `group`, a row at a time: its bins lie
    /// together.
    fn count(&mut self, part: &[Drawn], group: &[usize]) {
        let groups = group.chunks(SIDE_BY_SIDE);
        self.sums.resize(groups.len().max(self.sums.len()), [[0; 264]; SIDE_BY_SIDE]);
        for (group, sums) in groups.zip(&mut self.sums) {
            // Places without a feature of their own count one again, and nobody looks at them.
            let features = std::array::from_fn(|at| group[at.min(group.len() - 1)]);
            for (sums, feature) in sums.iter_mut().zip(features) {
                sums[..self.rows.bin_counts[feature]].fill(0);
            }
            let rows = part.iter().map(|&(row, count)| (self.rows.row(row as usize), count));
            add(rows, features, sums);
        }
    }

    /// Puts the rows that go left first; how many they are.
    fn divide(&self, part: &mut [Drawn], feature: usize, last: u8) -> usize {
        let mut left = 0;
        for at in 0..part.len() {
            if self.rows.row(part[at].0 as usize)[feature] <= last {
                part.swap(left, at);
                left += 1;
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookalike::metrics::auc;

    const BAGGING: Bagging = Bagging { trees: 30, leaf_rows: 5, depth: 12, seeds_max: 1_000 };

    #[test]
    fn it_finds_seeds_it_did_not_see_and_is_repeatable() {
        let mut dice = Dice::new(4);
        let mut bins = Vec::new();
        let mut member = Vec::new();
        for _ in 0..3_000 {
            let row = [dice.below(32) as u8, dice.below(32) as u8, dice.below(32) as u8];
            member.push(row[0] > 20 && row[1] > 16 && dice.below(4) > 0);
            bins.extend(row);
        }
        // Only half of the members are known.
        let seeds: Vec<bool> = member.iter().enumerate().map(|(i, m)| *m && i % 2 == 0).collect();
        let rows = Rows { bins: &bins, bin_counts: &[32; 3], seeds: &seeds };
        let trees = grow(&rows, &BAGGING, 1);
        assert_eq!(trees, grow(&rows, &BAGGING, 1));
        let hidden: Vec<usize> = (0..3_000).filter(|&row| !seeds[row]).collect();
        let score = |row: &usize| -> f32 {
            trees.iter().map(|t| t.value(|f| rows.row(*row)[f]) as f32).sum()
        };
        let scores: Vec<f32> = hidden.iter().map(score).collect();
        let truth: Vec<bool> = hidden.iter().map(|&row| member[row]).collect();
        assert!(auc(&scores, &truth) > 0.9, "{}", auc(&scores, &truth));
    }

    #[test]
    fn leaves_hold_shares_of_seeds() {
        let rows = Rows { bins: &[0, 1], bin_counts: &[2], seeds: &[true, false] };
        let trees = grow(&rows, &Bagging { leaf_rows: 1, ..BAGGING }, 1);
        assert!(trees.iter().all(|t| t.values.iter().all(|v| (0..=fixed(1.0)).contains(v))));
        let none = Rows { seeds: &[false, false], ..rows };
        assert!(grow(&none, &BAGGING, 1).is_empty());
    }
}

//! Three models into one score, each weighed by how well it ranks seeds that it never saw.

use serde::{Deserialize, Serialize};

use super::fold::PARTS;
use super::metrics::auc;

/// How fast a model's weight falls with its held-out AUC, times the root of the number of seeds: the
/// standard error of an AUC is about .3 over that root, and a model that is one error behind keeps a
/// twentieth. Chosen on eight tasks with two to five seed sets each, four of them made up; .1 and .3
/// are within .0004 of each other in mean AUC.
const WEIGHT_FALL: f64 = 0.1;

/// Bagged shares are cut off here before they become log odds.
const SHARE_EDGE: f32 = 0.002;

/// How margins become one score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Blend {
    /// What each part counts; they add up to one.
    pub(crate) weights: [f32; PARTS],
    /// The mean of each part's margin over candidates.
    means: [f32; PARTS],
    /// Its standard deviation.
    scales: [f32; PARTS],
    /// Bagged trees in a fold: their margin is a sum of shares.
    bagged_trees: usize,
}

impl Blend {
    /// Weighs the parts: `margins` of the rows of a sample, and which of these are seeds; and the AUC of
    /// each part.
    pub(crate) fn learn(
        margins: [&[f32]; PARTS],
        seeds: &[bool],
        bagged_trees: usize,
    ) -> (Self, [f64; PARTS]) {
        let mut blend = Self { bagged_trees, ..Self::default() };
        let total = seeds.iter().filter(|s| **s).count().max(1) as f64;
        let mut aucs = [0.5; PARTS];
        for (part, margins) in margins.iter().enumerate() {
            aucs[part] = auc(margins, seeds);
            let others = margins.iter().zip(seeds).filter(|(_, seed)| !**seed);
            let others: Vec<f64> =
                others.map(|(margin, _)| f64::from(blend.odds(part, *margin))).collect();
            let count = others.len().max(1) as f64;
            let mean = others.iter().sum::<f64>() / count;
            let variance = others.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
            blend.means[part] = mean as f32;
            blend.scales[part] = variance.sqrt() as f32;
        }
        let best = aucs.iter().copied().fold(0.0, f64::max);
        for (part, weight) in blend.weights.iter_mut().enumerate() {
            let tells = blend.scales[part] > 1e-9;
            let behind = (aucs[part] - best) / (WEIGHT_FALL / total.sqrt());
            *weight = if tells { behind.exp() as f32 } else { 0.0 };
        }
        (blend.without_negligible(0.0), aucs)
    }

    /// The blend without parts that weigh less than `least`.
    pub(crate) fn without_negligible(mut self, least: f32) -> Self {
        self.weights.iter_mut().filter(|w| **w < least).for_each(|w| *w = 0.0);
        let sum: f32 = self.weights.iter().sum();
        if sum > 0.0 {
            self.weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        self
    }

    /// The blend without bagged trees.
    pub(crate) fn without_bags(mut self) -> Self {
        self.weights[PARTS - 1] = 0.0;
        if self.weights.iter().all(|w| *w <= 0.0) {
            // Only bags counted; the others are what is left.
            self.weights[..PARTS - 1].fill(1.0);
            self.scales.iter_mut().filter(|s| **s <= 0.0).for_each(|s| *s = 1.0);
        }
        self.without_negligible(0.0)
    }

    fn odds(&self, part: usize, margin: f32) -> f32 {
        if part + 1 < PARTS {
            return margin;
        }
        let share = margin / self.bagged_trees.max(1) as f32;
        let share = share.clamp(SHARE_EDGE, 1.0 - SHARE_EDGE);
        (share / (1.0 - share)).ln()
    }

    /// The score of a profile with these margins.
    pub(crate) fn score(&self, margins: [f32; PARTS]) -> f32 {
        let mut score = 0.0;
        for (part, margin) in margins.into_iter().enumerate() {
            if self.weights[part] > 0.0 {
                let odds = self.odds(part, margin);
                score += self.weights[part] * (odds - self.means[part]) / self.scales[part];
            }
        }
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_part_counts_more_and_a_constant_one_nothing() {
        let seeds: Vec<bool> = (0..1_000).map(|i| i % 10 == 0).collect();
        let good: Vec<f32> =
            (0..1_000).map(|i| if i % 10 == 0 { 5.0 } else { (i % 7) as f32 }).collect();
        let poor: Vec<f32> = (0..1_000).map(|i| (i % 13) as f32).collect();
        let (blend, aucs) = Blend::learn([&good, &poor, &[7.0; 1_000]], &seeds, 10);
        assert!(aucs[0] > aucs[1]);
        assert!(blend.weights[0] > 0.9 && blend.weights[2] == 0.0);
        assert!((blend.weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(blend.score([5.0, 3.0, 7.0]) > blend.score([1.0, 3.0, 7.0]));
    }
}

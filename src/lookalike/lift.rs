//! Lift, measured on held-out seeds: how much denser an audience is in them than the population is.
//!
//! It is honest where a probability would not be: positives hide among the candidates, so nobody
//! knows their share, but they are spread over scores as the held-out seeds are (selected completely
//! at random, Elkan and Noto 2008). A lift of 4 at 10 % says: the best tenth of the candidates holds
//! four tenths of the profiles like the seed.

use serde::{Deserialize, Serialize};

/// Shares of the candidates that reach is told at.
pub(crate) const REACH_SHARES: [f64; 15] =
    [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0];

/// The 97.5 % quantile of the standard normal distribution: bands hold with 95 %.
const BAND: f64 = 1.959_964;

/// A number and the band that it lies in with 95 % confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Banded {
    /// The number.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What an audience of a size would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReachAt {
    /// Its share of the candidates, 0..=1.
    pub share: f64,
    /// Its members.
    pub size: u64,
    /// The share of held-out seeds that would be in it, 0..=1.
    pub seed_share: f64,
    /// Its lift.
    pub lift: Banded,
}

/// Held-out seeds by where they lie among the candidates: the share of candidates that score better,
/// ascending.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldOut {
    places: Vec<f64>,
    candidates: u64,
}

impl HeldOut {
    /// From the share of candidates that lies below each seed.
    pub(crate) fn new(below: impl IntoIterator<Item = f64>, candidates: u64) -> Self {
        let mut places: Vec<f64> = below.into_iter().map(|share| 1.0 - share).collect();
        places.sort_unstable_by(f64::total_cmp);
        Self { places, candidates }
    }

    /// How many they are.
    pub(crate) fn seeds(&self) -> usize {
        self.places.len()
    }

    /// The ROC AUC of seeds against candidates, and the average precision among both.
    pub(crate) fn quality(&self) -> (f64, f64) {
        let count = self.places.len().max(1) as f64;
        let auc = self.places.iter().map(|above| 1.0 - above).sum::<f64>() / count;
        let precision = |(before, above): (usize, &f64)| {
            let hits = before as f64 + 1.0;
            hits / (hits + above * self.candidates as f64)
        };
        (auc, self.places.iter().enumerate().map(precision).sum::<f64>() / count)
    }

    fn within(&self, share: f64) -> usize {
        if share >= 1.0 { self.places.len() } else { self.places.partition_point(|p| *p <= share) }
    }

    /// The audience of the best `share` of the candidates.
    pub(crate) fn reach(&self, share: f64) -> ReachAt {
        let seeds = self.places.len() as f64;
        let found = wilson(self.within(share) as f64, seeds);
        let lift = |part: f64| part / share.max(1e-12);
        ReachAt {
            share,
            size: (self.candidates as f64 * share).ceil() as u64,
            seed_share: found.value,
            lift: Banded { value: lift(found.value), low: lift(found.low), high: lift(found.high) },
        }
    }

    /// All audiences that are told.
    pub(crate) fn table(&self) -> Vec<ReachAt> {
        REACH_SHARES.iter().map(|&share| self.reach(share)).collect()
    }

    /// The largest share of the candidates whose lift is at least `lift`, in thousandths; nothing where
    /// there is none.
    pub(crate) fn share_of_lift(&self, lift: f64) -> Option<f64> {
        let shares = (1..=1_000).rev().map(|thousandth| f64::from(thousandth) / 1_000.0);
        shares.into_iter().find(|&share| self.reach(share).lift.value >= lift)
    }

    /// The lift of a score by where it lies.
    pub(crate) fn steps(&self) -> Steps {
        let mut from = 0.0;
        let mut blocks: Vec<[f64; 2]> = Vec::new();
        let seeds = self.places.len().max(1) as f64;
        for share in REACH_SHARES {
            let inside = (self.within(share) - self.within(from)) as f64 / seeds;
            let from_before = std::mem::replace(&mut from, share);
            blocks.push([inside, share - from_before]);
        }
        // Pool adjacent violators: a better score never has a lower lift.
        let mut pooled: Vec<([f64; 2], usize)> = Vec::new();
        for block in blocks {
            pooled.push((block, 1));
            while let [.., (a, n), (b, m)] = pooled[..] {
                if a[0] / a[1] >= b[0] / b[1] {
                    break;
                }
                pooled.truncate(pooled.len() - 2);
                pooled.push(([a[0] + b[0], a[1] + b[1]], n + m));
            }
        }
        let lifts =
            pooled.into_iter().flat_map(|(b, n)| std::iter::repeat_n((b[0] / b[1]) as f32, n));
        Steps(lifts.collect())
    }
}

/// The lift of each part of the ranking between two of [`REACH_SHARES`], best first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Steps(Vec<f32>);

impl Steps {
    /// The lift of a profile that `share` of the candidates lie below.
    pub(crate) fn lift(&self, below: f64) -> f64 {
        let step = REACH_SHARES.partition_point(|share| *share < 1.0 - below);
        self.0.get(step).or(self.0.last()).map_or(1.0, |lift| f64::from(*lift))
    }
}

/// Wilson's interval (1927) for a share: right at the ends and for few, where others are not.
pub(crate) fn wilson(hits: f64, all: f64) -> Banded {
    if all <= 0.0 {
        return Banded { value: 0.0, low: 0.0, high: 1.0 };
    }
    let (share, z2) = (hits / all, BAND * BAND);
    let middle = (share + z2 / (2.0 * all)) / (1.0 + z2 / all);
    let half =
        BAND * (share * (1.0 - share) / all + z2 / (4.0 * all * all)).sqrt() / (1.0 + z2 / all);
    Banded { value: share, low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
}

/// The band of an AUC (Hanley and `McNeil` 1982).
pub(crate) fn auc_band(auc: f64, positives: f64, negatives: f64) -> Banded {
    let q1 = auc / (2.0 - auc);
    let q2 = 2.0 * auc * auc / (1.0 + auc);
    let square = auc * auc;
    let variance =
        (auc * (1.0 - auc) + (positives - 1.0) * (q1 - square) + (negatives - 1.0) * (q2 - square))
            / (positives * negatives).max(1.0);
    let half = BAND * variance.max(0.0).sqrt();
    Banded { value: auc, low: (auc - half).max(0.0), high: (auc + half).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_counts_held_out_seeds_above_the_cut() {
        // Of ten seeds five lie in the best tenth, the others evenly behind.
        let below = [0.99, 0.98, 0.96, 0.94, 0.92, 0.8, 0.6, 0.4, 0.2, 0.1];
        let held = HeldOut::new(below, 1_000);
        let tenth = held.reach(0.1);
        assert_eq!((tenth.size, tenth.seed_share), (100, 0.5));
        assert!((tenth.lift.value - 5.0).abs() < 1e-9);
        assert!(tenth.lift.low < 5.0 && tenth.lift.high > 5.0);
        assert!((held.reach(1.0).lift.value - 1.0).abs() < 1e-9);
        assert_eq!(held.share_of_lift(100.0), None);
        let share = held.share_of_lift(5.0).expect("reached");
        assert!(held.reach(share).lift.value >= 5.0 && share >= 0.1);
    }

    #[test]
    fn lifts_never_rise_down_the_ranking_and_average_to_one() {
        let mut dice = crate::lookalike::random::Dice::new(4);
        let below: Vec<f64> =
            (0..400).map(|_| crate::lookalike::random::unit(dice.next()).powf(0.4)).collect();
        let steps = HeldOut::new(below, 10_000).steps();
        assert!(steps.0.windows(2).all(|pair| pair[0] >= pair[1]));
        let mut from = 0.0;
        let mean: f64 = REACH_SHARES
            .iter()
            .zip(&steps.0)
            .map(|(share, lift)| (share - std::mem::replace(&mut from, *share)) * f64::from(*lift))
            .sum();
        assert!((mean - 1.0).abs() < 1e-5);
        assert!((steps.lift(0.9999) - f64::from(steps.0[0])).abs() < 1e-12);
        assert!((steps.lift(0.0) - f64::from(steps.0[14])).abs() < 1e-12);
    }

    #[test]
    fn intervals_are_those_of_tables() {
        let found = wilson(10.0, 100.0);
        assert!((found.low - 0.0552).abs() < 1e-3 && (found.high - 0.1744).abs() < 1e-3);
        assert_eq!((wilson(0.0, 0.0).low, wilson(0.0, 0.0).high), (0.0, 1.0));
        let band = auc_band(0.8, 50.0, 1_000.0);
        assert!(band.low > 0.70 && band.high < 0.90);
    }
}

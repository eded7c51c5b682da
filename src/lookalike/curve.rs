//! Where a score lies among all scores: a small table of quantiles that a model file can carry.

use serde::{Deserialize, Serialize};

/// Knots of a curve, evenly spread over normal scores, so that the top of a ranking, which audiences
/// are cut from, is told apart as finely as the middle.
const KNOTS: usize = 513;

/// Normal scores that the knots lie between: one in 10^7 lies outside.
const REACH: f64 = 5.2;

/// A monotone map from scores to shares of the scores that lie below.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curve {
    /// Scores, ascending and distinct.
    scores: Vec<f32>,
    /// How many lie below each, ascending, in halves: a tie counts one half. Whole numbers, so that a model
    /// file gives them back as they were.
    below_halves: Vec<u64>,
    /// How many there are.
    total: u64,
}

/// The chance that a standard normal draw lies below `z` (Abramowitz and Stegun 26.2.17, error below
/// 7.5e-8).
fn normal_share(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let poly = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let tail = poly.iter().fold(0.0, |sum, c| (sum + c) * t) * (-z * z / 2.0).exp()
        / std::f64::consts::TAU.sqrt();
    if z >= 0.0 { 1.0 - tail } else { tail }
}

impl Curve {
    /// The curve of `scores`, which are put in order on the way.
    pub(crate) fn of(scores: &mut [f32]) -> Self {
        scores.sort_unstable_by(f32::total_cmp);
        let mut curve = Self { total: scores.len() as u64, ..Self::default() };
        let last = scores.len().saturating_sub(1);
        for knot in 0..KNOTS {
            let z = REACH * (2.0 * knot as f64 / (KNOTS - 1) as f64 - 1.0);
            let share = if knot + 1 == KNOTS { 1.0 } else { normal_share(z) };
            let Some(&score) = scores.get((share * last as f64).round() as usize) else { break };
            if curve.scores.last().is_some_and(|top| *top >= score) {
                continue;
            }
            let below = scores.partition_point(|s| *s < score);
            let equal = scores[below..].partition_point(|s| *s <= score);
            curve.scores.push(score);
            curve.below_halves.push(2 * below as u64 + equal as u64);
        }
        curve
    }

    fn at(&self, knot: usize) -> f64 {
        self.below_halves[knot] as f64 / (2 * self.total) as f64
    }

    /// The share of scores below `score`, between 0 and 1, never equal to either. Scores between knots
    /// keep their order.
    pub(crate) fn share(&self, score: f32) -> f64 {
        let (Some(&first), Some(&last)) = (self.scores.first(), self.scores.last()) else {
            return 0.5;
        };
        let above = self.scores.partition_point(|s| *s <= score);
        let inside = if above == 0 {
            // Beyond the ends the share goes on towards 0 and 1, so that order is kept there too.
            let away = f64::from(first - score);
            self.at(0) / (1.0 + away)
        } else if above == self.scores.len() {
            let away = f64::from(score - last);
            1.0 - (1.0 - self.at(above - 1)) / (1.0 + away)
        } else {
            let (low, high) = (self.scores[above - 1], self.scores[above]);
            let part = f64::from(score - low) / f64::from(high - low);
            self.at(above - 1) + part * (self.at(above) - self.at(above - 1))
        };
        inside.clamp(1e-9, 1.0 - 1e-9)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lookalike::encode::normal_quantile;

    #[test]
    fn normal_shares_turn_quantiles_back() {
        for share in [1e-6, 0.01, 0.3, 0.5, 0.9, 0.999] {
            assert!((normal_share(normal_quantile(share)) - share).abs() < 1e-6);
        }
    }

    #[test]
    fn shares_are_ranks() {
        let mut scores: Vec<f32> = (0..10_000).map(|i| i as f32).collect();
        let curve = Curve::of(&mut scores);
        for score in [5.0, 100.0, 5_000.0, 9_990.0, 9_999.0] {
            assert!((curve.share(score) - f64::from(score) / 10_000.0).abs() < 1e-3, "{score}");
        }
        assert!((Curve::of(&mut []).share(3.0) - 0.5).abs() < 1e-9);
        assert!((Curve::of(&mut [2.0; 5]).share(2.0) - 0.5).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn order_is_kept(scores in proptest::collection::vec(-1e3_f32..1e3, 1..500), a in -2e3_f32..2e3, b in -2e3_f32..2e3) {
            let curve = Curve::of(&mut scores.clone());
            let (low, high) = if a <= b { (a, b) } else { (b, a) };
            prop_assert!(curve.share(low) <= curve.share(high));
            prop_assert!(curve.share(low) > 0.0 && curve.share(high) < 1.0);
        }
    }
}

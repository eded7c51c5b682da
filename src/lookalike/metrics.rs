//! How good a ranking is: ROC AUC, average precision, lift at the top. Used on held-out seeds, since
//! nobody knows who among the candidates belongs.

/// The rows by falling score; equal scores by `tie`, ascending.
pub(crate) fn order_by(scores: &[f32], tie: impl Fn(usize) -> u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (a as usize, b as usize);
        scores[b].total_cmp(&scores[a]).then_with(|| tie(a).cmp(&tie(b)))
    });
    order
}

/// The area under the ROC curve: the chance that a positive row scores above another one, ties
/// counting half (the Mann-Whitney statistic). One half where either side is empty.
pub(crate) fn auc(scores: &[f32], positive: &[bool]) -> f64 {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
    auc_in_order(scores, positive, &order)
}

fn auc_in_order(scores: &[f32], positive: &[bool], ascending: &[u32]) -> f64 {
    let (mut wins, mut negatives, mut positives) = (0.0_f64, 0.0_f64, 0.0_f64);
    let mut at = 0;
    while at < ascending.len() {
        let score = scores[ascending[at] as usize];
        let (mut equal_positives, mut equal_negatives) = (0.0, 0.0);
        while at < ascending.len() && scores[ascending[at] as usize].total_cmp(&score).is_eq() {
            if positive[ascending[at] as usize] {
                equal_positives += 1.0;
            } else {
                equal_negatives += 1.0;
            }
            at += 1;
        }
        wins += equal_positives * (negatives + equal_negatives / 2.0);
        negatives += equal_negatives;
        positives += equal_positives;
    }
    if positives == 0.0 || negatives == 0.0 { 0.5 } else { wins / (positives * negatives) }
}

/// What a ranking by falling score is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quality {
    pub(crate) auc: f64,
    pub(crate) average_precision: f64,
    /// Lift at 1, 5 and 10 %.
    pub(crate) lift: [f64; 3],
}

/// The shares of the ranking that lift is told at, in percent.
pub(crate) const LIFT_PERCENTS: [usize; 3] = [1, 5, 10];

/// The quality of `scores`, ties by row.
pub(crate) fn quality(scores: &[f32], positive: &[bool]) -> Quality {
    let order = order_by(scores, |row| row as u64);
    let total = positive.iter().filter(|p| **p).count() as f64;
    let rows = scores.len();
    let base = total / rows.max(1) as f64;
    let mut hits = 0.0;
    let mut precision_sum = 0.0;
    let mut lift = [0.0; 3];
    let cuts = LIFT_PERCENTS.map(|percent| (rows * percent).div_ceil(100));
    for (place, &row) in order.iter().enumerate() {
        if positive[row as usize] {
            hits += 1.0;
            precision_sum += hits / (place + 1) as f64;
        }
        for (lift, cut) in lift.iter_mut().zip(cuts) {
            if place + 1 == cut && base > 0.0 {
                *lift = hits / cut as f64 / base;
            }
        }
    }
    Quality {
        auc: auc(scores, positive),
        average_precision: if total > 0.0 { precision_sum / total } else { 0.0 },
        lift,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_is_the_share_of_pairs_in_order() {
        let scores = [0.1, 0.4, 0.35, 0.8];
        let positive = [false, false, true, true];
        assert!((auc(&scores, &positive) - 0.75).abs() < 1e-12);
        assert!((auc(&[1.0; 4], &positive) - 0.5).abs() < 1e-12);
        assert!((auc(&scores, &[true; 4]) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn auc_agrees_with_counting_pairs() {
        let mut dice = crate::lookalike::random::Dice::new(5);
        let scores: Vec<f32> = (0..200).map(|_| dice.below(40) as f32).collect();
        let positive: Vec<bool> = (0..200).map(|_| dice.below(3) == 0).collect();
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (a, _) in scores.iter().enumerate().filter(|(a, _)| positive[*a]) {
            for (b, _) in scores.iter().enumerate().filter(|(b, _)| !positive[*b]) {
                pairs += 1.0;
                wins += match scores[a].total_cmp(&scores[b]) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
        assert!((auc(&scores, &positive) - wins / pairs).abs() < 1e-12);
    }

    #[test]
    fn quality_of_a_perfect_ranking() {
        let scores: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let positive: Vec<bool> = (0..100).map(|i| i >= 90).collect();
        let found = quality(&scores, &positive);
        assert!((found.auc - 1.0).abs() < 1e-12 && (found.average_precision - 1.0).abs() < 1e-12);
        assert_eq!(found.lift, [10.0, 10.0, 10.0]);
    }
}

//! How good a ranking is, where models are chosen: the ROC AUC of held-out seeds, since nobody knows
//! who among the candidates belongs.

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
}

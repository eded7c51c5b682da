//! Guards against features that give the answer away: such a model repeats the seed's definition and
//! finds nobody new.

use super::encode::Encoder;
use super::survey::Count;

/// The AUC from which one column alone tells seeds apart too well to be anything but their definition.
/// The best single columns of the public tasks reach .74 to .86.
const TELLTALE_AUC: f64 = 0.985;

/// Rows of evidence that a bin's seed rate is drawn towards the mean by, so that rare bins with a seed
/// in them do not look like telltales.
const PRIOR_ROWS: f64 = 20.0;

/// The AUC of one column alone: bins ordered by their share of seeds.
fn alone(counts: &[Count]) -> f64 {
    let seeds: Vec<f64> = counts.iter().map(|count| count.seeds as f64).collect();
    let all: Vec<f64> = counts.iter().map(|count| (count.seeds + count.others) as f64).collect();
    let base = seeds.iter().sum::<f64>() / all.iter().sum::<f64>().max(1.0);
    let rates: Vec<f32> = seeds
        .iter()
        .zip(&all)
        .map(|(seeds, all)| ((seeds + base * PRIOR_ROWS) / (all + PRIOR_ROWS)) as f32)
        .collect();
    // A bin as one row a member would be as long as the population; weights in order are enough.
    let mut order: Vec<usize> = (0..rates.len()).collect();
    order.sort_by(|&a, &b| rates[a].total_cmp(&rates[b]));
    let (mut wins, mut below) = (0.0, 0.0);
    for bin in order {
        let others = all[bin] - seeds[bin];
        wins += seeds[bin] * (below + others / 2.0);
        below += others;
    }
    let pairs = seeds.iter().sum::<f64>() * below;
    if pairs > 0.0 { wins / pairs } else { 0.5 }
}

/// The features that alone separate the seed almost perfectly, and their AUC; `counts` are those of the
/// bins of each.
pub(crate) fn telltales(encoder: &Encoder, counts: &[Vec<Count>]) -> Vec<(usize, f64)> {
    let found = (0..encoder.features.len()).map(|at| (at, alone(&counts[at])));
    found.filter(|(_, auc)| *auc > TELLTALE_AUC).collect()
}

/// [`alone`], by its definition: for tests.
#[cfg(test)]
fn alone_plainly(rates: &[f32], bins: &[u8], roles: &[super::recipe::Role]) -> f64 {
    use super::recipe::Role;
    let scores: Vec<f32> = bins.iter().map(|bin| rates[usize::from(*bin)]).collect();
    let seeds: Vec<bool> = roles.iter().map(|r| *r == Role::Seed).collect();
    super::metrics::auc(&scores, &seeds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookalike::frame::{Column, Frame};
    use crate::lookalike::random::Dice;
    use crate::lookalike::recipe::Role;
    use crate::lookalike::survey::count;

    #[test]
    fn a_column_that_is_the_seed_is_found_and_others_are_not() {
        let mut dice = Dice::new(17);
        let roles: Vec<Role> =
            (0..4_000).map(|i| if i % 20 == 0 { Role::Seed } else { Role::Candidate }).collect();
        let mut column = |hint: f64| {
            let value = |role: &Role| {
                let seed = f64::from(u8::from(*role == Role::Seed));
                (dice.normal() + hint * seed) as f32
            };
            roles.iter().map(value).collect::<Vec<f32>>()
        };
        let columns = vec![
            Column::numbers("noise", column(0.0)),
            Column::numbers("good", column(1.5)),
            Column::numbers("answer", column(9.0)),
        ];
        let frame = Frame { rows: 4_000, columns };
        let (encoder, ..) = Encoder::learn(&frame);
        let encoded = encoder.encode(4_000, frame.columns);
        let counts = count(&encoder, &encoded, &roles);
        let found = telltales(&encoder, &counts);
        assert_eq!(found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2]);
        let rates: Vec<f32> = (0..encoder.features[1].bins()).map(|b| b as f32).collect();
        // Bins of a feature that rises with the seed are in order of their rates, nearly.
        let plain = alone_plainly(&rates, &encoded.bins[1], &roles);
        assert!((alone(&counts[1]) - plain).abs() < 0.03);
    }
}

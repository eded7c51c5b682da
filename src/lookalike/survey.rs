//! One pass over everybody's bins: how many seeds and others have each bin, and the rows that are wanted.

use rayon::prelude::*;

use crate::error::Result;

use super::encode::{Encoded, Encoder};
use super::everybody::{Everybody, inside};
use super::recipe::Role;
use super::shelf::Depth;

/// How many profiles have a bin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Seeds.
    pub(crate) seeds: u64,
    /// All others.
    pub(crate) others: u64,
}

/// What the pass found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The counts of the bins of each column.
    pub(crate) counts: Vec<Vec<Count>>,
    /// The rows that were wanted.
    pub(crate) wanted: Encoded,
}

/// The counts of the bins of each feature.
pub(crate) fn count(encoder: &Encoder, encoded: &Encoded, roles: &[Role]) -> Vec<Vec<Count>> {
    let one = |at: usize| {
        // Two tables, as a row that has the bin of the row before it would wait for that one's sum.
        let mut tables = [[[0_u32; 256]; 2]; 2];
        let (pairs, last) = encoded.bins[at].as_chunks::<2>();
        let (roles, last_role) = roles.as_chunks::<2>();
        for (bins, roles) in pairs.iter().zip(roles) {
            for lane in 0..2 {
                let seed = usize::from(roles[lane] == Role::Seed);
                tables[lane][seed][usize::from(bins[lane])] += 1;
            }
        }
        for (bin, role) in last.iter().zip(last_role) {
            tables[0][usize::from(*role == Role::Seed)][usize::from(*bin)] += 1;
        }
        let sum = |seed: usize, bin: usize| {
            u64::from(tables[0][seed][bin]) + u64::from(tables[1][seed][bin])
        };
        let bins = 0..encoder.features[at].bins();
        bins.map(|bin| Count { seeds: sum(1, bin), others: sum(0, bin) }).collect()
    };
    (0..encoder.features.len()).into_par_iter().map(one).collect()
}

/// How many of `rows` have each bin of each feature.
pub(crate) fn members(encoder: &Encoder, encoded: &Encoded, rows: &[u32]) -> Vec<Vec<u64>> {
    let one = |at: usize| {
        let mut counts = vec![0; encoder.features[at].bins()];
        let bins = &encoded.bins[at];
        for &row in rows {
            counts[usize::from(bins[row as usize])] += 1;
        }
        counts
    };
    (0..encoder.features.len()).into_par_iter().map(one).collect()
}

impl Survey {
    /// Counts everybody, and takes the rows `wanted`, which ascend.
    ///
    /// # Errors
    /// Where a chunk is lost.
    pub(crate) fn of(everybody: &Everybody<'_>, roles: &[Role], wanted: &[u32]) -> Result<Self> {
        let encoder = &everybody.encoder;
        let mut survey = Self::default();
        let mut parts = Vec::new();
        let depth = if wanted.is_empty() { Depth::Bins } else { Depth::All };
        everybody.each(depth, |chunk, encoded| {
            let rows = everybody.layout().chunk(chunk);
            let counts = count(encoder, encoded, &roles[rows.clone()]);
            if survey.counts.is_empty() {
                survey.counts = counts;
            } else {
                let pairs = survey.counts.iter_mut().flatten().zip(counts.iter().flatten());
                pairs.for_each(|(sum, count)| {
                    sum.seeds += count.seeds;
                    sum.others += count.others;
                });
            }
            parts.push(encoded.at(&inside(wanted, &rows)));
        })?;
        survey.wanted = Encoded::joined(&parts);
        Ok(survey)
    }
}

/// The bins of every row of `everybody`'s columns.
///
/// # Errors
/// Where a chunk is lost.
pub(crate) fn all_bins(everybody: &Everybody<'_>) -> Result<Vec<Vec<u8>>> {
    let mut bins = vec![Vec::new(); everybody.encoder.features.len()];
    if bins.is_empty() {
        return Ok(bins);
    }
    everybody.each(Depth::Bins, |_, encoded| {
        bins.iter_mut().zip(&encoded.bins).for_each(|(all, own)| all.extend_from_slice(own));
    })?;
    Ok(bins)
}

/// How many of the rows `chosen`, which ascend, have each bin of each feature.
///
/// # Errors
/// Where a chunk is lost.
pub(crate) fn all_members(everybody: &Everybody<'_>, chosen: &[u32]) -> Result<Vec<Vec<u64>>> {
    let encoder = &everybody.encoder;
    let mut sums: Vec<Vec<u64>> = encoder.features.iter().map(|f| vec![0; f.bins()]).collect();
    everybody.each(Depth::Bins, |chunk, encoded| {
        let rows = inside(chosen, &everybody.layout().chunk(chunk));
        let own = members(encoder, encoded, &rows);
        sums.iter_mut().flatten().zip(own.iter().flatten()).for_each(|(sum, own)| *sum += own);
    })?;
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lookalike::frame::{Column, Frame};

    proptest! {
        #[test]
        fn counts_are_those_of_a_plain_loop(
            values in proptest::collection::vec((0..40_u8, any::<bool>()), 2..300)
        ) {
            let column: Vec<f32> = values.iter().map(|(value, _)| f32::from(*value)).collect();
            let rows = values.len();
            let frame = Frame { rows, columns: vec![Column::numbers("n", column)] };
            let (encoder, kept, _) = Encoder::learn(&frame);
            prop_assume!(!kept.is_empty());
            let encoded = encoder.encode(rows, frame.columns);
            let role = |seed: bool| if seed { Role::Seed } else { Role::Candidate };
            let roles: Vec<Role> = values.iter().map(|(_, seed)| role(*seed)).collect();
            let chosen: Vec<u32> = (0..rows as u32).filter(|row| row % 3 == 0).collect();
            let (counts, own) =
                (count(&encoder, &encoded, &roles), members(&encoder, &encoded, &chosen));
            for bin in 0..encoder.features[0].bins() {
                let has = |row: &usize| usize::from(encoded.bins[0][*row]) == bin;
                let seeds = (0..rows).filter(has).filter(|row| values[*row].1).count() as u64;
                let all = (0..rows).filter(has).count() as u64;
                prop_assert_eq!(counts[0][bin], Count { seeds, others: all - seeds });
                let members = (0..rows).step_by(3).filter(has).count() as u64;
                prop_assert_eq!(own[0][bin], members);
            }
        }
    }
}

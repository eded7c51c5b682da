//! Who is selected, by the groups of a sensitive column; and re-ranking to four fifths.
//!
//! Leaving a sensitive column out of the model does not make an audience fair, since other columns
//! tell of it. So the rates are measured, and the reader is told what evening them out would cost.

use std::collections::BTreeMap;

use super::encode::Feature;
use super::reasons::{BUCKET_MIN, bucket_of};
use super::recipe::Role;
use super::report::{Fairness, GroupRate};
use super::survey::Count;
use super::top::top;

/// The ratio of selection rates from which a selection counts as even (the four-fifths rule of the
/// Uniform Guidelines on Employee Selection Procedures, 1978).
const FAIR_RATIO: f64 = 0.8;

/// The groups of a column: a name each, and the group of each row.
pub(crate) struct Groups {
    column: String,
    names: Vec<String>,
    of: Vec<u8>,
}

impl Groups {
    /// The groups of the column `feature`, of which each row has one of `bins`.
    pub(crate) fn new(feature: &Feature, bins: Vec<u8>) -> Self {
        let mut counts = vec![Count::default(); feature.bins()];
        for &bin in &bins {
            counts[usize::from(bin)].others += 1;
        }
        let mut names: Vec<String> = Vec::new();
        let mut group_of = |bin: usize| {
            let group = bucket_of(feature, bin as u8, &counts);
            let known = names.iter().position(|name| *name == group);
            known.unwrap_or_else(|| {
                names.push(group);
                names.len() - 1
            }) as u8
        };
        let group_of: Vec<u8> = (0..feature.bins()).map(&mut group_of).collect();
        let mut of = bins;
        for bin in &mut of {
            *bin = group_of[usize::from(*bin)];
        }
        Self { column: feature.name.clone(), names, of }
    }

    /// The column.
    pub(crate) fn column(&self) -> &str {
        &self.column
    }

    fn count(&self, which: impl Fn(usize) -> bool) -> Vec<u64> {
        let mut counts = vec![0; self.names.len()];
        for (row, &group) in self.of.iter().enumerate() {
            counts[usize::from(group)] += u64::from(which(row));
        }
        counts
    }

    /// How many of each group to take, `size` in all, so that no rate is below four fifths of another:
    /// the rates that plain ranking gives, raised and lowered no more than that takes.
    fn quotas(candidates: &[u64], plain: &[u64], size: u64) -> Vec<u64> {
        let rate = |at: usize| plain[at] as f64 / candidates[at].max(1) as f64;
        let groups = 0..candidates.len();
        let taken = |high: f64| -> f64 {
            let one = |at| candidates[at] as f64 * rate(at).clamp(FAIR_RATIO * high, high).min(1.0);
            groups.clone().map(one).sum()
        };
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if taken(middle) < size as f64 { low = middle } else { high = middle }
        }
        let exact =
            |at: usize| candidates[at] as f64 * rate(at).clamp(FAIR_RATIO * high, high).min(1.0);
        let mut quotas: Vec<u64> = groups.clone().map(|at| exact(at).floor() as u64).collect();
        let mut order: Vec<usize> = groups.collect();
        order.sort_by(|&a, &b| exact(b).fract().total_cmp(&exact(a).fract()).then(a.cmp(&b)));
        let mut left = size.saturating_sub(quotas.iter().sum());
        for at in order.into_iter().cycle().take(4 * quotas.len()) {
            if left > 0 && quotas[at] < candidates[at] {
                quotas[at] += 1;
                left -= 1;
            }
        }
        even_out(&mut quotas, candidates);
        quotas
    }
}

/// Whole members are coarse where groups are small: moves one at a time from the group that is selected
/// most to the one selected least, until the ratio is four fifths.
fn even_out(quotas: &mut [u64], candidates: &[u64]) {
    let shown: Vec<usize> =
        (0..candidates.len()).filter(|&at| candidates[at] >= BUCKET_MIN).collect();
    for _ in 0..10_000 {
        let rate = |at: &usize| quotas[*at] as f64 / candidates[*at] as f64;
        let by_rate = |a: &&usize, b: &&usize| rate(a).total_cmp(&rate(b));
        let least = shown.iter().min_by(by_rate).copied();
        let most = shown.iter().max_by(by_rate).copied();
        let (Some(least), Some(most)) = (least, most) else { return };
        if rate(&least) >= FAIR_RATIO * rate(&most) || quotas[most] == 0 {
            return;
        }
        quotas[most] -= 1;
        quotas[least] += 1;
    }
}

/// Everything that selecting needs.
pub(crate) struct Selection<'a> {
    pub(crate) scores: &'a [f32],
    pub(crate) roles: &'a [Role],
    /// The profile of each row.
    pub(crate) ids: &'a [u32],
    pub(crate) size: u64,
}

impl Selection<'_> {
    /// The best rows, ascending.
    pub(crate) fn best(&self) -> Vec<u32> {
        let candidate = |row: usize| self.roles[row] == Role::Candidate;
        top(self.scores, candidate, |row| self.tie(row), self.size as usize)
    }

    fn tie(&self, row: usize) -> u64 {
        super::random::draw(TIE_STREAM, self.ids[row])
    }

    /// The best rows of each group, as many as are its due.
    pub(crate) fn best_by_group(&self, groups: &Groups) -> Vec<u32> {
        let candidates = groups.count(|row| self.roles[row] == Role::Candidate);
        let best = self.best();
        let mut plain = vec![0; groups.names.len()];
        for row in best {
            plain[usize::from(groups.of[row as usize])] += 1;
        }
        let quotas = Groups::quotas(&candidates, &plain, self.size);
        let mut rows = Vec::new();
        for (group, &quota) in quotas.iter().enumerate() {
            let candidate = |row: usize| {
                self.roles[row] == Role::Candidate && usize::from(groups.of[row]) == group
            };
            rows.extend(top(self.scores, candidate, |row| self.tie(row), quota as usize));
        }
        rows.sort_unstable();
        rows
    }

    /// The share of seeds that would be in, were they candidates: those that score no worse than the
    /// worst member, of their own group where `groups` are told apart.
    fn seeds_found(&self, rows: &[u32], groups: Option<&Groups>) -> f64 {
        let group = |row: usize| groups.map_or(0, |groups| groups.of[row]);
        let mut worst: BTreeMap<u8, f32> = BTreeMap::new();
        for &row in rows {
            let worst = worst.entry(group(row as usize)).or_insert(f32::INFINITY);
            *worst = worst.min(self.scores[row as usize]);
        }
        let seeds = (0..self.roles.len()).filter(|&row| self.roles[row] == Role::Seed);
        let (mut found, mut all) = (0.0, 0.0_f64);
        for row in seeds {
            all += 1.0;
            let bar = worst.get(&group(row)).copied().unwrap_or(f32::INFINITY);
            found += f64::from(u8::from(self.scores[row] >= bar));
        }
        found / all.max(1.0)
    }

    /// How the groups fare in the audience `rows`.
    pub(crate) fn fairness(&self, groups: &Groups, rows: &[u32], reranked: bool) -> Fairness {
        let candidates = groups.count(|row| self.roles[row] == Role::Candidate);
        let seeds = groups.count(|row| self.roles[row] == Role::Seed);
        let mut members = vec![0_u64; groups.names.len()];
        for row in rows {
            members[usize::from(groups.of[*row as usize])] += 1;
        }
        let rate = |at: usize| members[at] as f64 / candidates[at].max(1) as f64;
        let shown: Vec<usize> =
            (0..candidates.len()).filter(|&at| candidates[at] >= BUCKET_MIN).collect();
        let best = shown.iter().map(|&at| rate(at)).fold(0.0, f64::max).max(1e-12);
        let total = |counts: &[u64]| counts.iter().sum::<u64>().max(1) as f64;
        let group = |&at: &usize| GroupRate {
            group: groups.names[at].clone(),
            candidate_share: candidates[at] as f64 / total(&candidates),
            seed_share: if seeds[at] < BUCKET_MIN { 0.0 } else { seeds[at] as f64 / total(&seeds) },
            audience_share: members[at] as f64 / total(&members),
            selection_rate: rate(at),
            ratio: rate(at) / best,
        };
        let lowest = shown.iter().map(|&at| rate(at) / best).fold(1.0, f64::min);
        let other = if reranked { self.best() } else { self.best_by_group(groups) };
        let (plain, even) = if reranked {
            (self.seeds_found(&other, None), self.seeds_found(rows, Some(groups)))
        } else {
            (self.seeds_found(rows, None), self.seeds_found(&other, Some(groups)))
        };
        Fairness {
            column: groups.column.clone(),
            groups: shown.iter().map(group).collect(),
            lowest_ratio: lowest,
            four_fifths: lowest >= FAIR_RATIO - 5e-3,
            reranking_cost: if plain > 0.0 { 1.0 - even / plain } else { 0.0 },
            reranked,
        }
    }
}

const TIE_STREAM: u64 = 0x0074_6965_0000_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookalike::encode::Encoder;
    use crate::lookalike::frame::{Column, Frame, Values};
    use crate::lookalike::layout::Layout;

    #[test]
    fn re_ranking_reaches_four_fifths_and_keeps_the_size() {
        let ids: Vec<u32> = (0..4_000).collect();
        let layout = Layout::new(&ids);
        let female = |row: usize| layout.ids[row].is_multiple_of(2);
        let roles: Vec<Role> = (0..4_000)
            .map(|row| if layout.ids[row] < 200 { Role::Seed } else { Role::Candidate })
            .collect();
        let mut dice = crate::lookalike::random::Dice::new(2);
        let scores: Vec<f32> = (0..4_000)
            .map(|row| dice.normal() as f32 + if female(row) { 0.0 } else { 1.0 })
            .collect();
        let codes = (0..4_000).map(|row| if female(row) { 1 } else { 2 }).collect();
        let labels = vec!["F".to_owned(), "M".to_owned()];
        let column = Column { name: "gender".into(), values: Values::Words { codes, labels } };
        let frame = Frame { rows: 4_000, columns: vec![column] };
        let (encoder, ..) = Encoder::learn(&frame);
        let bins = encoder.encode(4_000, frame.columns).bins[0].to_vec();
        let groups = Groups::new(&encoder.features[0], bins);
        let selection = Selection { scores: &scores, roles: &roles, ids: &layout.ids, size: 400 };
        let plain = selection.fairness(&groups, &selection.best(), false);
        assert!(!plain.four_fifths && plain.lowest_ratio < 0.5, "{plain:?}");
        let rows = selection.best_by_group(&groups);
        assert_eq!(rows.len(), 400);
        let even = selection.fairness(&groups, &rows, true);
        assert!(even.four_fifths && (even.lowest_ratio - 0.8).abs() < 0.01, "{even:?}");
        assert!((even.reranking_cost - plain.reranking_cost).abs() < 1e-12);
    }
}

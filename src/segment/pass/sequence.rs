//! A then B: two lists of moments by profile, walked side by side.

use super::state::Rows;

/// Events as (place, moment), in the order they came until they are sorted.
#[derive(Debug, Default)]
pub(super) struct Moments(Vec<(u32, i64)>);

impl Moments {
    pub(super) fn add(&mut self, rows: Rows<'_>, ts: &[i64]) {
        rows.each(|row, place| self.0.push((u32::try_from(place).unwrap_or(u32::MAX), ts[row])));
    }

    /// Sorts by profile and time. Files come in the order of their months and each is sorted by
    /// profile, so the list is a few runs, which the standard sort merges.
    pub(super) fn sort(&mut self) {
        #[expect(clippy::stable_sort_primitive, reason = "the stable sort merges sorted runs")]
        self.0.sort();
    }
}

/// Calls `found` with each place that has a moment of `first` and one of `then` that is between
/// `from_us` and `to_us` after it. Both lists are sorted.
pub(super) fn each_pair(
    first: &Moments,
    then: &Moments,
    (from_us, to_us): (i64, i64),
    mut found: impl FnMut(u32),
) {
    let (mut left, mut right) = (&first.0[..], &then.0[..]);
    while let (Some(&(a, _)), Some(&(b, _))) = (left.first(), right.first()) {
        let (own, rest) = left.split_at(left.iter().take_while(|(p, _)| *p == a).count());
        if a > b {
            right = &right[right.iter().take_while(|(p, _)| *p < a).count()..];
            continue;
        }
        left = rest;
        if a < b {
            continue;
        }
        let (theirs, rest) = right.split_at(right.iter().take_while(|(p, _)| *p == a).count());
        right = rest;
        if is_within(own, theirs, from_us, to_us) {
            found(a);
        }
    }
}

fn is_within(first: &[(u32, i64)], then: &[(u32, i64)], from_us: i64, to_us: i64) -> bool {
    let mut at = 0;
    for &(_, moment) in first {
        while at < then.len() && then[at].1 < moment.saturating_add(from_us) {
            at += 1;
        }
        let Some(&(_, next)) = then.get(at) else { return false };
        if next <= moment.saturating_add(to_us) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The walk finds what trying every pair finds.
        #[test]
        fn the_walk_agrees_with_every_pair(
            a in prop::collection::vec((0..4_u32, -20..20_i64), 0..12),
            b in prop::collection::vec((0..4_u32, -20..20_i64), 0..12),
            from in -15..15_i64, length in 0..15_i64,
        ) {
            let to = from + length;
            let plain: BTreeSet<u32> = a
                .iter()
                .flat_map(|x| b.iter().map(move |y| (x, y)))
                .filter(|(x, y)| x.0 == y.0 && (from..=to).contains(&(y.1 - x.1)))
                .map(|(x, _)| x.0)
                .collect();
            let (mut first, mut then) = (Moments(a.clone()), Moments(b.clone()));
            first.sort();
            then.sort();
            let mut walked = BTreeSet::new();
            each_pair(&first, &then, (from, to), |place| { walked.insert(place); });
            prop_assert_eq!(walked, plain);
        }
    }
}

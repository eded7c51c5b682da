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

/// Calls `found` with each place that has a moment of `first` with one of `then` within `bounds` after it or,
/// where it is not to be followed, with none. Both lists are sorted.
pub(super) fn each_first(
    first: &Moments,
    then: &Moments,
    bounds: (i64, i64),
    is_followed: bool,
    mut found: impl FnMut(u32),
) {
    let (mut left, mut right) = (&first.0[..], &then.0[..]);
    while let Some(&(place, _)) = left.first() {
        let (own, rest) = left.split_at(left.iter().take_while(|(p, _)| *p == place).count());
        left = rest;
        right = &right[right.iter().take_while(|(p, _)| *p < place).count()..];
        let (theirs, rest) = right.split_at(right.iter().take_while(|(p, _)| *p == place).count());
        right = rest;
        if followed(own, theirs, bounds).any(|followed| followed == is_followed) {
            found(place);
        }
    }
}

/// For each moment of `first`, whether one of `then` is between `from_us` and `to_us` after it.
fn followed(
    first: &[(u32, i64)],
    then: &[(u32, i64)],
    (from_us, to_us): (i64, i64),
) -> impl Iterator<Item = bool> {
    let mut at = 0;
    first.iter().map(move |&(_, moment)| {
        while at < then.len() && then[at].1 < moment.saturating_add(from_us) {
            at += 1;
        }
        then.get(at).is_some_and(|&(_, next)| next <= moment.saturating_add(to_us))
    })
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
            let is_followed =
                |x: &(u32, i64)| b.iter().any(|y| x.0 == y.0 && (from..=to).contains(&(y.1 - x.1)));
            let plain = |wanted: bool| -> BTreeSet<u32> {
                a.iter().filter(|x| is_followed(x) == wanted).map(|x| x.0).collect()
            };
            let (mut first, mut then) = (Moments(a.clone()), Moments(b.clone()));
            first.sort();
            then.sort();
            let (mut pairs, mut alone) = (BTreeSet::new(), BTreeSet::new());
            each_first(&first, &then, (from, to), true, |place| { pairs.insert(place); });
            each_first(&first, &then, (from, to), false, |place| { alone.insert(place); });
            prop_assert_eq!((pairs, alone), (plain(true), plain(false)));
        }
    }
}

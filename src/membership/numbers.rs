//! Sets of 64-bit numbers: ids as another system gives them out, on their way out of Throng or into
//! it. Nothing is evaluated over them; inside Throng a set is a [`Membership`].

use std::collections::BTreeMap;

use super::containers::{Collector, Containers};
use super::set::Membership;
use crate::error::{Error, Result};
use crate::model::ProfileId;

/// A set of 64-bit numbers, ascending, each once.
///
/// ```
/// use throng::membership::{Membership, Numbers};
/// use throng::model::ProfileId;
///
/// let customers: Numbers = [9_000_000_000, 17, 17].into_iter().collect();
/// assert_eq!(customers.iter().collect::<Vec<_>>(), [17, 9_000_000_000]);
/// assert!(customers.to_membership().is_err());
///
/// let profiles: Membership = [3, 5].into_iter().filter_map(ProfileId::new).collect();
/// assert_eq!(Numbers::from(&profiles).to_membership()?, profiles);
/// # Ok::<(), throng::error::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Numbers(
    /// The low halves by their high halves; none is empty.
    BTreeMap<u32, Containers>,
);

impl Numbers {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many numbers are in.
    pub fn len(&self) -> u64 {
        self.0.values().map(Containers::len).sum()
    }

    /// Whether no number is in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|(high, low)| low.iter().map(|low| wide(*high, low)))
    }

    /// The largest number.
    pub fn max(&self) -> Option<u64> {
        let (high, low) = self.0.last_key_value()?;
        low.max().map(|low| wide(*high, low))
    }

    /// Puts `number` in; whether it was not in before.
    pub fn insert(&mut self, number: u64) -> bool {
        let (high, low) = halves(number);
        self.0.entry(high).or_default().insert(low)
    }

    /// The numbers as profile ids.
    ///
    /// # Errors
    /// Where one is above [`ProfileId::MAX`].
    pub fn to_membership(&self) -> Result<Membership> {
        refuse_above_max(self.max())?;
        Ok(self.parts().next().map_or_else(Membership::new, |(_, low)| Membership(low.clone())))
    }

    /// The numbers by their high halves, ascending; none of the sets is empty.
    pub(super) fn parts(&self) -> impl Iterator<Item = (u32, &Containers)> {
        self.0.iter().map(|(high, low)| (*high, low))
    }

    /// The set of `parts`: high halves, each once, and the low halves that go with them.
    pub(super) fn from_parts(parts: impl IntoIterator<Item = (u32, Containers)>) -> Self {
        Self(parts.into_iter().filter(|(_, low)| !low.is_empty()).collect())
    }
}

impl FromIterator<u64> for Numbers {
    /// The set of `numbers` in any order, duplicates allowed.
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut parts: BTreeMap<u32, Collector> = BTreeMap::new();
        for number in numbers {
            let (high, low) = halves(number);
            parts.entry(high).or_default().push(low);
        }
        Self::from_parts(parts.into_iter().map(|(high, low)| (high, low.finish())))
    }
}

impl From<&Membership> for Numbers {
    fn from(membership: &Membership) -> Self {
        Self::from_parts([(0, membership.0.clone())])
    }
}

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Numbers<{} in {} parts>", self.len(), self.0.len())
    }
}

/// The high and the low half.
fn halves(number: u64) -> (u32, u32) {
    let half = |number: u64| u32::try_from(number & 0xFFFF_FFFF).expect("32 bits");
    (half(number >> 32), half(number))
}

fn wide(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// # Errors
/// Where the largest id of a set is no `profile_id`.
pub(super) fn refuse_above_max(max: Option<u64>) -> Result<()> {
    match max {
        Some(id) if id > u64::from(ProfileId::MAX.get()) => Err(Error::data(format!(
            "the bitmap holds id {id}; a profile_id is at most {}",
            ProfileId::MAX
        ))
        .with_hint("if these are ids of another system, import them as identifiers")),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::membership::set::tests::any_set;

    /// Sets with members in several buckets, up to the last number there is.
    pub(in crate::membership) fn any_numbers() -> impl Strategy<Value = BTreeSet<u64>> {
        let high = prop_oneof![Just(0_u64), Just(1), Just(7), Just(u64::from(u32::MAX))];
        proptest::collection::vec((high, any_set()), 0..4).prop_map(|parts| {
            let wide = |(high, low): (u64, BTreeSet<u32>)| {
                low.into_iter().map(move |low| (high << 32) | u64::from(low))
            };
            parts.into_iter().flat_map(wide).collect()
        })
    }

    #[test]
    fn parts_without_members_are_left_out() {
        let numbers = Numbers::from(&Membership::new());
        assert_eq!(numbers.parts().count(), 0);
        assert_eq!(numbers.to_membership().expect("no ids"), Membership::new());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn numbers_read_as_the_set_they_were_made_of(set in any_numbers()) {
            let numbers: Numbers = set.iter().rev().copied().collect();
            prop_assert_eq!(numbers.len(), set.len() as u64);
            prop_assert_eq!(numbers.max(), set.last().copied());
            prop_assert!(numbers.iter().eq(set.iter().copied()));
            let fits = set.last().is_none_or(|&last| last <= u64::from(ProfileId::MAX.get()));
            prop_assert_eq!(numbers.to_membership().is_ok(), fits);
        }
    }
}

//! The membership of a segment: how one is made and read. Its algebra, shards and columns lie in
//! the sibling files.

use super::containers::{Ascending, Containers};

use crate::error::{Error, Result};
use crate::model::ProfileId;

/// The set of profiles in a segment, as containers of 65,536 ids: up to 896 members as sorted
/// 16-bit values (2 bytes a member), more than 448 as a bit an id (8 KiB), so some as both. A copy shares
/// the containers.
///
/// ```
/// use throng::membership::Membership;
/// use throng::model::ProfileId;
///
/// let id = |id| ProfileId::new(id).expect("a small id");
/// let buyers: Membership = [id(9), id(2), id(5), id(2)].into_iter().collect();
/// let readers = Membership::from_sorted([id(2), id(9)])?;
///
/// assert_eq!(buyers.len(), 3);
/// assert_eq!(buyers.first(2), [id(2), id(5)]);
/// assert_eq!(buyers.and_not(&readers).iter().collect::<Vec<_>>(), [id(5)]);
/// # Ok::<(), throng::error::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Membership(pub(super) Containers);

impl Membership {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The set of `ids`, which must ascend and hold no id twice; faster than collecting.
    ///
    /// # Errors
    /// Where an id is not above the one before it.
    ///
    /// ```
    /// use throng::membership::Membership;
    /// use throng::model::ProfileId;
    ///
    /// let id = |id| ProfileId::new(id).expect("a small id");
    /// assert_eq!(Membership::from_sorted([id(1), id(70_000)])?.len(), 2);
    /// assert!(Membership::from_sorted([id(5), id(5)]).is_err());
    /// # Ok::<(), throng::error::Error>(())
    /// ```
    pub fn from_sorted(ids: impl IntoIterator<Item = ProfileId>) -> Result<Self> {
        let mut ascending = Ascending::default();
        for (at, id) in ids.into_iter().enumerate() {
            if !ascending.push(id.get()) {
                return Err(Error::data(format!(
                    "profile ids do not ascend: id {at} of the list, from 0, is not above the one before it"
                )));
            }
        }
        Ok(Self(ascending.finish()))
    }

    /// How many profiles are in.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether no profile is in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `id` is in.
    pub fn contains(&self, id: ProfileId) -> bool {
        self.0.contains(id.get())
    }

    /// Puts `id` in; whether it was not in before.
    pub fn insert(&mut self, id: ProfileId) -> bool {
        self.0.insert(id.get())
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ProfileId> {
        self.0.iter().map(profile)
    }

    /// The members from `first` to `last`, ascending; costs a search and a step a member.
    pub fn range(&self, first: ProfileId, last: ProfileId) -> impl Iterator<Item = ProfileId> {
        self.0.iter_from(first.get()).take_while(move |id| *id <= last.get()).map(profile)
    }

    /// The smallest member.
    pub fn min(&self) -> Option<ProfileId> {
        self.0.min().map(profile)
    }

    /// The largest member.
    pub fn max(&self) -> Option<ProfileId> {
        self.0.max().map(profile)
    }

    /// The `n` smallest members, ascending, or all where there are fewer; costs `n` steps.
    pub fn first(&self, n: usize) -> Vec<ProfileId> {
        self.iter().take(n).collect()
    }

    /// An estimate of the memory that the set holds, in bytes.
    pub fn heap_bytes(&self) -> u64 {
        self.0.heap_bytes() as u64
    }
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.min().zip(self.max()) {
            None => write!(f, "Membership<empty>"),
            Some((min, max)) => write!(f, "Membership<{} of {min} to {max}>", self.len()),
        }
    }
}

impl FromIterator<ProfileId> for Membership {
    /// The set of ids in any order, duplicates allowed.
    fn from_iter<I: IntoIterator<Item = ProfileId>>(ids: I) -> Self {
        Self(ids.into_iter().map(ProfileId::get).collect())
    }
}

/// A member as an id.
pub(super) fn profile(member: u32) -> ProfileId {
    ProfileId::new(member).expect("every way into a set refuses ids above ProfileId::MAX")
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The membership of plain numbers.
    pub(in crate::membership) fn members(ids: impl IntoIterator<Item = u32>) -> Membership {
        ids.into_iter().map(profile).collect()
    }

    /// Sets of every container kind: scattered ids, ranges that become runs or bitsets, combs, and
    /// the last container that an id can lie in.
    pub(in crate::membership) fn any_set() -> impl Strategy<Value = BTreeSet<u32>> {
        let place =
            prop_oneof![0..300_000_u32, (ProfileId::MAX.get() - 70_000)..=ProfileId::MAX.get()];
        let piece = (place, 1..9_000_u32, prop_oneof![Just(1_u32), Just(2), Just(7), Just(97)]);
        proptest::collection::vec(piece, 0..5).prop_map(|pieces| {
            pieces
                .into_iter()
                .flat_map(|(start, count, step)| {
                    (0..count).filter_map(move |i| start.checked_add(i * step))
                })
                .filter(|&id| id <= ProfileId::MAX.get())
                .collect()
        })
    }

    #[test]
    fn from_sorted_names_the_first_id_out_of_order() {
        let error = Membership::from_sorted([1, 2, 9, 9].map(profile)).expect_err("9 twice");
        assert!(error.message().contains("id 3 of the list"), "{error}");
    }

    #[test]
    fn heap_bytes_follows_the_containers() {
        assert_eq!(Membership::new().heap_bytes(), 0);
        assert_eq!(members(0..100).heap_bytes(), 48 + 208);
        // 500 members are bits, and a list beside them.
        assert_eq!(members(0..500).heap_bytes(), 48 + 8_192 + 64 + 1_008);
        assert_eq!(members((0..65_536).step_by(2)).heap_bytes(), 48 + 8_192);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_membership_reads_as_the_set_it_was_made_of(set in any_set(), n in 0..50_usize) {
            let membership = members(set.iter().copied());
            prop_assert_eq!(membership.len(), set.len() as u64);
            prop_assert_eq!(membership.is_empty(), set.is_empty());
            prop_assert_eq!(membership.min().map(ProfileId::get), set.first().copied());
            prop_assert_eq!(membership.max().map(ProfileId::get), set.last().copied());
            prop_assert!(membership.iter().map(ProfileId::get).eq(set.iter().copied()));
            let first = membership.first(n).into_iter().map(ProfileId::get);
            prop_assert!(first.eq(set.iter().copied().take(n)));
            let sorted = Membership::from_sorted(set.iter().copied().map(profile))?;
            prop_assert_eq!(&sorted, &membership);
            for id in [0, 1, 65_536, ProfileId::MAX.get()] {
                prop_assert_eq!(membership.contains(profile(id)), set.contains(&id));
                let mut grown = membership.clone();
                prop_assert_eq!(grown.insert(profile(id)), !set.contains(&id));
                prop_assert!(grown.contains(profile(id)));
            }
        }
    }
}

//! Set algebra over memberships: new sets by reference, and sizes without making a set. The segment
//! compiler's and/or/and-not end here.

use super::container::Operation;
use super::set::Membership;

/// Set algebra. Every operation walks the containers of both sets once.
///
/// ```
/// use throng::membership::Membership;
/// use throng::model::ProfileId;
///
/// let set = |ids: &[u32]| ids.iter().filter_map(|&id| ProfileId::new(id)).collect::<Membership>();
/// let (buyers, readers) = (set(&[1, 2, 3]), set(&[3, 4]));
///
/// assert_eq!(buyers.and(&readers), set(&[3]));
/// assert_eq!(buyers.or(&readers), set(&[1, 2, 3, 4]));
/// assert_eq!(buyers.and_not(&readers), set(&[1, 2]));
/// assert_eq!(buyers.xor(&readers), set(&[1, 2, 4]));
/// assert_eq!((buyers.and_len(&readers), buyers.or_len(&readers)), (1, 4));
/// assert!(set(&[3]).is_subset(&readers));
/// ```
impl Membership {
    /// Those in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.combine(Operation::And, &other.0))
    }

    /// Those in either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(self.0.combine(Operation::Or, &other.0))
    }

    /// Those in this one and not in `other`.
    #[must_use]
    pub fn and_not(&self, other: &Self) -> Self {
        Self(self.0.combine(Operation::AndNot, &other.0))
    }

    /// Those in exactly one.
    #[must_use]
    pub fn xor(&self, other: &Self) -> Self {
        Self(self.0.combine(Operation::Xor, &other.0))
    }

    /// How many are in both; no set is made.
    pub fn and_len(&self, other: &Self) -> u64 {
        self.0.and_len(&other.0)
    }

    /// How many are in either; no set is made.
    pub fn or_len(&self, other: &Self) -> u64 {
        self.len() + other.len() - self.and_len(other)
    }

    /// How many are in this one and not in `other`; no set is made.
    pub fn and_not_len(&self, other: &Self) -> u64 {
        self.len() - self.and_len(other)
    }

    /// Whether all of these are in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.and_len(other) == self.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::membership::set::tests::{any_set, members};
    use crate::membership::wire::{Format, decode, encode};

    /// Memberships as they come from inserts, and as they come from bytes (with run containers).
    fn any_membership() -> impl Strategy<Value = Membership> {
        (any_set(), any::<bool>()).prop_map(|(set, stored)| {
            let membership = members(set);
            if stored {
                decode(&encode(&membership, Format::Roaring), Format::Roaring).expect("own bytes")
            } else {
                membership
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn operations_do_what_a_tree_set_does(a in any_set(), b in any_set()) {
            let (x, y) = (members(a.iter().copied()), members(b.iter().copied()));
            prop_assert_eq!(x.and(&y), members(&a & &b));
            prop_assert_eq!(x.or(&y), members(&a | &b));
            prop_assert_eq!(x.and_not(&y), members(&a - &b));
            prop_assert_eq!(x.xor(&y), members(&a ^ &b));
            prop_assert_eq!(x.is_subset(&y), a.is_subset(&b));
        }

        #[test]
        fn and_or_xor_commute(a in any_membership(), b in any_membership()) {
            prop_assert_eq!(a.and(&b), b.and(&a));
            prop_assert_eq!(a.or(&b), b.or(&a));
            prop_assert_eq!(a.xor(&b), b.xor(&a));
        }

        #[test]
        fn and_or_xor_associate_and_distribute(
            a in any_membership(), b in any_membership(), c in any_membership(),
        ) {
            prop_assert_eq!(a.and(&b).and(&c), a.and(&b.and(&c)));
            prop_assert_eq!(a.or(&b).or(&c), a.or(&b.or(&c)));
            prop_assert_eq!(a.xor(&b).xor(&c), a.xor(&b.xor(&c)));
            prop_assert_eq!(a.and(&b.or(&c)), a.and(&b).or(&a.and(&c)));
        }

        #[test]
        fn de_morgan_holds_within_a_population(
            a in any_membership(), b in any_membership(), rest in any_membership(),
        ) {
            let population = a.or(&b).or(&rest);
            let not = |set: &Membership| population.and_not(set);
            prop_assert_eq!(not(&a.or(&b)), not(&a).and(&not(&b)));
            prop_assert_eq!(not(&a.and(&b)), not(&a).or(&not(&b)));
            prop_assert_eq!(not(&not(&a)), a);
        }

        #[test]
        fn lengths_agree_with_the_sets(a in any_membership(), b in any_membership()) {
            prop_assert_eq!(a.and_len(&b), a.and(&b).len());
            prop_assert_eq!(a.or_len(&b), a.or(&b).len());
            prop_assert_eq!(a.and_not_len(&b), a.and_not(&b).len());
            prop_assert_eq!(a.and(&b).is_subset(&a), true);
            prop_assert_eq!(a.and_not(&b).or(&a.and(&b)), a);
        }
    }
}

//! A membership as Arrow columns of `profile_id`, for the tables of `segments` and for exports.

use arrow::array::Int32Array;

use super::set::Membership;

impl Membership {
    /// All members, ascending, as one column.
    ///
    /// ```
    /// use throng::membership::Membership;
    /// use throng::model::ProfileId;
    ///
    /// let membership: Membership = [3, 1].into_iter().filter_map(ProfileId::new).collect();
    /// assert_eq!(membership.to_array().values(), &[1, 3]);
    /// ```
    pub fn to_array(&self) -> Int32Array {
        let rows = usize::try_from(self.len()).expect("at most 2^31 ids, which a usize can count");
        self.batches(rows).next().unwrap_or_else(|| Int32Array::from(Vec::<i32>::new()))
    }

    /// The members, ascending, in columns of `rows` ids (0 counts as 1), the last one shorter; none
    /// for the empty set.
    ///
    /// ```
    /// use throng::membership::Membership;
    /// use throng::model::ProfileId;
    ///
    /// let membership: Membership = (0..5).filter_map(ProfileId::new).collect();
    /// let rows: Vec<usize> = membership.batches(2).map(|ids| ids.values().len()).collect();
    /// assert_eq!(rows, [2, 2, 1]);
    /// ```
    pub fn batches(&self, rows: usize) -> impl Iterator<Item = Int32Array> {
        let mut members = self.0.iter();
        let mut left = usize::try_from(self.len()).unwrap_or(usize::MAX);
        std::iter::from_fn(move || {
            let wanted = rows.max(1).min(left);
            let mut ids = Vec::with_capacity(wanted);
            ids.extend(members.by_ref().take(wanted).map(u32::cast_signed));
            left -= ids.len();
            (!ids.is_empty()).then(|| Int32Array::from(ids))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::membership::set::tests::{any_set, members};

    #[test]
    fn the_empty_set_is_an_empty_column_and_no_batch() {
        assert_eq!(Membership::new().to_array().values().len(), 0);
        assert_eq!(Membership::new().batches(0).count(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn batches_put_end_to_end_are_the_column(set in any_set(), rows in 0..10_000_usize) {
            let membership = members(set.iter().copied());
            let ids: Vec<i32> = set.into_iter().map(u32::cast_signed).collect();
            let array = membership.to_array();
            prop_assert_eq!(array.values(), &ids[..]);
            let rows = rows.max(ids.len() / 100);
            let batches: Vec<Int32Array> = membership.batches(rows).collect();
            prop_assert_eq!(batches.len(), ids.len().div_ceil(rows.max(1)));
            let joined: Vec<i32> = batches.iter().flat_map(|b| b.values().to_vec()).collect();
            prop_assert_eq!(joined, ids);
        }
    }
}

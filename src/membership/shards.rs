//! A membership cut along shards and put together again, as the store keeps it: one row a shard.

use super::container::{Container, Operation};
use super::containers::number;
use super::kernel::Kernel;
use super::set::{Membership, profile};
use crate::model::{ShardId, ShardSize};

/// Shards. A shard is a multiple of 65,536 ids, so a container lies in one shard or another, whole.
///
/// ```
/// use throng::membership::Membership;
/// use throng::model::{ProfileId, ShardSize};
///
/// let ids = [7, 300_000, 300_001].into_iter().filter_map(ProfileId::new);
/// let membership: Membership = ids.collect();
/// let parts = membership.split(ShardSize::DEFAULT);
///
/// assert_eq!(parts.iter().map(|(shard, part)| (shard.0, part.len())).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
/// assert_eq!(Membership::from_shards(parts.into_iter().map(|(_, part)| part)), membership);
/// ```
impl Membership {
    /// The part in each shard that has members, in ascending order of shards; ids stay absolute.
    /// The parts share the set's containers.
    pub fn split(&self, size: ShardSize) -> Vec<(ShardId, Self)> {
        let shard_of = |row: &Container| size.shard_of(profile(number(row.block, 0)));
        let parts = self.0.rows().chunk_by(|a, b| shard_of(a) == shard_of(b));
        parts.map(|rows| (shard_of(&rows[0]), Self(rows.iter().cloned().collect()))).collect()
    }

    /// The union of parts that share no shard, as [`split`](Membership::split) made them; containers
    /// are shared, not copied. Parts that do overlap are united all the same.
    pub fn from_shards(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut rows: Vec<Container> =
            parts.into_iter().flat_map(|part| part.0.into_rows()).collect();
        // Costs a look at each where they ascend already, as parts of shards do.
        rows.sort_by_key(|row| row.block);
        let kernel = Kernel::detect();
        let united = rows.chunk_by(|a, b| a.block == b.block).filter_map(|same| {
            let unite = |all: Container, row| all.combine(Operation::Or, row, kernel);
            same[1..].iter().try_fold(same[0].clone(), unite)
        });
        Self(united.collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::membership::set::tests::{any_set, members};
    use crate::model::ProfileId;

    #[test]
    fn the_last_shard_ends_at_the_last_id() {
        let max = ProfileId::MAX.get();
        for ids in [1 << 16, 1 << 18, 1 << 30] {
            let size = ShardSize::of_ids(ids).expect("a power of two");
            let parts = members([0, max - 1, max]).split(size);
            assert_eq!(parts.len(), 2);
            assert_eq!(parts[1], (size.shard_of(ProfileId::MAX), members([max - 1, max])));
        }
    }

    #[test]
    fn the_empty_set_has_no_shards() {
        assert!(Membership::new().split(ShardSize::DEFAULT).is_empty());
        assert!(Membership::from_shards([]).is_empty());
    }

    #[test]
    fn parts_that_overlap_are_united() {
        let parts = [members([]), members([1, 2]), members([2, 3])];
        assert_eq!(Membership::from_shards(parts), members([1, 2, 3]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn split_then_from_shards_is_the_set(set in any_set(), bits in 16..20_u32) {
            let size = ShardSize::of_ids(1 << bits)?;
            let membership = members(set);
            let parts = membership.split(size);
            prop_assert!(parts.is_sorted_by(|a, b| a.0 < b.0));
            for (shard, part) in &parts {
                prop_assert!(!part.is_empty());
                prop_assert!(part.iter().all(|id| size.shard_of(id) == *shard));
            }
            let parts = parts.into_iter().map(|(_, part)| part);
            prop_assert_eq!(Membership::from_shards(parts), membership);
        }
    }
}

//! A membership cut along shards and put together again, as the store keeps it: one row a shard.

use roaring::{MultiOps, RoaringBitmap};

use super::set::{Membership, profile};
use crate::model::{ProfileId, ShardId, ShardSize};

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
    /// Costs a copy of each container.
    pub fn split(&self, size: ShardSize) -> Vec<(ShardId, Self)> {
        let Some((min, max)) = self.min().zip(self.max()) else { return Vec::new() };
        if size.shard_of(min) == size.shard_of(max) {
            return vec![(size.shard_of(min), self.clone())];
        }
        let mut parts = Vec::new();
        let mut next = Some(min);
        while let Some(first) = next {
            let shard = size.shard_of(first);
            let last = last_id(size, shard).min(max);
            let mut window = RoaringBitmap::new();
            window.insert_range(first.get()..=last.get());
            parts.push((shard, Self(&self.0 & &window)));
            next = self.0.range(last.get() + 1..).next().map(profile);
        }
        parts
    }

    /// The union of parts that share no shard, as [`split`](Membership::split) made them; containers
    /// are moved, not copied. Parts that do overlap are united all the same.
    pub fn from_shards(parts: impl IntoIterator<Item = Self>) -> Self {
        Self(parts.into_iter().map(|part| part.0).union())
    }
}

/// The last id that can lie in `shard`.
fn last_id(size: ShardSize, shard: ShardId) -> ProfileId {
    u32::try_from(size.range(shard).end - 1).ok().and_then(ProfileId::new).unwrap_or(ProfileId::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::membership::set::tests::{any_set, members};

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

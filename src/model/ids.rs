//! Ids: profiles, builds and shards, each a type of its own. Nothing here gives an id out.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A profile's number: dense from 0, given out once, never reused, never negative.
///
/// ```
/// use throng::model::ProfileId;
/// let id = ProfileId::try_from(7_i32)?;
/// assert_eq!(id.get(), 7);
/// assert!(ProfileId::try_from(-1_i32).is_err());
/// # Ok::<(), throng::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProfileId(u32);

impl ProfileId {
    /// The largest id: Delta Lake has no unsigned integers, so ids end at 2^31 - 1.
    pub const MAX: Self = Self(i32::MAX as u32);

    /// The id with number `id`, or nothing where that is above [`ProfileId::MAX`].
    pub const fn new(id: u32) -> Option<Self> {
        if id <= Self::MAX.0 { Some(Self(id)) } else { None }
    }

    /// The number, at most 2^31 - 1.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i32> for ProfileId {
    type Error = Error;

    fn try_from(id: i32) -> Result<Self> {
        u32::try_from(id)
            .map(Self)
            .map_err(|_| Error::data(format!("profile_id {id} is negative; ids begin at 0")))
    }
}

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A build's number, from 1; each build of a store has the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildId(pub i64);

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A shard's number: `profile_id >> bits` of the store's [`ShardSize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(pub u32);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many consecutive ids a shard holds: a power of two, at least 65,536, so that no roaring
/// container is cut in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardSize {
    bits: u32,
}

impl ShardSize {
    /// 262,144 ids: four shards at a million profiles, so that two cores have work to share, and
    /// forty at ten million, so that files stay few (measured in docs/performance.md).
    pub const DEFAULT: Self = Self { bits: 18 };

    /// A shard of `ids` profiles.
    ///
    /// # Errors
    /// Where `ids` is not a power of two from 65,536 to 2^30.
    pub fn of_ids(ids: u64) -> Result<Self> {
        let bits = ids.trailing_zeros();
        if ids.is_power_of_two() && (16..=30).contains(&bits) {
            Ok(Self { bits })
        } else {
            Err(Error::input(format!("a shard cannot hold {ids} ids"))
                .with_hint("use a power of two from 65536 to 1073741824"))
        }
    }

    /// The number of ids in a shard.
    pub const fn ids(self) -> u32 {
        1 << self.bits
    }

    /// The shard that `id` lies in.
    pub const fn shard_of(self, id: ProfileId) -> ShardId {
        ShardId(id.0 >> self.bits)
    }

    /// The ids of `shard`, half open.
    pub const fn range(self, shard: ShardId) -> std::ops::Range<u64> {
        let start = (shard.0 as u64) << self.bits;
        start..start + (1 << self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_never_cut_a_roaring_container() {
        assert!(ShardSize::of_ids(65_535).is_err());
        assert!(ShardSize::of_ids(32_768).is_err());
        let size = ShardSize::of_ids(65_536).expect("a power of two");
        assert_eq!(size.shard_of(ProfileId(65_536)), ShardId(1));
        assert_eq!(size.range(ShardId(1)), 65_536..131_072);
    }
}

//! Sets against those of the crate `roaring`: an implementation of others, with the same answers and
//! the same bytes.

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::containers::Containers;
use super::set::tests::{any_set, members};
use super::wire::{Format, decode, encode};
use super::{Mask, Membership};
use crate::model::ProfileId;

/// Sets about the sizes at which a list becomes bits, and an array a bitset.
fn any_sized_set() -> impl Strategy<Value = Vec<u32>> {
    let count = prop_oneof![0..70_u32, 490..530_u32, 4_080..4_110_u32, Just(65_536)];
    let part = (0..4_u32, count, 1..16_u32);
    proptest::collection::vec(part, 0..4).prop_map(|parts| {
        let ids = |(block, count, step): (u32, u32, u32)| {
            (0..count).map(move |i| block << 16 | (i * step % 65_536))
        };
        parts.into_iter().flat_map(ids).collect()
    })
}

/// What the twin writes, smallest containers first chosen as our one rule does.
fn bytes_of(mut twin: RoaringBitmap) -> Vec<u8> {
    twin.remove_run_compression();
    twin.optimize();
    let mut bytes = Vec::new();
    twin.serialize_into(&mut bytes).expect("a vector");
    bytes
}

fn check_bytes(set: &Membership, twin: &RoaringBitmap) -> Result<(), TestCaseError> {
    prop_assert!(set.iter().map(ProfileId::get).eq(twin.iter()));
    let bytes = encode(set, Format::Roaring);
    prop_assert_eq!(&RoaringBitmap::deserialize_from(&bytes[..])?, twin);
    prop_assert_eq!(&bytes, &bytes_of(twin.clone()));
    let mut without_runs = Vec::new();
    let mut plain = twin.clone();
    plain.remove_run_compression();
    plain.serialize_into(&mut without_runs)?;
    prop_assert_eq!(&decode(&without_runs, Format::Roaring)?, set);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn operations_do_what_the_twin_s_do(
        a in prop_oneof![any_sized_set(), any_set().prop_map(|set| set.into_iter().collect())],
        b in any_sized_set(),
    ) {
        let (x, y) = (members(a.iter().copied()), members(b.iter().copied()));
        let (twin_x, twin_y): (RoaringBitmap, RoaringBitmap) =
            (a.iter().copied().collect(), b.iter().copied().collect());
        check_bytes(&x, &twin_x)?;
        check_bytes(&x.and(&y), &(&twin_x & &twin_y))?;
        check_bytes(&x.or(&y), &(&twin_x | &twin_y))?;
        check_bytes(&x.and_not(&y), &(&twin_x - &twin_y))?;
        check_bytes(&y.and_not(&x), &(&twin_y - &twin_x))?;
        check_bytes(&x.xor(&y), &(&twin_x ^ &twin_y))?;
        prop_assert_eq!(x.and_len(&y), twin_x.intersection_len(&twin_y));
        prop_assert_eq!(x.is_subset(&y), twin_x.is_subset(&twin_y));
        prop_assert_eq!((x.min(), x.max()), (twin_x.min().and_then(ProfileId::new), twin_x.max().and_then(ProfileId::new)));
    }

    #[test]
    fn every_way_in_makes_the_same_containers(ids in any_sized_set(), more in 0..300_000_u32) {
        let set = members(ids.iter().copied());
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let mut mask = Mask::new();
        ids.iter().filter_map(|id| ProfileId::new(*id)).for_each(|id| mask.insert(id));
        prop_assert!(mask.to_membership() == set);
        let falling: Containers = sorted.iter().rev().copied().collect();
        prop_assert!(falling == set.0);
        prop_assert!(Membership::from_sorted(sorted.iter().filter_map(|id| ProfileId::new(*id)))? == set);
        let mut grown = set.clone();
        let id = ProfileId::new(more).expect("a small id");
        prop_assert_eq!(grown.insert(id), !set.contains(id));
        prop_assert!(grown == members(ids.iter().copied().chain([more])));
        let from = |first: u32| set.0.iter_from(first).collect::<Vec<_>>();
        prop_assert!(from(more).into_iter().eq(sorted.into_iter().filter(|id| *id >= more)));
    }
}

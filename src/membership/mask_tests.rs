//! Masks against a tree set: every way in, every operation, and the way out.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;
use crate::membership::set::tests::{any_set, members};

fn mask_of(ids: &BTreeSet<u32>) -> Mask {
    let mut mask = Mask::new();
    let column: Vec<i32> = ids.iter().map(|id| id.cast_signed()).collect();
    mask.insert_ids(&Int32Array::from(column)).expect("ids");
    mask
}

fn check(mask: &Mask, ids: &BTreeSet<u32>) {
    assert_eq!(mask.to_membership(), members(ids.iter().copied()));
    assert_eq!(mask.len(), ids.len() as u64);
    assert_eq!(mask.is_empty(), ids.is_empty());
    for id in ids.iter().take(10).flat_map(|&id| [id, id ^ 1]).filter_map(ProfileId::new) {
        assert_eq!(mask.contains(id), ids.contains(&id.get()), "{id}");
    }
}

#[test]
fn the_largest_id_fits_and_the_next_bit_does_not() {
    let mut mask = Mask::new();
    mask.insert(ProfileId::MAX);
    check(&mask, &BTreeSet::from([ProfileId::MAX.get()]));
    for start in [ProfileId::MAX.get() - 1, ProfileId::MAX.get() - 63] {
        let rows = (ProfileId::MAX.get() - start + 1) as usize;
        let all_but_one_past = BooleanArray::from([vec![true; rows], vec![false; 200]].concat());
        mask.or_bits(start, &all_but_one_past).expect("false rows beyond the last id");
        assert_eq!(mask.len(), rows as u64);
        let one_past = BooleanArray::from([vec![false; rows], vec![true]].concat());
        let error = mask.or_bits(start, &one_past).expect_err("one past the last id");
        assert_eq!(error.kind(), ErrorKind::Data);
    }
    assert!(mask.or_bits(u32::MAX, &BooleanArray::from(vec![true; 3])).is_err());
}

#[test]
fn ids_out_of_range_are_named() {
    let mut mask = Mask::new();
    let error = mask.insert_ids(&Int32Array::from(vec![4, -7])).expect_err("-7");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("profile_id -7"), "{error}");
    for id in [-1, 1 << 31, (1 << 32) + 5, i64::MIN, i64::MAX] {
        let error = mask.insert_i64(&Int64Array::from(vec![id])).expect_err("out of range");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().contains(&format!("profile_id {id} ")), "{error}");
    }
    check(&mask, &BTreeSet::from([4]));
}

#[test]
fn a_negative_number_under_a_null_is_nobody() {
    let nulls = vec![true, false, true].into();
    let ids = Int32Array::new(vec![1, -5, 2].into(), Some(nulls));
    let mut mask = Mask::new();
    mask.insert_ids(&ids).expect("the negative number is null");
    check(&mask, &BTreeSet::from([1, 2]));
}

#[test]
fn containers_turn_into_bitsets_above_4096_members() {
    for members in [4_095, 4_096, 4_097, 65_536] {
        let ids: BTreeSet<u32> = (65_536..65_536 + members).collect();
        check(&mask_of(&ids), &ids);
    }
}

#[test]
fn a_cleared_mask_is_empty() {
    let mut mask = mask_of(&BTreeSet::from([1, 100_000]));
    mask.clear();
    check(&mask, &BTreeSet::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn columns_of_ids_lose_nulls_and_duplicates(
        ids in vec(option::of(-3..200_000_i32), 0..300), offset in 0..5_usize,
    ) {
        let expected: Option<BTreeSet<u32>> =
            ids.iter().skip(offset).flatten().map(|&id| u32::try_from(id).ok()).collect();
        let column = Int32Array::from(ids.clone());
        let column = column.slice(offset.min(ids.len()), ids.len().saturating_sub(offset));
        let wide: Int64Array = column.iter().map(|id| id.map(i64::from)).collect();
        let (mut mask, mut mask_wide) = (Mask::new(), Mask::new());
        prop_assert_eq!(mask.insert_ids(&column).is_ok(), expected.is_some());
        prop_assert_eq!(mask_wide.insert_i64(&wide).is_ok(), expected.is_some());
        if let Some(expected) = expected {
            check(&mask, &expected);
            check(&mask_wide, &expected);
        }
    }

    #[test]
    fn or_bits_takes_true_rows_from_any_start(
        before in any_set(),
        start in prop_oneof![(0..3_000_u32).prop_map(|word| word * 64), 0..200_000_u32],
        rows in vec(option::weighted(0.8, any::<bool>()), 0..400),
        offset in 0..70_usize,
    ) {
        let offset = offset.min(rows.len());
        let bits = BooleanArray::from(rows.clone()).slice(offset, rows.len() - offset);
        let mut mask = mask_of(&before);
        mask.or_bits(start, &bits)?;
        let mut expected = before;
        let rows = rows[offset..].iter().zip(start..);
        expected.extend(rows.filter(|(row, _)| **row == Some(true)).map(|(_, id)| id));
        check(&mask, &expected);
    }

    #[test]
    fn operations_in_place_do_what_a_tree_set_does(a in any_set(), b in any_set()) {
        for (x, y) in [(&a, &b), (&b, &a)] {
            let other = mask_of(y);
            let (mut and, mut or, mut and_not) = (mask_of(x), mask_of(x), mask_of(x));
            and.and(&other);
            or.or(&other);
            and_not.and_not(&other);
            check(&and, &(x & y));
            check(&or, &(x | y));
            check(&and_not, &(x - y));
        }
    }
}

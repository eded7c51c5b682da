//! Counting what two sets have in common, container by container: lists against lists by comparing 8
//! with 8 members at a time, bits against bits by whole vectors, and a list against bits alone by
//! looking up. The loop over containers is compiled for each kind of machine too, so that a set of many
//! small containers costs no call an entry. Only [`super::containers`] counts here.

use fearless_simd::Level;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use fearless_simd::{kernel, x86::Sse4_2 as Sse};

use super::container::{Body, Container};
use super::kernel::Block;

/// Where one list has so many times the members of the other, the few are searched for in the many:
/// a search takes about as long as passing 32 members.
const SEARCH_FROM: usize = 32;

/// Where two containers are both list and bits and have no more members together, their lists are
/// compared: about when that takes as long as counting two blocks of bits, a seventh of a microsecond.
const LISTED_MAX: u32 = 1_280;

/// How many members two ascending rows of containers share.
pub(super) fn and_len(level: Level, a: &[Container], b: &[Container]) -> u64 {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(sse) = level.as_sse4_2() {
        if let Some(avx512) = level.as_avx512() {
            return and_len_avx512(avx512, sse, a, b);
        }
        if let Some(avx2) = level.as_avx2() {
            return and_len_avx2(avx2, sse, a, b);
        }
        return and_len_sse(sse, a, b);
    }
    and_len_plain(a, b)
}

/// The same by what every machine can do.
pub(super) fn and_len_plain(a: &[Container], b: &[Container]) -> u64 {
    Common { a, b }.map(|(a, b)| in_both(a, b, |x, y| merged(a.listed(x), b.listed(y)))).sum()
}

/// How many members two containers of the same block share.
pub(super) fn one_and_len(level: Level, a: &Container, b: &Container) -> u64 {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(sse) = level.as_sse4_2() {
        return in_both(a, b, |a, b| eights(sse, a, b));
    }
    in_both(a, b, |x, y| merged(a.listed(x), b.listed(y)))
}

/// The loop over containers, for whichever vectors it is compiled for.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
fn by_eights(sse: Sse, a: &[Container], b: &[Container]) -> u64 {
    let mut count = 0;
    for (a, b) in (Common { a, b }) {
        count += in_both(a, b, |a, b| eights(sse, a, b));
    }
    count
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With a population count of whole vectors.
    fn and_len_avx512(avx512: Avx512, sse: Sse, a: &[Container], b: &[Container]) -> u64 {
        by_eights(sse, a, b)
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With vectors of 256 bits.
    fn and_len_avx2(avx2: Avx2, sse: Sse, a: &[Container], b: &[Container]) -> u64 {
        by_eights(sse, a, b)
    }
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// With the population count of a word.
    fn and_len_sse(sse: Sse4_2, a: &[Container], b: &[Container]) -> u64 {
        by_eights(sse, a, b)
    }
);

/// The containers of blocks that both have.
struct Common<'a> {
    a: &'a [Container],
    b: &'a [Container],
}

impl<'a> Iterator for Common<'a> {
    type Item = (&'a Container, &'a Container);

    #[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let ([a, rest_a @ ..], [b, rest_b @ ..]) = (self.a, self.b) else { return None };
            if a.block <= b.block {
                self.a = rest_a;
            }
            if b.block <= a.block {
                self.b = rest_b;
            }
            if a.block == b.block {
                return Some((a, b));
            }
        }
    }
}

#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
fn in_both(a: &Container, b: &Container, lists: impl Fn(&[[u16; 8]], &[[u16; 8]]) -> u64) -> u64 {
    let by_list = |x: &[[u16; 8]], y: &[[u16; 8]]| match (x.len(), y.len()) {
        (many, few) if many >= SEARCH_FROM * few => searched(b.listed(y), a.listed(x)),
        (few, many) if many >= SEARCH_FROM * few => searched(a.listed(x), b.listed(y)),
        _ => lists(x, y),
    };
    match (&a.body, &b.body) {
        (Body::List(x), Body::List(y)) => by_list(x, y),
        (Body::Bits(x), Body::Bits(y)) => words(&x.0, &y.0),
        (Body::List(few), Body::Bits(bits)) => found(a.listed(few), bits),
        (Body::Bits(bits), Body::List(few)) => found(b.listed(few), bits),
        (Body::Both(x), Body::List(y)) => by_list(&x.list, y),
        (Body::List(x), Body::Both(y)) => by_list(x, &y.list),
        (Body::Both(x), Body::Bits(y)) => words(&x.bits.0, &y.0),
        (Body::Bits(x), Body::Both(y)) => words(&x.0, &y.bits.0),
        (Body::Both(x), Body::Both(y)) if a.members + b.members <= LISTED_MAX => {
            lists(&x.list, &y.list)
        }
        (Body::Both(x), Body::Both(y)) => words(&x.bits.0, &y.bits.0),
    }
}

#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
fn found(list: &[u16], bits: &Block) -> u64 {
    list.iter().map(|low| bits.has(*low)).sum()
}

/// Bits that are set in both.
#[expect(clippy::inline_always, reason = "only inside a kernel is it compiled for its vectors")]
#[inline(always)]
pub(super) fn words(a: &[u64], b: &[u64]) -> u64 {
    let both = a.iter().zip(b).map(|(a, b)| a & b);
    both.map(|word| u64::from(word.count_ones())).sum()
}

/// How many of `few` are among `many`.
fn searched(few: &[u16], many: &[u16]) -> u64 {
    let mut left = many;
    let mut count = 0;
    for low in few {
        left = &left[left.partition_point(|other| other < low)..];
        count += u64::from(left.first() == Some(low));
    }
    count
}

/// A step a member, without a branch that depends on one.
fn merged(a: &[u16], b: &[u16]) -> u64 {
    let (mut i, mut j, mut count) = (0, 0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        count += u64::from(x == y);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    count
}

/// The members of two ascending lists: those of one alone where `keeps` says so for it, those of
/// both where `keeps_both`.
pub(super) fn combined(a: &[u16], b: &[u16], keeps: (bool, bool), keeps_both: bool) -> Vec<u16> {
    let (mut i, mut j) = (0, 0);
    let mut made = Vec::with_capacity(a.len() + b.len());
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let keep = match x.cmp(y) {
            std::cmp::Ordering::Less => keeps.0,
            std::cmp::Ordering::Greater => keeps.1,
            std::cmp::Ordering::Equal => keeps_both,
        };
        if keep {
            made.push(*x.min(y));
        }
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    if keeps.0 {
        made.extend(&a[i..]);
    }
    if keeps.1 {
        made.extend(&b[j..]);
    }
    made
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[cfg(target_arch = "x86")]
use std::arch::x86 as arch;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as arch;

/// Eight members as a vector; a loop of loads that compiles to one.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[expect(clippy::inline_always, reason = "one load inside a kernel")]
#[expect(clippy::many_single_char_names, reason = "eight of a kind")]
#[inline(always)]
fn halves(members: [u16; 8]) -> (i64, i64) {
    let [a, b, c, d, e, f, g, h] = members.map(u64::from);
    let low = a | b << 16 | c << 32 | d << 48;
    let high = e | f << 16 | g << 32 | h << 48;
    (low.cast_signed(), high.cast_signed())
}

/// The first eight of a list, its zero last: a zero ends what is compared.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[expect(clippy::inline_always, reason = "one load inside a kernel")]
#[expect(clippy::many_single_char_names, reason = "eight of a kind")]
#[inline(always)]
fn zero_last(eight: &[u16; 8]) -> [u16; 8] {
    let [a, b, c, d, e, f, g, h] = *eight;
    if a == 0 { [b, c, d, e, f, g, h, 0] } else { *eight }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
kernel!(
    /// Every eight members of one list with the eight of the other that they may be among, by the
    /// string instructions of SSE4.2 (Schlegel, Willhalm, Lehner 2011). These take a zero for the end of
    /// a string: so member 0 is counted apart, and the zeros that fill up the last eight are no members.
    #[inline]
    fn eights(sse: Sse4_2, a: &[[u16; 8]], b: &[[u16; 8]]) -> u64 {
        const ANY_EQUAL: i32 =
            arch::_SIDD_UWORD_OPS | arch::_SIDD_CMP_EQUAL_ANY | arch::_SIDD_UNIT_MASK;
        let load = |members: &[u16; 8]| {
            let (low, high) = halves(*members);
            arch::_mm_set_epi64x(high, low)
        };
        // Where the last eight are filled up, a zero less one: beyond the largest of any eight.
        let end = |members: &[u16; 8]| members[7].wrapping_sub(1);
        let (mut a, mut b) = (a.iter(), b.iter());
        let (Some(first_a), Some(first_b)) = (a.next(), b.next()) else { return 0 };
        let zeros = u64::from(first_a[0] == 0 && first_b[0] == 0);
        let (mut x, mut y) = (load(&zero_last(first_a)), load(&zero_last(first_b)));
        let (mut end_x, mut end_y) = (end(first_a), end(first_b));
        // Minus one for every member found, in as many sums as a vector has. A list has at most 112
        // eights, so no sum wraps.
        let mut found = arch::_mm_setzero_si128();
        // Whichever ends first gives way to the eight behind it. Written as two short loops, which
        // take a jump a step, since steps are what this costs.
        'ended: loop {
            found = arch::_mm_sub_epi16(found, arch::_mm_cmpistrm::<ANY_EQUAL>(y, x));
            while end_x < end_y {
                let Some(eight) = a.next() else { break 'ended };
                (x, end_x) = (load(eight), end(eight));
                found = arch::_mm_sub_epi16(found, arch::_mm_cmpistrm::<ANY_EQUAL>(y, x));
            }
            while end_y < end_x {
                let Some(eight) = b.next() else { break 'ended };
                (y, end_y) = (load(eight), end(eight));
                found = arch::_mm_sub_epi16(found, arch::_mm_cmpistrm::<ANY_EQUAL>(y, x));
            }
            if end_x == end_y {
                let Some(eight) = b.next() else { break };
                (y, end_y) = (load(eight), end(eight));
            }
            let Some(eight) = a.next() else { break };
            (x, end_x) = (load(eight), end(eight));
        }
        let pairs = arch::_mm_madd_epi16(found, arch::_mm_set1_epi16(1));
        let pairs = arch::_mm_add_epi32(pairs, arch::_mm_srli_si128::<8>(pairs));
        let all = arch::_mm_add_epi32(pairs, arch::_mm_srli_si128::<4>(pairs));
        zeros + u64::from(arch::_mm_cvtsi128_si32(all).cast_unsigned())
    }
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::membership::container::LIST_MEMBERS_MAX;

    fn any_list() -> impl Strategy<Value = Vec<u16>> {
        // Lists alone, both, and bits alone.
        let wide = proptest::collection::btree_set(any::<u16>(), 0..1_200);
        let dense = proptest::collection::btree_set(0..1_600_u16, 0..1_200);
        let ends = proptest::collection::btree_set(
            prop_oneof![Just(0_u16), Just(1), Just(u16::MAX), Just(u16::MAX - 1)],
            0..4,
        );
        (prop_oneof![wide, dense], ends)
            .prop_map(|(set, ends): (BTreeSet<u16>, _)| (&set | &ends).into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_way_counts_the_same(a in any_list(), b in any_list()) {
            let level = Level::new();
            let expected = a.iter().filter(|low| b.binary_search(low).is_ok()).count() as u64;
            prop_assert_eq!(searched(&a, &b), expected);
            prop_assert_eq!(merged(&a, &b), expected);
            let row = |list: &[u16]| Container::from_list(9, list).into_iter().collect::<Vec<_>>();
            let (a, b) = (row(&a), row(&b));
            prop_assert_eq!(and_len(level, &a, &b), expected);
            prop_assert_eq!(and_len_plain(&a, &b), expected);
            for (a, b) in a.iter().zip(&b) {
                prop_assert_eq!(one_and_len(level, a, b), expected);
            }
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            if let Some((sse, avx2)) = level.as_sse4_2().zip(level.as_avx2()) {
                prop_assert_eq!(and_len_sse(sse, &a, &b), expected);
                prop_assert_eq!(and_len_avx2(avx2, sse, &a, &b), expected);
            }
        }
    }

    #[test]
    fn the_longest_lists_are_counted_to_the_end() {
        let more = u16::try_from(LIST_MEMBERS_MAX - 1).expect("a small number");
        for first in [0, 1, u16::MAX - more] {
            let list: Vec<u16> = (first..=first + more).collect();
            let row = [Container::from_list(0, &list).expect("members")];
            assert!(matches!(row[0].body, Body::Both(_)));
            assert_eq!(and_len(Level::new(), &row, &row), u64::from(more) + 1);
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            if let (Some(sse), Body::Both(both)) = (Level::new().as_sse4_2(), &row[0].body) {
                assert_eq!(eights(sse, &both.list, &both.list), u64::from(more) + 1);
            }
        }
    }
}

//! A membership laid out for counting: for each block of 65,536 ids the members as aligned bits, as a
//! list, or as both. Worth its making where a set is counted against several others; all pairs of
//! many sets do so ([`super::matrix`]).

use super::kernel::{Block, Kernel};
use super::packed::Packed;
use super::set::Membership;

/// From so many members in a block on they are kept as bits. Fewer would cost more memory than they
/// are worth: 8 KiB for less than 64 bytes of list.
const BITS_FROM: u32 = 32;

/// Up to so many members they are kept as a list: looking each up then takes about as long as
/// counting two blocks by words. Estimated from totals of `benches/overlap.rs` (0.9 ns a look-up,
/// 210 ns a pair of blocks).
const LIST_UP_TO: u32 = 224;

/// A set that is ready to be counted against others.
///
/// ```
/// use throng::membership::{Membership, Prepared};
/// use throng::model::ProfileId;
///
/// let set = |ids: &[u32]| ids.iter().filter_map(|&id| ProfileId::new(id)).collect::<Membership>();
/// let (buyers, readers) = (set(&[1, 2, 3]), set(&[3, 4]));
/// assert_eq!(Prepared::new(&buyers).and_len(&Prepared::new(&readers)), 1);
/// ```
#[derive(Default)]
pub struct Prepared {
    /// Ascending by block.
    parts: Vec<Place>,
    bits: Vec<Block>,
    list: Vec<u16>,
}

/// Where the members of a block are.
#[derive(Clone, Copy)]
struct Place {
    block: u16,
    members: u32,
    /// Index of their bits.
    bits: Option<usize>,
    /// Start of their list.
    list: Option<usize>,
}

/// The members of one block.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// How many there are.
    pub(super) members: u32,
    /// Them as bits, from [`BITS_FROM`] on.
    pub(super) bits: Option<&'a Block>,
    /// Them as a list, ascending, up to [`LIST_UP_TO`].
    pub(super) list: Option<&'a [u16]>,
}

impl Prepared {
    /// Lays `set` out; costs a copy of it, and 8 KiB for every block with 32 members or more.
    pub fn new(set: &Membership) -> Self {
        Self::with(set, &mut Vec::new())
    }

    /// As [`Prepared::new`], with memory to work in that serves one set after the other.
    pub(super) fn with(set: &Membership, buffer: &mut Vec<u8>) -> Self {
        let packed = Packed::new(set, buffer);
        let dense = packed.parts().filter(|(_, part)| part.members() >= BITS_FROM).count();
        let mut prepared = Self { bits: Vec::with_capacity(dense), ..Self::default() };
        for (block, part) in packed.parts() {
            let members = part.members();
            let list = (members <= LIST_UP_TO).then(|| {
                let start = prepared.list.len();
                part.append_members(&mut prepared.list);
                start
            });
            let bits = (members >= BITS_FROM).then(|| {
                let at = prepared.bits.len();
                prepared.bits.push(Block::EMPTY);
                part.write_bits(&mut prepared.bits[at]);
                at
            });
            prepared.parts.push(Place { block, members, bits, list });
        }
        prepared
    }

    /// How many members there are.
    pub fn len(&self) -> u64 {
        self.parts.iter().map(|place| u64::from(place.members)).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// How many members are in `other` too.
    pub fn and_len(&self, other: &Self) -> u64 {
        let kernel = Kernel::detect();
        let (mut mine, mut theirs) = (self.parts.iter().peekable(), other.parts.iter().peekable());
        let mut count = 0;
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            match a.block.cmp(&b.block) {
                std::cmp::Ordering::Less => drop(mine.next()),
                std::cmp::Ordering::Greater => drop(theirs.next()),
                std::cmp::Ordering::Equal => {
                    count += self.part(a).and_len(other.part(b), kernel);
                    mine.next();
                    theirs.next();
                }
            }
        }
        count
    }

    /// The blocks that have members, ascending, with the members.
    pub(super) fn parts(&self) -> impl Iterator<Item = (usize, Part<'_>)> {
        self.parts.iter().map(|place| (usize::from(place.block), self.part(place)))
    }

    fn part(&self, place: &Place) -> Part<'_> {
        let members = place.members;
        let length = usize::try_from(members).expect("at most 65,536");
        Part {
            members,
            bits: place.bits.map(|at| &self.bits[at]),
            list: place.list.map(|start| &self.list[start..start + length]),
        }
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared<{} values in {} blocks>", self.len(), self.parts.len())
    }
}

impl Part<'_> {
    /// How many members are in `other` too, which is of the same block.
    pub(super) fn and_len(self, other: Part<'_>, kernel: Kernel) -> u64 {
        if self.list.is_some() && other.list.is_some() && other.members < self.members {
            return other.and_len(self, kernel);
        }
        match (self.list, self.bits, other.list, other.bits) {
            (Some(list), _, _, Some(bits)) | (_, Some(bits), Some(list), _) => found(list, bits),
            (Some(a), _, Some(b), _) => merged(a, b),
            (_, Some(a), _, Some(b)) => kernel.pair(a, b),
            // A part without bits has a list, since BITS_FROM is not above LIST_UP_TO.
            (None, None, ..) | (.., None, None) => 0,
        }
    }
}

/// How many of `members` are among `bits`.
fn found(members: &[u16], bits: &Block) -> u64 {
    let bit = |member: &u16| (bits.0[usize::from(*member >> 6)] >> (member & 63)) & 1;
    members.iter().map(bit).sum()
}

/// How many values two ascending lists share.
fn merged(a: &[u16], b: &[u16]) -> u64 {
    let (mut i, mut j, mut count) = (0, 0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        count += u64::from(x == y);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::membership::set::tests::{any_set, members};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn prepared_sets_count_as_their_memberships_do(
            a in any_set(),
            b in any_set(),
            few in proptest::collection::btree_set(0..70_000_u32, 0..200),
        ) {
            let sets = [members(a), members(b), members(few)];
            let prepared: Vec<Prepared> = sets.iter().map(Prepared::new).collect();
            for (x, ready) in sets.iter().zip(&prepared) {
                prop_assert_eq!(ready.len(), x.len());
                for (y, other) in sets.iter().zip(&prepared) {
                    prop_assert_eq!(ready.and_len(other), x.and_len(y));
                }
            }
        }
    }
}

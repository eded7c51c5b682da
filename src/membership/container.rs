//! The members of one block of 65,536 ids: few of them as a list, many as bits, and those between as
//! both. A container is never changed, so sets share theirs; equal members make equal containers, whatever
//! they were made from.

use std::sync::Arc;

use super::kernel::{Block, Kernel};
use super::mask::BLOCK_WORDS;
use super::merge;

/// Up to so many members have a list, of 2 bytes a member; more are bits alone, 8 KiB.
///
/// The roaring layouts draw one line, at 4,096, where both take the same room. Here two lines lie around
/// where counting two lists takes as long as counting two blocks of bits ([`super::merge`]). Between
/// them a container is kept both ways, so that sets of much the same density are never counted by
/// looking up one by one, which takes about twice as long as either (`benches/peers/overlap.py`). A
/// container takes ten times the room of its list at the worst.
pub(super) const LIST_MEMBERS_MAX: usize = 896;

/// More members than that have bits; fewer are a list alone.
pub(super) const BITS_ABOVE: usize = 448;

/// The members of a block, at least one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Container {
    /// The high half of the members.
    pub(super) block: u16,
    /// How many there are.
    pub(super) members: u32,
    /// Their low halves.
    pub(super) body: Body,
}

/// The low halves of members, as they are kept.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// Up to [`BITS_ABOVE`], ascending, in eights; the last one is filled up with zeros.
    List(Arc<[[u16; 8]]>),
    /// More than that, up to [`LIST_MEMBERS_MAX`].
    Both(Arc<Both>),
    /// More than that, a bit an id.
    Bits(Arc<Block>),
}

/// The same members twice.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Both {
    pub(super) bits: Block,
    /// As in [`Body::List`].
    pub(super) list: Box<[[u16; 8]]>,
}

/// The low halves of members.
#[derive(Clone, Copy)]
pub(super) enum Lows<'a> {
    /// Ascending.
    List(&'a [u16]),
    /// A bit an id.
    Bits(&'a Block),
}

/// What is made of two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    And,
    Or,
    AndNot,
    Xor,
}

impl Operation {
    /// Whether what only the first set has, or only the second, is in the result.
    pub(super) fn keeps(self) -> (bool, bool) {
        match self {
            Self::And => (false, false),
            Self::AndNot => (true, false),
            Self::Or | Self::Xor => (true, true),
        }
    }

    /// Whether what both have is in the result.
    fn keeps_both(self) -> bool {
        matches!(self, Self::And | Self::Or)
    }
}

impl Container {
    /// The members that `list` has, ascending; nothing for none.
    pub(super) fn from_list(block: u16, list: &[u16]) -> Option<Self> {
        let members = u32::try_from(list.len()).expect("at most 65,536");
        let body = match list.len() {
            0 => return None,
            1..=BITS_ABOVE => Body::List(in_eights(list).collect()),
            some => {
                let mut bits = Block::EMPTY;
                bits.insert(list);
                let listed = (some <= LIST_MEMBERS_MAX).then_some(list);
                Body::of_many(bits, listed)
            }
        };
        Some(Self { block, members, body })
    }

    /// The members that `bits` has; nothing for none.
    pub(super) fn from_bits(block: u16, bits: &[u64; BLOCK_WORDS], kernel: Kernel) -> Option<Self> {
        Self::of_bits(block, kernel.count(bits), bits)
    }

    /// The same, where `members` bits are known to be set.
    fn of_bits(block: u16, members: u32, bits: &[u64; BLOCK_WORDS]) -> Option<Self> {
        let body = match usize::try_from(members).expect("at most 65,536") {
            0 => return None,
            some @ 1..=LIST_MEMBERS_MAX => {
                // As many as were counted, so that the list is allocated once.
                let mut list = Vec::with_capacity(some);
                list.extend(lows(bits));
                if some <= BITS_ABOVE {
                    Body::List(in_eights(&list).collect())
                } else {
                    Body::of_many(Block(*bits), Some(&list))
                }
            }
            _ => Body::of_many(Block(*bits), None),
        };
        Some(Self { block, members, body })
    }

    /// The members' low halves.
    pub(super) fn lows(&self) -> Lows<'_> {
        match &self.body {
            Body::List(eights) => Lows::List(self.listed(eights)),
            Body::Both(both) => Lows::Bits(&both.bits),
            Body::Bits(bits) => Lows::Bits(bits),
        }
    }

    /// The members among `eights`, which are those of the body.
    pub(super) fn listed<'a>(&self, eights: &'a [[u16; 8]]) -> &'a [u16] {
        let members = usize::try_from(self.members).expect("at most 65,536");
        &eights.as_flattened()[..members]
    }

    /// Whether `low` is in.
    pub(super) fn contains(&self, low: u16) -> bool {
        match self.lows() {
            Lows::List(list) => list.binary_search(&low).is_ok(),
            Lows::Bits(bits) => bits.has(low) != 0,
        }
    }

    /// With `low`; nothing where it is in already. Copies the container.
    pub(super) fn with(&self, low: u16) -> Option<Self> {
        if self.contains(low) {
            return None;
        }
        match self.lows() {
            Lows::List(list) => {
                let at = list.partition_point(|other| *other < low);
                Self::from_list(self.block, &[&list[..at], &[low], &list[at..]].concat())
            }
            Lows::Bits(bits) => {
                let mut bits = bits.clone();
                bits.insert(&[low]);
                Self::of_bits(self.block, self.members + 1, &bits.0)
            }
        }
    }

    /// The smallest and the largest member's low half.
    pub(super) fn ends(&self) -> (u16, u16) {
        let ends = match self.lows() {
            Lows::List(list) => list.first().copied().zip(list.last().copied()),
            Lows::Bits(bits) => bits.ends(),
        };
        ends.expect("a container has members")
    }

    /// Sets the members' bits in `words`, of which bit 0 is the first id of the block; what lies
    /// beyond them is left out.
    pub(super) fn or_into(&self, words: &mut [u64]) {
        match self.lows() {
            Lows::List(list) => {
                for low in list {
                    if let Some(word) = words.get_mut(usize::from(low >> 6)) {
                        *word |= 1 << (low & 63);
                    }
                }
            }
            Lows::Bits(bits) => words.iter_mut().zip(&bits.0).for_each(|(to, from)| *to |= from),
        }
    }

    /// What `operation` makes of two containers of the same block; nothing where none is left.
    pub(super) fn combine(
        &self,
        operation: Operation,
        other: &Self,
        kernel: Kernel,
    ) -> Option<Self> {
        let block = self.block;
        let filter = |list: &[u16], bits: &Block, wanted: u64| -> Option<Self> {
            let kept: Vec<u16> =
                list.iter().copied().filter(|low| bits.has(*low) == wanted).collect();
            Self::from_list(block, &kept)
        };
        match (self.lows(), other.lows(), operation) {
            (Lows::List(a), Lows::List(b), _) => Self::from_list(
                block,
                &merge::combined(a, b, operation.keeps(), operation.keeps_both()),
            ),
            (Lows::List(list), Lows::Bits(bits), Operation::And)
            | (Lows::Bits(bits), Lows::List(list), Operation::And) => filter(list, bits, 1),
            (Lows::List(list), Lows::Bits(bits), Operation::AndNot) => filter(list, bits, 0),
            _ => {
                let (mut a, mut b) = (Block::EMPTY, Block::EMPTY);
                let (a, b) = (self.bits_or(&mut a), other.bits_or(&mut b));
                Self::from_bits(block, &combined(a, b, operation).0, kernel)
            }
        }
    }

    /// The bits that are kept, or those of the list in `scratch`, which has none.
    fn bits_or<'a>(&'a self, scratch: &'a mut Block) -> &'a Block {
        match self.lows() {
            Lows::Bits(bits) => bits,
            Lows::List(list) => {
                scratch.insert(list);
                scratch
            }
        }
    }
}

impl Body {
    /// Bits, and the list beside them where there is one.
    fn of_many(bits: Block, list: Option<&[u16]>) -> Self {
        match list {
            Some(list) => Self::Both(Arc::new(Both { bits, list: in_eights(list).collect() })),
            None => Self::Bits(Arc::new(bits)),
        }
    }
}

/// As [`Body::List`] has them.
fn in_eights(list: &[u16]) -> impl Iterator<Item = [u16; 8]> {
    let (whole, rest) = list.as_chunks::<8>();
    let last = || std::array::from_fn(|i| rest.get(i).copied().unwrap_or(0));
    whole.iter().copied().chain((!rest.is_empty()).then(last))
}

/// Word by word; loops of this shape are vectorised.
fn combined(a: &Block, b: &Block, operation: Operation) -> Block {
    let with = |op: fn(u64, u64) -> u64| {
        let mut made = Block::EMPTY;
        for ((to, a), b) in made.0.iter_mut().zip(&a.0).zip(&b.0) {
            *to = op(*a, *b);
        }
        made
    };
    match operation {
        Operation::And => with(|a, b| a & b),
        Operation::Or => with(|a, b| a | b),
        Operation::AndNot => with(|a, b| a & !b),
        Operation::Xor => with(|a, b| a ^ b),
    }
}

impl Block {
    /// 1 where `low` is in, else 0.
    pub(super) fn has(&self, low: u16) -> u64 {
        (self.0[usize::from(low >> 6)] >> (low & 63)) & 1
    }

    /// Puts the members of a list in.
    pub(super) fn insert(&mut self, list: &[u16]) {
        for low in list {
            self.0[usize::from(low >> 6)] |= 1 << (low & 63);
        }
    }

    /// Puts a range in, both ends included.
    pub(super) fn insert_range(&mut self, first: u16, last: u16) {
        let (from, to) = (usize::from(first >> 6), usize::from(last >> 6));
        let low = u64::MAX << (first & 63);
        let high = u64::MAX >> (63 - (last & 63));
        if from == to {
            self.0[from] |= low & high;
            return;
        }
        self.0[from] |= low;
        self.0[from + 1..to].fill(u64::MAX);
        self.0[to] |= high;
    }

    fn ends(&self) -> Option<(u16, u16)> {
        let low = self.0.iter().position(|word| *word != 0)?;
        let high = self.0.iter().rposition(|word| *word != 0)?;
        let id = |at: usize, bit: u32| u16::try_from(at as u64 * 64 + u64::from(bit)).ok();
        let first = id(low, self.0[low].trailing_zeros())?;
        Some((first, id(high, self.0[high].ilog2())?))
    }
}

/// The places of the bits that are set, ascending.
pub(super) fn lows(words: &[u64; BLOCK_WORDS]) -> impl Iterator<Item = u16> {
    (0_u16..).zip(words).flat_map(|(at, word)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            let bit = u16::try_from(left.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
            left &= left - 1;
            Some(at << 6 | bit)
        })
    })
}

/// The ranges of bits that are set, ascending; both ends are set.
pub(super) fn ranges(words: &[u64; BLOCK_WORDS]) -> impl Iterator<Item = (u16, u16)> {
    let mut from = Some(0);
    std::iter::from_fn(move || {
        let first = next_bit(words, from?, 0)?;
        from = next_bit(words, first, u64::MAX);
        let last = from.map_or(BLOCK_WORDS * 64, |gap| gap) - 1;
        u16::try_from(first).ok().zip(u16::try_from(last).ok())
    })
}

/// The first bit from `from` on that is set; of the words turned over where `flip` is all ones.
fn next_bit(words: &[u64; BLOCK_WORDS], from: usize, flip: u64) -> Option<usize> {
    let rest = words.get(from / 64..)?;
    let mut below = u64::MAX << (from % 64);
    let (at, word) = (from / 64..).zip(rest).find_map(|(at, word)| {
        let word = (word ^ flip) & below;
        below = u64::MAX;
        (word != 0).then_some((at, word))
    })?;
    Some(at * 64 + usize::try_from(word.trailing_zeros()).ok()?)
}

const _: () = assert!(BLOCK_WORDS * 64 == 1 << 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_fill_whole_and_partial_words() {
        for (first, last) in
            [(0, 0), (3, 9), (63, 64), (64, 127), (5, 700), (65_535, 65_535), (0, 65_535)]
        {
            let mut block = Block::EMPTY;
            block.insert_range(first, last);
            assert!(lows(&block.0).eq(first..=last), "{first} to {last}");
            assert_eq!(block.ends(), Some((first, last)));
            assert!(ranges(&block.0).eq([(first, last)]), "{first} to {last}");
        }
        assert_eq!(Block::EMPTY.ends(), None);
    }

    #[test]
    fn equal_members_make_equal_containers() {
        let kernel = Kernel::detect();
        let line = |members: usize| u16::try_from(members).expect("a small number");
        let (low, high) = (line(BITS_ABOVE), line(LIST_MEMBERS_MAX));
        for count in [1, low, low + 1, high, high + 1, 4_096, 4_097, 65_535_u16] {
            let list: Vec<u16> = (0..count).collect();
            let mut bits = Block::EMPTY;
            bits.insert_range(0, count - 1);
            let of_bits = Container::from_bits(3, &bits.0, kernel);
            let of_list = Container::from_list(3, &list);
            assert!(of_bits == of_list && of_list.is_some(), "{count} members");
            let last = Container::from_list(3, &list[..list.len() - 1]);
            let grown = last.map_or(of_list.clone(), |last| last.with(count - 1));
            assert!(grown == of_list, "{count} members, the last one added");
        }
    }
}

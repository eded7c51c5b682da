//! A membership as its containers, which `roaring` does not hand out: its own portable bytes, walked.
//! Only [`super::prepared`] reads sets this way.

use super::kernel::Block;
use super::set::Membership;

/// First word of portable bytes that hold no run containers.
const COOKIE_PLAIN: u32 = 12_346;
/// With runs and fewer containers than this there are no offsets.
const OFFSETS_FROM: usize = 4;
/// Members an array container can have.
const ARRAY_MEMBERS_MAX: u32 = 4_096;
/// Bytes of a bitset container.
const BITSET_BYTES: usize = 8_192;

/// The portable bytes of a set, in memory and its own, so that nothing in them needs to be doubted.
pub(super) struct Packed<'a>(&'a [u8]);

/// The members of a set in one block of 65,536 ids.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    members: u32,
    container: Container<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Container<'a> {
    /// The members, ascending.
    Array(&'a [[u8; 2]]),
    /// A bit an id.
    Bits(&'a [[u8; 8]]),
    /// First members, and how many follow each.
    Runs(&'a [[u8; 4]]),
}

impl<'a> Packed<'a> {
    /// The bytes of `set`, in `buffer`, whose memory serves the next set again.
    pub(super) fn new(set: &Membership, buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        set.0
            .serialize_into(&mut *buffer)
            .expect("a vector takes all bytes that are written to it");
        Self(buffer)
    }

    /// The blocks that have members, ascending, with the members.
    pub(super) fn parts(&self) -> impl Iterator<Item = (u16, Part<'_>)> {
        let (count, runs, mut at) = self.head();
        let heads = self.0[at..at + 4 * count].as_chunks::<4>().0;
        at += 4 * count;
        if runs.is_empty() || count >= OFFSETS_FROM {
            at += 4 * count;
        }
        heads.iter().enumerate().map(move |(i, &[k0, k1, c0, c1])| {
            let members = u32::from(u16::from_le_bytes([c0, c1])) + 1;
            let is_run = runs.get(i / 8).is_some_and(|byte| byte & (1 << (i % 8)) != 0);
            let (container, bytes) = container(&self.0[at..], members, is_run);
            at += bytes;
            (u16::from_le_bytes([k0, k1]), Part { members, container })
        })
    }

    /// How many containers there are, the bits of those that are runs, and where the keys begin.
    fn head(&self) -> (usize, &[u8], usize) {
        let word = |at: usize| {
            let bytes = self.0[at..at + 4].try_into().expect("four bytes");
            u32::from_le_bytes(bytes)
        };
        let size = |number: u32| usize::try_from(number).expect("a usize has at least 32 bits");
        if word(0) == COOKIE_PLAIN {
            return (size(word(4)), &[], 8);
        }
        let count = size(word(0) >> 16) + 1;
        let bits = count.div_ceil(8);
        (count, &self.0[4..4 + bits], 4 + bits)
    }
}

/// The container at the head of `bytes`, and how many of them it takes.
fn container(bytes: &[u8], members: u32, is_run: bool) -> (Container<'_>, usize) {
    if is_run {
        let runs = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        (Container::Runs(bytes[2..2 + 4 * runs].as_chunks().0), 2 + 4 * runs)
    } else if members <= ARRAY_MEMBERS_MAX {
        let length = 2 * usize::try_from(members).expect("at most 4,096");
        (Container::Array(bytes[..length].as_chunks().0), length)
    } else {
        (Container::Bits(bytes[..BITSET_BYTES].as_chunks().0), BITSET_BYTES)
    }
}

impl Part<'_> {
    /// How many members there are, at least one.
    pub(super) fn members(&self) -> u32 {
        self.members
    }

    /// Appends the members' places in the block.
    pub(super) fn append_members(&self, to: &mut Vec<u16>) {
        match self.container {
            Container::Array(values) => to.extend(values.iter().map(|v| u16::from_le_bytes(*v))),
            Container::Runs(runs) => to.extend(runs.iter().flat_map(|run| {
                let (first, more) = ends(*run);
                first..=first + more
            })),
            Container::Bits(words) => to.extend((0_u16..).zip(words).flat_map(|(at, word)| {
                let word = u64::from_le_bytes(*word);
                (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| 64 * at + bit)
            })),
        }
    }

    /// Puts the members' bits into `block`, which is empty.
    pub(super) fn write_bits(self, block: &mut Block) {
        match self.container {
            Container::Bits(words) => {
                for (word, bytes) in block.0.iter_mut().zip(words) {
                    *word = u64::from_le_bytes(*bytes);
                }
            }
            Container::Array(values) => {
                for value in values {
                    let value = u16::from_le_bytes(*value);
                    block.0[usize::from(value >> 6)] |= 1 << (value & 63);
                }
            }
            Container::Runs(runs) => {
                for run in runs {
                    let (first, more) = ends(*run);
                    set_range(block, usize::from(first), usize::from(first) + usize::from(more));
                }
            }
        }
    }
}

/// The first member of a run, and how many follow it.
fn ends([f0, f1, m0, m1]: [u8; 4]) -> (u16, u16) {
    (u16::from_le_bytes([f0, f1]), u16::from_le_bytes([m0, m1]))
}

/// Sets the bits from `first` to `last`.
fn set_range(block: &mut Block, first: usize, last: usize) {
    let (from, to) = (first / 64, last / 64);
    let low = u64::MAX << (first % 64);
    let high = u64::MAX >> (63 - last % 64);
    if from == to {
        block.0[from] |= low & high;
        return;
    }
    block.0[from] |= low;
    block.0[from + 1..to].fill(u64::MAX);
    block.0[to] |= high;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::membership::set::tests::{any_set, members};
    use crate::membership::wire::{Format, decode, encode};

    fn bits_of(block: &Block) -> Vec<usize> {
        let is_set = |id: &usize| block.0[id / 64] & (1 << (id % 64)) != 0;
        (0..65_536).filter(is_set).collect()
    }

    #[test]
    fn ranges_fill_whole_and_partial_words() {
        for (first, last) in
            [(0, 0), (3, 9), (63, 64), (64, 127), (5, 700), (65_535, 65_535), (0, 65_535)]
        {
            let mut block = Block::EMPTY;
            set_range(&mut block, first, last);
            assert_eq!(bits_of(&block), (first..=last).collect::<Vec<_>>());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn parts_are_the_members(set in any_set(), with_runs in any::<bool>()) {
            let mut membership = members(set.iter().copied());
            if with_runs {
                membership = decode(&encode(&membership, Format::Roaring), Format::Roaring)?;
            }
            let mut buffer = Vec::new();
            let packed = Packed::new(&membership, &mut buffer);
            let (mut by_members, mut by_bits) = (Vec::new(), Vec::new());
            for (place, part) in packed.parts() {
                let mut found = Vec::new();
                part.append_members(&mut found);
                prop_assert_eq!(found.len(), usize::try_from(part.members())?);
                let place = usize::from(place);
                let mut block = Block::EMPTY;
                part.write_bits(&mut block);
                by_bits.extend(bits_of(&block).into_iter().map(|bit| place << 16 | bit));
                by_members.extend(found.into_iter().map(|id| place << 16 | usize::from(id)));
            }
            let expected: Vec<usize> = set.iter().map(|id| *id as usize).collect();
            prop_assert_eq!(&by_members, &expected);
            prop_assert_eq!(&by_bits, &expected);
        }
    }
}

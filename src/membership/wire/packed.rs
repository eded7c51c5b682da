//! Portable roaring bytes, walked container by container. They passed [`super::check`], so nothing in
//! them needs to be doubted. Only [`super::portable`] reads sets this way.

use super::super::container::Container;
use super::super::containers::Containers;
use super::super::kernel::{Block, Kernel};

/// First word of portable bytes that hold no run containers.
const COOKIE_PLAIN: u32 = 12_346;
/// With runs and fewer containers than this there are no offsets.
const OFFSETS_FROM: usize = 4;
/// Members an array container can have.
const ARRAY_MEMBERS_MAX: u32 = 4_096;
/// Bytes of a bitset container.
const BITSET_BYTES: usize = 8_192;

/// The portable bytes of a set.
struct Packed<'a>(&'a [u8]);

/// The set that `bytes` hold, which were checked.
pub(super) fn unpack(bytes: &[u8]) -> Containers {
    let kernel = Kernel::detect();
    Packed(bytes).parts().filter_map(|(block, body)| body.unpack(block, kernel)).collect()
}

#[derive(Debug, Clone, Copy)]
enum Body<'a> {
    /// The members, ascending.
    Array(&'a [[u8; 2]]),
    /// A bit an id.
    Bits(&'a [[u8; 8]]),
    /// First members, and how many follow each.
    Runs(&'a [[u8; 4]]),
}

impl Packed<'_> {
    /// The blocks that have members, ascending, with the members.
    fn parts(&self) -> impl Iterator<Item = (u16, Body<'_>)> {
        let (count, runs, mut at) = self.head();
        let heads = self.0[at..at + 4 * count].as_chunks::<4>().0;
        at += 4 * count;
        if runs.is_empty() || count >= OFFSETS_FROM {
            at += 4 * count;
        }
        heads.iter().enumerate().map(move |(i, &[k0, k1, c0, c1])| {
            let members = u32::from(u16::from_le_bytes([c0, c1])) + 1;
            let is_run = runs.get(i / 8).is_some_and(|byte| byte & (1 << (i % 8)) != 0);
            let (body, bytes) = body(&self.0[at..], members, is_run);
            at += bytes;
            (u16::from_le_bytes([k0, k1]), body)
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
fn body(bytes: &[u8], members: u32, is_run: bool) -> (Body<'_>, usize) {
    if is_run {
        let runs = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        (Body::Runs(bytes[2..2 + 4 * runs].as_chunks().0), 2 + 4 * runs)
    } else if members <= ARRAY_MEMBERS_MAX {
        let length = 2 * usize::try_from(members).expect("at most 4,096");
        (Body::Array(bytes[..length].as_chunks().0), length)
    } else {
        (Body::Bits(bytes[..BITSET_BYTES].as_chunks().0), BITSET_BYTES)
    }
}

impl Body<'_> {
    fn unpack(self, block: u16, kernel: Kernel) -> Option<Container> {
        let mut bits = Block::EMPTY;
        match self {
            Body::Array(values) => {
                let list: Vec<u16> = values.iter().map(|low| u16::from_le_bytes(*low)).collect();
                return Container::from_list(block, &list);
            }
            Body::Bits(words) => {
                for (word, bytes) in bits.0.iter_mut().zip(words) {
                    *word = u64::from_le_bytes(*bytes);
                }
            }
            Body::Runs(runs) => {
                for [f0, f1, m0, m1] in runs {
                    let first = u16::from_le_bytes([*f0, *f1]);
                    bits.insert_range(first, first + u16::from_le_bytes([*m0, *m1]));
                }
            }
        }
        Container::from_bits(block, &bits.0, kernel)
    }
}

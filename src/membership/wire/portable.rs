//! The portable roaring layouts of the `RoaringFormatSpec`, 32-bit and 64-bit, which most of the other
//! formats carry inside.

use super::check::{self, Reader};
use super::packed;
use crate::error::Result;
use crate::membership::container::{Container, Lows, lows, ranges};
use crate::membership::containers::Containers;
use crate::membership::kernel::Kernel;
use crate::membership::numbers::Numbers;

/// First word of a bitmap without run containers.
const COOKIE_PLAIN: u32 = 12_346;
/// Low half of the first word of a bitmap with run containers; the high half is their number - 1.
const COOKIE_RUNS: u32 = 12_347;
/// A bitmap with runs and fewer containers than this has no offset header.
const OFFSETS_FROM: usize = 4;
/// Members an array container can have; one with more is a bitset.
const ARRAY_MEMBERS_MAX: u32 = 4_096;
/// Bytes of a bitset container.
const BITSET_BYTES: u32 = 8_192;
/// Bytes before a bucket's bitmap: its key.
const KEY_BYTES: usize = 4;

/// How a container is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Array,
    Bitset,
    /// And how many there are.
    Runs(u32),
}

impl Kind {
    /// The one rule; see [`super::encode`].
    fn of(row: &Container, kernel: Kernel) -> Self {
        let runs = match row.lows() {
            Lows::List(list) => runs_in(list).try_into(),
            Lows::Bits(bits) => Ok(kernel.runs(&bits.0)),
        };
        let runs = Self::Runs(runs.expect("at most 32,768 runs"));
        let plain = if row.members <= ARRAY_MEMBERS_MAX { Self::Array } else { Self::Bitset };
        if runs.bytes(row.members) < plain.bytes(row.members) { runs } else { plain }
    }

    fn bytes(self, members: u32) -> u32 {
        match self {
            Self::Array => 2 * members,
            Self::Bitset => BITSET_BYTES,
            Self::Runs(runs) => 2 + 4 * runs,
        }
    }
}

/// Appends the one spelling of a set; see [`super::encode`] for the rule.
pub(super) fn append_32(set: &Containers, bytes: &mut Vec<u8>) {
    let kernel = Kernel::detect();
    let rows = set.rows();
    let kinds: Vec<Kind> = rows.iter().map(|row| Kind::of(row, kernel)).collect();
    let start = bytes.len();
    let has_runs = kinds.iter().any(|kind| matches!(kind, Kind::Runs(_)));
    let number = |count: usize| u32::try_from(count).expect("at most 65,536");
    if has_runs {
        bytes.extend((number(rows.len() - 1) << 16 | COOKIE_RUNS).to_le_bytes());
        bytes.extend(kinds.chunks(8).map(|eight| {
            let bit = |(i, kind): (usize, &Kind)| u8::from(matches!(kind, Kind::Runs(_))) << i;
            eight.iter().enumerate().map(bit).sum::<u8>()
        }));
    } else {
        bytes.extend(COOKIE_PLAIN.to_le_bytes());
        bytes.extend(number(rows.len()).to_le_bytes());
    }
    for row in rows {
        let members = u16::try_from(row.members - 1).expect("1 to 65,536");
        bytes.extend(row.block.to_le_bytes());
        bytes.extend(members.to_le_bytes());
    }
    if !has_runs || rows.len() >= OFFSETS_FROM {
        let mut offset = number(bytes.len() - start + 4 * rows.len());
        for (row, kind) in rows.iter().zip(&kinds) {
            bytes.extend(offset.to_le_bytes());
            offset += kind.bytes(row.members);
        }
    }
    for (row, kind) in rows.iter().zip(kinds) {
        append_row(row, kind, bytes);
    }
}

fn append_row(row: &Container, kind: Kind, bytes: &mut Vec<u8>) {
    bytes.reserve(usize::try_from(kind.bytes(row.members)).expect("at most 8 KiB"));
    match (kind, row.lows()) {
        (Kind::Runs(runs), body) => {
            let runs = u16::try_from(runs).expect("at most 32,768 runs");
            bytes.extend(runs.to_le_bytes());
            let mut append = |first: u16, last: u16| {
                bytes.extend(first.to_le_bytes());
                bytes.extend((last - first).to_le_bytes());
            };
            match body {
                Lows::List(list) => {
                    let runs = list.chunk_by(|a, b| a + 1 == *b);
                    runs.for_each(|run| append(run[0], run[run.len() - 1]));
                }
                Lows::Bits(bits) => ranges(&bits.0).for_each(|(first, last)| append(first, last)),
            }
        }
        (_, Lows::List(list)) => {
            let to = extended(bytes, 2 * list.len()).as_chunks_mut().0;
            to.iter_mut().zip(list.iter()).for_each(|(to, low)| *to = low.to_le_bytes());
        }
        (Kind::Array, Lows::Bits(bits)) => {
            let members = usize::try_from(row.members).expect("at most 4,096");
            let to = extended(bytes, 2 * members).as_chunks_mut().0;
            to.iter_mut().zip(lows(&bits.0)).for_each(|(to, low)| *to = low.to_le_bytes());
        }
        (Kind::Bitset, Lows::Bits(bits)) => {
            let to = extended(bytes, 8 * bits.0.len()).as_chunks_mut().0;
            to.iter_mut().zip(&bits.0).for_each(|(to, word)| *to = word.to_le_bytes());
        }
    }
}

/// How many runs of consecutive members `list` has: one more than it has gaps. A loop of this shape is
/// vectorised.
fn runs_in(list: &[u16]) -> usize {
    let gaps = list.iter().zip(list.iter().skip(1));
    usize::from(!list.is_empty())
        + gaps.map(|(a, b)| usize::from(b.wrapping_sub(*a) != 1)).sum::<usize>()
}

/// The last `count` bytes, which are new.
fn extended(bytes: &mut Vec<u8>, count: usize) -> &mut [u8] {
    let start = bytes.len();
    bytes.resize(start + count, 0);
    &mut bytes[start..]
}

/// Appends buckets: high halves, and the sets of the low halves.
pub(super) fn append_buckets(parts: &[(u32, &Containers)], bytes: &mut Vec<u8>) {
    for (key, bitmap) in parts {
        bytes.reserve(KEY_BYTES);
        bytes.extend(key.to_le_bytes());
        append_32(bitmap, bytes);
    }
}

/// Appends the 64-bit layout.
pub(super) fn append_64(parts: &[(u32, &Containers)], bytes: &mut Vec<u8>) {
    bytes.extend((parts.len() as u64).to_le_bytes());
    append_buckets(parts, bytes);
}

/// Reads a 32-bit bitmap from where `reader` stands, and moves it behind.
pub(super) fn read_32(reader: &mut Reader<'_>) -> Result<Containers> {
    let start = reader.position();
    check::bitmap(reader)?;
    Ok(packed::unpack(&reader.bytes()[start..reader.position()]))
}

/// Reads a 64-bit set from where `reader` stands, and moves it behind.
pub(super) fn read_64(reader: &mut Reader<'_>) -> Result<Numbers> {
    let count = u64::from_le_bytes(reader.array("the number of buckets")?);
    read_buckets(reader, count)
}

/// Reads `count` buckets; those without members are skipped.
pub(super) fn read_buckets(reader: &mut Reader<'_>, count: u64) -> Result<Numbers> {
    let buckets = check::buckets(reader, count)?;
    let bytes = reader.bytes();
    let parts = buckets.into_iter().map(|b| (b.key, packed::unpack(&bytes[b.range])));
    Ok(Numbers::from_parts(parts))
}

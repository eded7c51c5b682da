//! The walk over roaring bytes that believes nothing: every size is held against the bytes that are
//! there, every order and count against the values. It allocates nothing but a bucket list, and
//! builds no set; `decode` does that with bytes that passed.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::membership::container::BITS_ABOVE;

/// First word of a bitmap without run containers.
const COOKIE_PLAIN: u32 = 12_346;
/// Low half of the first word of a bitmap with run containers; the high half is their number - 1.
const COOKIE_RUNS: u32 = 12_347;
/// A bitmap with runs and fewer containers than this has no offset header.
const OFFSETS_FROM: usize = 4;
/// Containers there can be: one for each high half of a 32-bit id.
const CONTAINERS_MAX: usize = 1 << 16;
/// Members an array container can have; one with more is a bitset.
const ARRAY_MEMBERS_MAX: u32 = 4_096;
/// Bytes of a bitset container.
const BITSET_BYTES: usize = 8_192;
/// Containers of runs that a 64-bit bitmap may have and that become bits: in memory each of them takes
/// 8 KiB, whatever it took in the file; together they take a gibibyte and hold up to 8 billion ids. Those
/// that become lists take about what they took in the file, so there is no bound on them.
const WIDE_RUNS_MAX: u64 = 131_072;
/// Bytes that the smallest bucket takes: its key and the empty bitmap.
const BUCKET_BYTES_MIN: u64 = 4 + 8;

/// What a bitmap that passed holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// How many ids.
    pub(super) members: u64,
    /// The smallest.
    pub(super) min: Option<u32>,
    /// The largest.
    pub(super) max: Option<u32>,
    /// How many containers are runs with so many members that they become bits.
    pub(super) wide_runs: u64,
}

/// A bucket of a 64-bit bitmap, not empty.
#[derive(Debug)]
pub(super) struct Bucket {
    /// The high half of its ids.
    pub(super) key: u32,
    /// Where its 32-bit bitmap lies.
    pub(super) range: Range<usize>,
}

/// Bytes and the place that was reached in them.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What the bytes should be, for messages.
    what: &'static str,
    /// The container that is being walked, for messages.
    container: Option<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self::named(bytes, "a roaring bitmap")
    }

    /// A reader whose messages say that the bytes are not `what`.
    pub(super) fn named(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, at: 0, what, container: None }
    }

    /// All bytes, also those that were read.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The place that was reached.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// # Errors
    /// Where bytes are left.
    pub(super) fn finish(&self) -> Result<()> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.wrong(format!("{left} bytes follow its end"))),
        }
    }

    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8]> {
        let left = &self.bytes[self.at..];
        let taken = left.get(..count).ok_or_else(|| {
            self.wrong(format!("{what}: {count} bytes expected, {} are left", left.len()))
        })?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        Ok(self.take(N, what)?.try_into().expect("as many bytes as were taken"))
    }

    pub(super) fn wrong(&self, what: impl std::fmt::Display) -> Error {
        let place = self.container.map_or(String::new(), |i| format!("container {i}: "));
        Error::data(format!("not {}: {place}{what} (byte {})", self.what, self.at))
    }
}

/// Walks `count` buckets of a 64-bit set; those without members are left out.
pub(super) fn buckets(reader: &mut Reader<'_>, count: u64) -> Result<Vec<Bucket>> {
    let left = reader.left() as u64;
    if count > left / BUCKET_BYTES_MIN {
        return Err(reader.wrong(format!("{count} buckets announced, {left} bytes are left")));
    }
    let mut buckets = Vec::new();
    let (mut previous, mut wide_runs) = (None, 0);
    for _ in 0..count {
        let key = u32::from_le_bytes(reader.array("the key of a bucket")?);
        if previous.replace(key).is_some_and(|previous| previous >= key) {
            return Err(reader.wrong(format!("bucket {key} does not ascend")));
        }
        let start = reader.at;
        let low = bitmap(reader)?;
        wide_runs += low.wide_runs;
        if wide_runs > WIDE_RUNS_MAX {
            return Err(Error::limit(format!(
                "the bitmap has more than {WIDE_RUNS_MAX} containers of runs with more than {BITS_ABOVE} ids each, which would take more than 1 GiB of memory"
            ))
            .with_hint("import a list of the ids that are needed, or a bitmap of some of them"));
        }
        if low.members > 0 {
            buckets.push(Bucket { key, range: start..reader.at });
        }
    }
    Ok(buckets)
}

/// Walks a 32-bit bitmap.
pub(super) fn bitmap(reader: &mut Reader<'_>) -> Result<Extent> {
    let start = reader.at;
    let (count, runs) = cookie(reader)?;
    let headers = reader.take(4 * count, "the keys of the containers")?.as_chunks::<4>().0;
    let has_offsets = runs.is_empty() || count >= OFFSETS_FROM;
    let offsets = if has_offsets {
        reader.take(4 * count, "the offsets of the containers")?.as_chunks::<4>().0
    } else {
        &[]
    };
    let mut extent = Extent::default();
    let mut previous = None;
    for (i, &[k0, k1, c0, c1]) in headers.iter().enumerate() {
        reader.container = Some(i);
        let key = u16::from_le_bytes([k0, k1]);
        if previous.replace(key).is_some_and(|previous| previous >= key) {
            return Err(reader.wrong(format!("key {key} does not ascend")));
        }
        let offset = reader.at - start;
        if let Some(claim) = offsets.get(i).map(|claim| u32::from_le_bytes(*claim))
            && usize::try_from(claim).ok() != Some(offset)
        {
            return Err(reader.wrong(format!("offset {claim} announced, it is {offset}")));
        }
        let members = u32::from(u16::from_le_bytes([c0, c1])) + 1;
        let is_run = runs.get(i / 8).is_some_and(|byte| byte & (1 << (i % 8)) != 0);
        let (first, last) = container(reader, members, is_run)?;
        extent.members += u64::from(members);
        let is_wide = usize::try_from(members).is_ok_and(|members| members > BITS_ABOVE);
        extent.wide_runs += u64::from(is_run && is_wide);
        extent.min.get_or_insert((u32::from(key) << 16) | u32::from(first));
        extent.max = Some((u32::from(key) << 16) | u32::from(last));
    }
    reader.container = None;
    Ok(extent)
}

/// The number of containers, and the bits that say which are runs; no bits, no runs.
fn cookie<'a>(reader: &mut Reader<'a>) -> Result<(usize, &'a [u8])> {
    let cookie = u32::from_le_bytes(reader.array("the cookie")?);
    if cookie == COOKIE_PLAIN {
        let count = u32::from_le_bytes(reader.array("the number of containers")?);
        return match usize::try_from(count) {
            Ok(count) if count <= CONTAINERS_MAX => Ok((count, &[])),
            _ => Err(reader.wrong(format!("{count} containers announced, 65536 are possible"))),
        };
    }
    if cookie & 0xFFFF != COOKIE_RUNS {
        return Err(reader.wrong(format!("cookie {cookie:#010x} is neither 12346 nor 12347")));
    }
    let count = usize::try_from(cookie >> 16).expect("at most 65,535") + 1;
    let runs = reader.take(count.div_ceil(8), "the bits of the run containers")?;
    let beyond = runs.last().map_or(0, |byte| u32::from(*byte) >> ((count - 1) % 8 + 1));
    if beyond != 0 {
        return Err(reader.wrong(format!("a run container beyond the {count} announced")));
    }
    Ok((count, runs))
}

/// Walks a container of `members`; the first and the last of them.
fn container(reader: &mut Reader<'_>, members: u32, is_run: bool) -> Result<(u16, u16)> {
    if is_run {
        run_container(reader, members)
    } else if members <= ARRAY_MEMBERS_MAX {
        array_container(reader, members)
    } else {
        bitset_container(reader, members)
    }
}

fn array_container(reader: &mut Reader<'_>, members: u32) -> Result<(u16, u16)> {
    let count = usize::try_from(members).expect("at most 4,096");
    let values = reader.take(2 * count, "its values")?.as_chunks::<2>().0;
    let value = |bytes: &[u8; 2]| u16::from_le_bytes(*bytes);
    if !values.is_sorted_by(|a, b| value(a) < value(b)) {
        return Err(reader.wrong("its values do not ascend"));
    }
    let ends = values.first().zip(values.last());
    Ok(ends.map(|(first, last)| (value(first), value(last))).expect("at least one member"))
}

fn bitset_container(reader: &mut Reader<'_>, members: u32) -> Result<(u16, u16)> {
    let words = reader.take(BITSET_BYTES, "its bits")?.as_chunks::<8>().0;
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let found: u32 = words.iter().map(|bytes| word(bytes).count_ones()).sum();
    if found != members {
        return Err(reader.wrong(format!("{members} members announced, {found} found")));
    }
    let mut set = (0_u16..1_024).zip(words).filter(|(_, bytes)| word(bytes) != 0);
    let (low, low_bits) = set.next().expect("more than 4,096 members");
    let (high, high_bits) = set.fold((low, low_bits), |_, last| last);
    let first = low * 64 + low_bit(word(low_bits));
    let last = high * 64 + 63 - low_bit(word(high_bits).reverse_bits());
    Ok((first, last))
}

/// The lowest bit that is set, of a word that has one.
fn low_bit(word: u64) -> u16 {
    u16::try_from(word.trailing_zeros()).expect("at most 64")
}

fn run_container(reader: &mut Reader<'_>, members: u32) -> Result<(u16, u16)> {
    let count = u16::from_le_bytes(reader.array("the number of its runs")?);
    let runs = reader.take(4 * usize::from(count), "its runs")?.as_chunks::<4>().0;
    let mut ends: Option<(u16, u16)> = None;
    let mut found = 0;
    for &[s0, s1, l0, l1] in runs {
        let (start, more) = (u16::from_le_bytes([s0, s1]), u16::from_le_bytes([l0, l1]));
        let Some(end) = start.checked_add(more) else {
            return Err(reader.wrong(format!("the run from {start} leaves the container")));
        };
        // Runs that touch are one run: a gap of at least one lies between two.
        if ends.is_some_and(|(_, last)| last.checked_add(1).is_none_or(|next| start <= next)) {
            return Err(reader.wrong(format!("the run from {start} touches the one before it")));
        }
        ends = Some((ends.map_or(start, |(first, _)| first), end));
        found += u32::from(more) + 1;
    }
    match ends {
        Some(ends) if found == members => Ok(ends),
        _ => Err(reader.wrong(format!("{members} members announced, {found} found"))),
    }
}

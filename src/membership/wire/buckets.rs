//! Buckets of 32,768 ids as plain bits, lowest bit first: what `bitmap_construct_agg` of Databricks
//! and `MatrixOne` makes, one row a bucket with members, the bits in hexadecimal digits.

use std::fmt::Write as _;

use super::text;
use crate::error::{Error, Result};
use crate::membership::containers::Containers;
use crate::membership::numbers::Numbers;

/// Ids in a bucket.
const BUCKET_IDS: u64 = 32_768;
/// Bytes of a bucket.
const BUCKET_BYTES: usize = 4_096;
/// A bucket takes 8 KiB of digits however few members it has: half a gigabyte of text is enough.
const BUCKETS_MAX: usize = 65_536;
/// The first line.
const HEADER: &str = "bucket,bitmap";

/// Where bucket numbers begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// `MatrixOne`: ids 0 to 32,767 are bucket 0.
    Zero,
    /// Databricks, as Snowflake's functions number them: ids 1 to 32,768 are bucket 1, and bucket 0
    /// holds id 0 alone.
    One,
}

impl Origin {
    /// The bucket of `id`, and its bit there.
    fn place(self, id: u64) -> (u64, usize) {
        let (bucket, bit) = match (self, id) {
            (Self::Zero, id) => (id / BUCKET_IDS, id % BUCKET_IDS),
            (Self::One, 0) => (0, 0),
            (Self::One, id) => ((id - 1) / BUCKET_IDS + 1, (id - 1) % BUCKET_IDS),
        };
        (bucket, usize::try_from(bit).expect("below 32,768"))
    }

    /// The id of a bit, or nothing where that bit is none's.
    fn id(self, bucket: u64, bit: u64) -> Option<u64> {
        match (self, bucket) {
            (Self::Zero, bucket) => bucket.checked_mul(BUCKET_IDS)?.checked_add(bit),
            (Self::One, 0) => (bit == 0).then_some(0),
            (Self::One, bucket) => (bucket - 1).checked_mul(BUCKET_IDS)?.checked_add(bit + 1),
        }
    }
}

/// A header, and a line a bucket that has members, ascending.
///
/// # Errors
/// Where there would be more than 65,536 of them.
pub(super) fn encode(parts: &[(u32, &Containers)], origin: Origin) -> Result<Vec<u8>> {
    let mut lines = Lines { text: format!("{HEADER}\n"), buckets: 0 };
    let mut current: Option<(u64, Box<[u8; BUCKET_BYTES]>)> = None;
    for (high, low) in parts {
        for low in low.iter() {
            let (bucket, bit) = origin.place((u64::from(*high) << 32) | u64::from(low));
            if let Some((done, bits)) = current.take_if(|(open, _)| *open != bucket) {
                lines.push(done, &*bits)?;
            }
            let (_, bits) = current.get_or_insert_with(|| (bucket, Box::new([0; BUCKET_BYTES])));
            bits[bit / 8] |= 1 << (bit % 8);
        }
    }
    if let Some((done, bits)) = current {
        lines.push(done, &*bits)?;
    }
    Ok(lines.text.into_bytes())
}

struct Lines {
    text: String,
    buckets: usize,
}

impl Lines {
    fn push(&mut self, bucket: u64, bits: &[u8]) -> Result<()> {
        self.buckets += 1;
        if self.buckets > BUCKETS_MAX {
            return Err(Error::limit(format!(
                "the ids lie in more than {BUCKETS_MAX} buckets of 32,768, too many for plain bits"
            ))
            .with_hint("export profile_ids, which are dense, or take csv or parquet"));
        }
        let _infallible = writeln!(self.text, "{bucket},{}", text::to_hex(bits));
        Ok(())
    }
}

/// The set that the lines hold. Zeros at the end of a bucket may be missing, as when they were
/// trimmed.
pub(super) fn decode(bytes: &[u8], origin: Origin) -> Result<Numbers> {
    let mut lines = text::utf8(bytes, "buckets")?.lines().zip(1..);
    let wrong = |line: u64, what: String| Error::data(format!("not buckets: line {line}: {what}"));
    if lines.next().map(|(header, _)| header) != Some(HEADER) {
        return Err(wrong(1, format!("{HEADER} expected")));
    }
    let mut previous = None;
    let mut numbers = Numbers::new();
    for (line, number) in lines {
        let (bucket, digits) =
            line.split_once(',').ok_or_else(|| wrong(number, "no comma".to_owned()))?;
        let plain = bucket.bytes().all(|digit| digit.is_ascii_digit());
        let bucket: u64 = bucket
            .parse()
            .ok()
            .filter(|_| plain)
            .ok_or_else(|| wrong(number, format!("\"{bucket}\" is no bucket")))?;
        if previous.replace(bucket).is_some_and(|previous| previous >= bucket) {
            return Err(wrong(number, format!("bucket {bucket} does not ascend")));
        }
        let bits = text::from_hex(digits).map_err(|e| wrong(number, e.message().to_owned()))?;
        if bits.len() > BUCKET_BYTES {
            return Err(wrong(number, format!("{} bytes, a bucket has 4096", bits.len())));
        }
        for bit in set_bits(&bits) {
            let id = origin
                .id(bucket, bit)
                .ok_or_else(|| wrong(number, format!("bit {bit} of bucket {bucket} is no id")))?;
            numbers.insert(id);
        }
    }
    Ok(numbers)
}

fn set_bits(bytes: &[u8]) -> impl Iterator<Item = u64> {
    (0_u64..).zip(bytes).flat_map(|(at, byte)| {
        (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| 8 * at + bit)
    })
}
